//! Whether this process is alive, and whether it is ready for traffic.
//!
//! These are two questions. A service that is starting or draining is alive but not ready. Killing it would lose the
//! requests in flight. See <https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/>.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// The state that the probes read, shared by all requests.
#[derive(Debug)]
pub struct Health {
    ready_at: Instant,
    draining: CancellationToken,
    /// The ends of the faults that `/fault/…` has started. The channels have no receivers: they only store a value, and unlike a mutex they
    /// cannot be poisoned.
    unready_until: watch::Sender<Instant>,
    hung_until: watch::Sender<Instant>,
}

/// Why a service is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// `--ready-after` has not passed.
    #[error("starting")]
    Starting,
    /// A signal to stop has arrived.
    #[error("draining")]
    Draining,
    /// `POST /fault/unready` has made the service unready.
    #[error("made unready by /fault/unready")]
    Fault,
}

impl Health {
    /// The health of a service that starts now.
    pub fn new(ready_after: Duration) -> Self {
        let now = Instant::now();
        Self {
            ready_at: now + ready_after,
            draining: CancellationToken::new(),
            unready_until: watch::Sender::new(now),
            hung_until: watch::Sender::new(now),
        }
    }

    /// Whether the service is ready for traffic.
    ///
    /// # Errors
    /// The first reason why it is not, in the order starting, draining, fault.
    pub fn ready(&self) -> Result<(), NotReady> {
        if Instant::now() < self.ready_at {
            Err(NotReady::Starting)
        } else if self.is_draining() {
            Err(NotReady::Draining)
        } else if Instant::now() < *self.unready_until.borrow() {
            Err(NotReady::Fault)
        } else {
            Ok(())
        }
    }

    /// Returns once `--ready-after` has passed.
    pub async fn started(&self) {
        sleep_until(self.ready_at).await;
    }

    /// Returns immediately, or at the end of the hang that `POST /fault/hang` has started. A shutdown ends the hang, so
    /// that a waiting probe does not delay the shutdown.
    pub async fn alive(&self) {
        let end = *self.hung_until.borrow();
        tokio::select! {
            () = sleep_until(end) => {}
            () = self.draining.cancelled() => {}
        }
    }

    /// Makes the service not ready until the process ends.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Whether a signal to stop has arrived.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Makes the service not ready for `duration`, or until the process ends.
    pub fn make_unready(&self, duration: Option<Duration>) {
        self.unready_until.send_replace(end_of_fault(duration));
    }

    /// Makes liveness hang for `duration`, or until the process ends.
    pub fn hang(&self, duration: Option<Duration>) {
        self.hung_until.send_replace(end_of_fault(duration));
    }
}

fn end_of_fault(duration: Option<Duration>) -> Instant {
    /// Longer than any pod lives, and short enough for an [`Instant`].
    const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
    Instant::now() + duration.unwrap_or(TEN_YEARS).min(TEN_YEARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_service_is_ready_from_ready_after_until_it_drains() {
        let health = Health::new(5 * SECOND);
        assert_eq!(health.ready(), Err(NotReady::Starting));
        tokio::time::advance(Duration::from_millis(4999)).await;
        assert_eq!(health.ready(), Err(NotReady::Starting));
        health.started().await;
        assert_eq!(health.ready(), Ok(()));
        health.drain();
        assert_eq!(health.ready(), Err(NotReady::Draining));
    }

    #[tokio::test(start_paused = true)]
    async fn unreadiness_ends_after_its_duration() {
        let health = Health::new(Duration::ZERO);
        health.make_unready(Some(SECOND));
        assert_eq!(health.ready(), Err(NotReady::Fault));
        tokio::time::advance(SECOND).await;
        assert_eq!(health.ready(), Ok(()));
        health.make_unready(None);
        tokio::time::advance(1_000_000 * SECOND).await;
        assert_eq!(health.ready(), Err(NotReady::Fault));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hang_ends_after_its_duration_or_with_the_service() {
        let health = Health::new(Duration::ZERO);
        let started = Instant::now();
        health.alive().await;
        assert_eq!(started.elapsed(), Duration::ZERO);

        health.hang(Some(3 * SECOND));
        health.alive().await;
        // Tokio's timer rounds up to the next millisecond.
        assert!((3 * SECOND..4 * SECOND).contains(&started.elapsed()), "{:?}", started.elapsed());

        health.hang(None);
        let waited = tokio::time::timeout(1_000 * SECOND, health.alive()).await;
        assert!(waited.is_err(), "a hang without an end ended");
        health.drain();
        health.alive().await;
    }
}
