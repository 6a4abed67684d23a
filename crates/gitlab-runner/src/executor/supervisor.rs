//! Starts supervisors, the processes between the runner and the shells of jobs: see [`supervise`](super::supervise).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeWriter};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::script_request::{self, Report};
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
    running: Numbers,
    /// The supervisors that wait for a script. They end when the last copy of this value is dropped.
    idle: Arc<Mutex<Vec<Supervision>>>,
}

/// Process IDs.
type Numbers = Arc<Mutex<BTreeSet<i32>>>;

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
        Some(Self {
            program: "/proc/self/exe".into(),
            argument: argument.into(),
            running: Arc::default(),
            idle: Arc::default(),
        })
    }

    /// Runs a script in `dir` with the shell `program`, under an idle supervisor or a new one. `change` sets the environment of a new
    /// one; all scripts of this value get the same environment and the same shell.
    ///
    /// # Errors
    /// The supervisor cannot be started.
    pub(super) async fn start(
        &self,
        program: &Path,
        dir: &Path,
        script: &File,
        outputs: [&PipeWriter; 2],
        change: impl FnOnce(&mut Command),
    ) -> io::Result<Supervision> {
        while let Some(idle) = self.take() {
            // It may have been killed.
            if idle.send(dir, script, outputs).await.is_ok() {
                return Ok(idle);
            }
        }
        let new = self.spawn(program, change)?;
        new.send(dir, script, outputs).await?;
        Ok(new)
    }

    fn take(&self) -> Option<Supervision> {
        lock(&self.idle).pop()
    }

    /// Keeps a supervisor whose script is complete for the next one.
    pub(super) fn keep(&self, supervision: Supervision) {
        // The signal may have arrived after the end of the script, and would end the next one.
        if !supervision.is_signalled {
            lock(&self.idle).push(supervision);
        }
    }

    fn spawn(&self, program: &Path, change: impl FnOnce(&mut Command)) -> io::Result<Supervision> {
        let (own, theirs) = std::os::unix::net::UnixStream::pair()?;
        own.set_nonblocking(true)?;
        let mut command = Command::new(&self.program);
        command.arg(&self.argument).arg(std::process::id().to_string()).arg(program);
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
        change(&mut command);
        // Locked until the process is known as a supervisor.
        let mut running = lock(&self.running);
        let child = command.spawn()?;
        let number = child.id().and_then(|id| i32::try_from(id).ok());
        running.extend(number);
        let connection = UnixStream::from_std(own)?;
        Ok(Supervision { child, number, running: Arc::clone(&self.running), connection, is_signalled: false })
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
        let number = getpid().as_raw_nonzero().get();
        let running = lock(&self.running);
        let all: Vec<Process> = processes::all().into_iter().flatten().collect();
        let Some(own) = all.iter().find(|process| process.number == number).copied() else { return Vec::new() };
        let is_adopted = |process: &&Process| {
            process.parent == own.number && process.session != own.session && !running.contains(&process.number)
        };
        let adopted: Vec<Process> = all.iter().filter(is_adopted).copied().collect();
        let numbers = adopted.iter().map(|process| process.number).collect();
        adopted.into_iter().chain(processes::descendants(numbers, all)).collect()
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock is usable: no operation under it can fail halfway.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A supervisor that was started, and the connection to it.
#[derive(Debug)]
pub(super) struct Supervision {
    /// The supervisor.
    pub(super) child: Child,
    number: Option<i32>,
    running: Numbers,
    connection: UnixStream,
    is_signalled: bool,
}

impl Supervision {
    /// Sends a script.
    ///
    /// # Errors
    /// The supervisor has ended, and has not begun with the script.
    async fn send(&self, dir: &Path, script: &File, outputs: [&PipeWriter; 2]) -> io::Result<()> {
        let send = || script_request::send(&self.connection, dir, script, outputs);
        self.connection.async_io(Interest::WRITABLE, send).await?;
        self.receive(&mut [0]).await
    }

    /// Waits for the end of the script. A call that is dropped can be repeated.
    ///
    /// # Errors
    /// The supervisor has ended.
    pub(super) async fn report(&self) -> io::Result<Report> {
        let mut message = [0; Report::LENGTH];
        self.receive(&mut message).await?;
        Ok(Report::from_bytes(message))
    }

    /// Receives a message of a known length. It is shorter than any buffer of a connection, so it arrives as a whole.
    async fn receive(&self, message: &mut [u8]) -> io::Result<()> {
        let receive = || Ok(rustix::io::read(&self.connection, &mut *message)?);
        if self.connection.async_io(Interest::READABLE, receive).await? < message.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Sends a signal to the supervisor.
    pub(super) fn signal(&mut self, signal: Signal) {
        self.is_signalled = true;
        // A process that was waited for has no number.
        if let (Some(process), Some(_)) = (self.number.and_then(Pid::from_raw), self.child.id()) {
            let _ = kill_process(process, signal);
        }
    }
}

impl Drop for Supervision {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            lock(&self.running).remove(&number);
        }
    }
}
