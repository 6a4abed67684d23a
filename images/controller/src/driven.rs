//! The one program that a loop drives.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitStatus, kill_process};
use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::children::Running;

/// The program, as long as it runs.
#[derive(Debug)]
pub struct Driven {
    pid: Pid,
    ending: oneshot::Receiver<WaitStatus>,
}

impl Driven {
    /// A program that was just started.
    pub fn of(running: Running) -> Self {
        Self { pid: running.pid, ending: running.ending }
    }

    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// When it cannot be sent.
    pub fn signal(&self, signal: Signal) -> Result<(), Errno> {
        kill_process(self.pid, signal)
    }

    /// Waits until it ends, for whatever reason.
    pub async fn ended(&mut self) -> Option<WaitStatus> {
        (&mut self.ending).await.ok()
    }

    /// Sends it the signal by which it ends, and waits for that.
    ///
    /// # Errors
    ///
    /// When it cannot be sent.
    pub async fn stop(mut self, signal: Signal) -> Result<(), Errno> {
        self.signal(signal)?;
        self.ended().await;
        Ok(())
    }
}

/// After an error too nothing is left behind: a second start could not take the ports.
impl Drop for Driven {
    fn drop(&mut self) {
        // Once its end is told, the number may be another process's.
        if matches!(self.ending.try_recv(), Err(TryRecvError::Empty)) {
            let _ = self.signal(Signal::TERM);
        }
    }
}
