//! Tasks that copy the output of a script to the log.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Waits for the end of a task, and ends it after `limit`: a process may keep the output open. A call that is dropped can be repeated.
pub(super) async fn finish(task: &mut JoinHandle<()>, limit: Duration) {
    if timeout(limit, &mut *task).await.is_err() {
        task.abort();
    }
}
