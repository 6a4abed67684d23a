//! Waits for work whose duration is not known, for as long as it makes progress.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Counts what has moved: bytes that were sent or received.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicU64);

impl Progress {
    /// Notes that `count` more bytes have moved.
    pub(super) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Waits for `work`. Returns `None` when nothing has moved for `limit`.
    pub(super) async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        let (mut seen, mut since) = (self.0.load(Ordering::Relaxed), Instant::now());
        loop {
            // Check several times within the limit, so that the wait is not much longer than the limit.
            let next = Instant::now() + limit / 8;
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                () = sleep_until(next) => {}
            }
            let now = self.0.load(Ordering::Relaxed);
            if now != seen {
                (seen, since) = (now, Instant::now());
            } else if since.elapsed() >= limit {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test]
    async fn work_without_progress_is_given_up() {
        let progress = Progress::default();
        assert_eq!(progress.within(Duration::from_millis(80), pending::<()>()).await, None);
    }

    #[tokio::test]
    async fn work_with_progress_may_take_longer_than_the_limit() {
        let progress = Progress::default();
        let work = async {
            for _ in 0..20 {
                sleep(Duration::from_millis(50)).await;
                progress.add(1);
            }
            7
        };
        assert_eq!(progress.within(Duration::from_millis(800), work).await, Some(7));
    }
}
