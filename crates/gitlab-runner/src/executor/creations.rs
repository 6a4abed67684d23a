//! Creations at an engine or a cluster, which completes a request even if its caller has stopped waiting. What does not exist yet cannot be
//! removed.

use tokio::sync::RwLock;
use tokio::task::JoinError;

/// Held for reading by every pending creation.
static PENDING: RwLock<()> = RwLock::const_new(());

/// Waits for a creation, which continues if the caller stops waiting.
///
/// # Errors
/// The creation has panicked, or the runtime is shutting down.
pub(super) fn create<T: Send + 'static>(
    creation: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = Result<T, JoinError>> + Send {
    // The futures of the callers would otherwise contain it.
    let creation = Box::pin(creation);
    async {
        let guard = PENDING.read().await;
        let task = tokio::spawn(async move {
            let created = creation.await;
            drop(guard);
            created
        });
        task.await
    }
}

/// Waits until everything that has been requested so far exists.
pub(super) async fn all_are_complete() {
    drop(PENDING.write().await);
}
