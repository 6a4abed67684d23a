//! When the cluster, or somebody at a terminal, wants the program to end.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Completes with the first SIGTERM or SIGINT. To be called first of all: process 1 has no default reaction to these, and
/// would ignore them.
///
/// # Errors
///
/// When signals cannot be taken.
pub fn requested() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
