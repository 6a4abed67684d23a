//! Tracks the creation of resources. An engine or a cluster completes a request even if its caller has stopped waiting, and a resource can
//! be removed only after it exists.

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
    // Boxed: otherwise the futures of the callers would contain it.
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

/// Waits until all resources that have been requested so far exist.
pub(super) async fn all_are_complete() {
    drop(PENDING.write().await);
}
