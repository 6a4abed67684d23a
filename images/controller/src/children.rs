//! Child processes, and the duty of process 1 to take in everybody's orphans.
//!
//! One place waits for all of them: a general `wait` anywhere else would steal the end of a child from the one who
//! waits for just that.

use std::collections::HashMap;
use std::io;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

type Waiting = Arc<Mutex<HashMap<Pid, oneshot::Sender<WaitStatus>>>>;

/// Starts children and tells when they end.
#[derive(Clone, Debug)]
pub struct Children {
    waiting: Waiting,
}

/// A child that was started.
#[derive(Debug)]
pub struct Running {
    /// Its number, valid until `ending` has told the end.
    pub pid: Pid,
    /// Tells how it ended.
    pub ending: oneshot::Receiver<WaitStatus>,
    /// Its pipes, where asked for. Never waited for: that is done here.
    pub child: Child,
}

impl Children {
    /// Takes over the waiting for all children of this process.
    ///
    /// # Errors
    ///
    /// When the signal for ended children cannot be listened to.
    pub fn new() -> io::Result<Self> {
        let waiting = Waiting::default();
        let mut ended = signal(SignalKind::child())?;
        let reaper = waiting.clone();
        tokio::spawn(async move {
            while ended.recv().await.is_some() {
                reap(&reaper);
            }
        });
        Ok(Self { waiting })
    }

    /// Starts `command`.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Running> {
        // Held over the start: a child that ends at once must not be reaped before somebody is noted to wait for it.
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        let (tell, ending) = oneshot::channel();
        waiting.insert(pid, tell);
        Ok(Running { pid, ending, child })
    }
}

fn reap(waiting: &Waiting) {
    let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    while let Ok(Some((pid, status))) = waitpid(None, WaitOptions::NOHANG) {
        if let Some(tell) = waiting.remove(&pid) {
            // Nobody listens any more: then the end is nobody's concern either.
            let _ = tell.send(status);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test alone: there is one set of children in a process, and a second `Children` would take their ends away.
    #[tokio::test]
    async fn each_end_reaches_who_started_that_child() {
        let children = Children::new().unwrap();
        let error = children.spawn(&mut Command::new("/does/not/exist")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let start = |code: &str| children.spawn(Command::new("sh").arg("-c").arg(format!("exit {code}"))).unwrap();
        let started = ["3", "0", "7"].map(start);
        let mut codes = Vec::new();
        for running in started {
            codes.push(running.ending.await.unwrap().exit_status());
        }
        assert_eq!(codes, [Some(3), Some(0), Some(7)]);
    }
}
