//! What a connection is doing, and since when.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Between two requests.
    Idle,
    /// In the head of a request, or before the first one.
    Head,
    /// A request is being answered.
    Busy,
}

/// The task of a connection writes it, the table of connections reads it.
pub(super) struct Activity(Mutex<(Phase, Instant)>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Mutex::new((Phase::Head, Instant::now())))
    }

    /// The phase, and its start.
    pub(super) fn current(&self) -> (Phase, Instant) {
        *self.lock()
    }

    pub(super) fn enter(&self, phase: Phase) {
        *self.lock() = (phase, Instant::now());
    }

    /// The client has sent bytes: between two requests, a new head begins.
    pub(super) fn bytes_arrived(&self) {
        if self.current().0 == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    fn lock(&self) -> MutexGuard<'_, (Phase, Instant)> {
        // Both values are copied, so a panic cannot leave half of them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
