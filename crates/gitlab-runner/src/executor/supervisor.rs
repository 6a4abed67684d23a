//! How to start a supervisor, a process between the runner and a job's shell: see [`supervise`](super::supervise).

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, getpid, getsid, kill_process, set_child_subreaper, waitpid};
use tokio::process::Child;
use tokio::time::{Instant, sleep};

use crate::processes::{self, Process};

/// Maximum time to wait for killed processes: one in an uninterruptible system call does not end.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(10);

/// Interval at which ended processes are reaped while they are being stopped. Polling is necessary because `wait` has no timeout.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A program that calls `supervise::supervise`.
#[derive(Clone, Debug)]
pub struct Supervisor {
    program: PathBuf,
    argument: OsString,
    /// The process IDs of the supervisors that were started and not waited for.
    running: Arc<Mutex<BTreeSet<i32>>>,
}

impl Supervisor {
    /// The program that runs now, with its first argument. The pipeline must run on a thread that does not end before the process does:
    /// the kernel reports the end of the thread, not of the process, to what it has started. `None` on other systems than Linux, which
    /// cannot supervise.
    ///
    /// This process becomes a subreaper: a job can kill its supervisor, and its other processes then become children of this process.
    pub fn this_program(argument: impl Into<OsString>) -> Option<Self> {
        if !cfg!(target_os = "linux") {
            return None;
        }
        // Without this, only a job that kills its supervisor leaves processes behind.
        let _ = set_child_subreaper(Some(getpid()));
        // This path is valid even after the file was replaced or removed.
        Some(Self { program: "/proc/self/exe".into(), argument: argument.into(), running: Arc::default() })
    }

    /// The command that runs `program` under the supervisor.
    pub(super) fn command(&self, program: &OsStr) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(&self.argument).arg(std::process::id().to_string()).arg(program);
        command
    }

    /// Starts a command that [`command`](Self::command) has returned.
    pub(super) fn spawn(&self, command: &mut tokio::process::Command) -> io::Result<(Child, Running)> {
        // Locked until the process is known as a supervisor.
        let mut running = self.lock();
        let child = command.spawn()?;
        let number = child.id().and_then(|id| i32::try_from(id).ok());
        running.extend(number);
        Ok((child, Running { supervisor: self.clone(), number }))
    }

    /// Kills the processes of supervisors that were killed. They have become children of this process. No other child is in another session
    /// than this process, except for supervisors.
    pub(super) async fn end_adopted(&self) {
        let started = Instant::now();
        while started.elapsed() < MAX_WAIT {
            let adopted = self.adopted();
            if adopted.is_empty() {
                return;
            }
            processes::signal(&adopted, Signal::KILL);
            for process in adopted.into_iter().filter_map(|process| Pid::from_raw(process.number)) {
                // It may be the child of another one.
                let _ = waitpid(Some(process), WaitOptions::NOHANG);
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    fn adopted(&self) -> Vec<Process> {
        let (own, Ok(session)) = (getpid(), getsid(None)) else { return Vec::new() };
        let running = self.lock();
        let all: Vec<Process> = processes::all().into_iter().flatten().collect();
        let is_adopted = |process: &&Process| {
            process.parent == own.as_raw_nonzero().get()
                && process.session != session.as_raw_nonzero().get()
                && !running.contains(&process.number)
        };
        let adopted: Vec<Process> = all.iter().filter(is_adopted).copied().collect();
        let numbers = adopted.iter().map(|process| process.number).collect();
        adopted.into_iter().chain(processes::descendants(numbers, all)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        // A poisoned lock is usable: no operation under it can fail halfway.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A supervisor that was started. It must outlive the process.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) supervisor: Supervisor,
    number: Option<i32>,
}

impl Running {
    /// Sends a signal to the supervisor, which must not have been waited for.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(process) = self.number.and_then(Pid::from_raw) {
            let _ = kill_process(process, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.supervisor.lock().remove(&number);
        }
    }
}
