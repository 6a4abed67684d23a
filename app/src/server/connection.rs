//! One connection: what it is doing, and since when.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// One connection, as its own task and the table see it.
pub(super) struct Connection {
    /// Milliseconds after `epoch` since when it is in its phase, times four, plus the phase.
    state: AtomicU64,
    epoch: Instant,
    pub(super) cut: Notify,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Between two requests.
    Idle = 0,
    /// Within the head of a request, or before the first.
    Head = 1,
    /// A request is being answered.
    Busy = 2,
}

impl Connection {
    pub(super) fn new(epoch: Instant) -> Self {
        let connection = Self { state: AtomicU64::new(0), epoch, cut: Notify::new() };
        connection.enter(Phase::Head);
        connection
    }

    pub(super) fn bytes_arrived(&self) {
        if self.phase().0 == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    pub(super) fn request_begins(&self) {
        self.enter(Phase::Busy);
    }

    pub(super) fn request_ends(&self) {
        self.enter(Phase::Idle);
    }

    fn enter(&self, phase: Phase) {
        let since = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX >> 2);
        // Only the connection's own task writes, so a plain store cannot lose another's.
        self.state.store(since << 2 | phase as u64, Ordering::Relaxed);
    }

    /// The phase, and since when.
    pub(super) fn phase(&self) -> (Phase, Duration) {
        let state = self.state.load(Ordering::Relaxed);
        let phase = match state & 3 {
            0 => Phase::Idle,
            1 => Phase::Head,
            _ => Phase::Busy,
        };
        (phase, Duration::from_millis(state >> 2))
    }
}
