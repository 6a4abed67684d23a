//! Whether this process is alive, and whether it wants traffic.
//!
//! The two are different questions. A service that is starting or draining does not want traffic and is well; killing it
//! for that would lose the requests it still holds. See <https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/>.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What the probes ask for. Shared by all requests.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    ready_after: Duration,
    draining: CancellationToken,
    unready: FaultWindow,
    hung: FaultWindow,
}

/// Why a service does not want traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// `--ready-after` has not passed.
    Starting,
    /// A signal to stop has come.
    Draining,
    /// `POST /fault/unready` asked for it.
    Fault,
}

impl fmt::Display for NotReady {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Starting => "starting",
            Self::Draining => "draining",
            Self::Fault => "made unready by /fault/unready",
        })
    }
}

impl Health {
    /// A service that started now.
    pub fn new(ready_after: Duration) -> Self {
        Self {
            started: Instant::now(),
            ready_after,
            draining: CancellationToken::new(),
            unready: FaultWindow::default(),
            hung: FaultWindow::default(),
        }
    }

    /// Whether traffic is wanted, and if not, why.
    ///
    /// # Errors
    /// The first reason, in the order starting, draining, fault.
    pub fn ready(&self) -> Result<(), NotReady> {
        if self.started.elapsed() < self.ready_after {
            Err(NotReady::Starting)
        } else if self.is_draining() {
            Err(NotReady::Draining)
        } else if self.unready.end(self.started).is_some() {
            Err(NotReady::Fault)
        } else {
            Ok(())
        }
    }

    /// Returns once `--ready-after` has passed.
    pub async fn started(&self) {
        tokio::time::sleep_until(self.started + self.ready_after).await;
    }

    /// Returns once this process is alive: at once, unless `POST /fault/hang` said otherwise. A hang ends with the
    /// shutdown, so that a probe that waits for an answer does not hold it up.
    pub async fn alive(&self) {
        if let Some(end) = self.hung.end(self.started) {
            tokio::select! {
                () = tokio::time::sleep_until(end) => {}
                () = self.draining.cancelled() => {}
            }
        }
    }

    /// From now on not ready, until the end of the process.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Whether a signal to stop has come.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Not ready for `duration`, or for good.
    pub fn make_unready(&self, duration: Option<Duration>) {
        self.unready.open(self.started, duration);
    }

    /// Liveness does not answer for `duration`, or for good.
    pub fn hang(&self, duration: Option<Duration>) {
        self.hung.open(self.started, duration);
    }
}

/// A stretch of time in which a fault is on, as its end in milliseconds after the start of the service. Zero is off.
#[derive(Debug, Default)]
struct FaultWindow(AtomicU64);

impl FaultWindow {
    /// Longer than any pod lives, and far from the end of what an [`Instant`] can hold.
    const FOR_GOOD: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

    fn open(&self, started: Instant, duration: Option<Duration>) {
        let end = started.elapsed() + duration.unwrap_or(Self::FOR_GOOD).min(Self::FOR_GOOD);
        self.0.store(u64::try_from(end.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The end of the fault, while it lasts.
    fn end(&self, started: Instant) -> Option<Instant> {
        let end = Duration::from_millis(self.0.load(Ordering::Relaxed));
        (started.elapsed() < end).then(|| started + end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn ready_after_the_time_given_until_the_drain() {
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
    async fn a_fault_ends_when_it_was_told_to() {
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
    async fn a_hang_lasts_as_long_as_told_and_no_longer_than_the_service() {
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
