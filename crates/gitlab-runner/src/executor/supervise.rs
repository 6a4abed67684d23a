//! A process between the runner and a job's shell, which ends everything that the job has started.
//!
//! A process group is not enough: a daemon leaves it with `setsid`. The supervisor is the *subreaper* of its descendants: a process whose
//! parent has ended becomes the supervisor's child. `PR_SET_CHILD_SUBREAPER(2const)`

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitOptions, getpid, getppid, kill_process, set_child_subreaper, set_parent_process_death_signal,
    setsid, wait, waitpid,
};
use rustix::stdio::{dup2_stderr, dup2_stdout};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, interval, interval_at, sleep, timeout};

use super::script_end::ScriptEnd;
use super::shell_process::{self, GRACE};
use super::supervisor::{MAX_WAIT, POLL_INTERVAL};
use crate::processes;

/// Time between SIGTERM and SIGKILL for processes that the script has left running.
const GRACE_AFTER_SCRIPT: Duration = Duration::from_millis(500);

/// Interval at which ended daemons are reaped while the script runs.
const REAP_INTERVAL: Duration = Duration::from_secs(10);

/// Interval at which ended processes are reaped after the shell has ended.
const REAP_INTERVAL_AFTER_SCRIPT: Duration = Duration::from_millis(100);

/// Runs a job's shell and reports its end to the runner. While the shell runs, SIGUSR1 sends SIGTERM to all of its descendants. SIGTERM
/// does the same, and kills them after five seconds; the kernel sends it when the thread that started this process ends. When the shell
/// has ended, waits for its other processes, which either signal ends within 500 ms.
///
/// `arguments` are the process ID of the runner and the path of the shell. On the command line, they follow the argument that was passed to [`Supervisor::this_program`](super::supervisor::Supervisor::this_program).
///
/// If the shell cannot be started or supervised, prints the reason to the job's log, and kills this process. No exit code could report
/// this failure of the machine: a shell can return any exit code, and the runner would report a failure of the job.
pub fn supervise(arguments: impl Iterator<Item = OsString>) -> u8 {
    let error = match run(arguments) {
        Ok(code) => return code,
        Err(error) => error,
    };
    // The log may be closed.
    let _ = writeln!(io::stderr(), "cannot run the job's shell: {error}");
    let _ = kill_process(getpid(), Signal::KILL);
    1
}

fn run(mut arguments: impl Iterator<Item = OsString>) -> io::Result<u8> {
    let parent = arguments.next().and_then(|parent| parent.to_str()?.parse().ok()).and_then(Pid::from_raw);
    let program = arguments.next().ok_or(io::ErrorKind::InvalidInput)?;
    // A session of its own tells the processes of jobs from others, also if the supervisor is killed: `Supervisor::end_adopted`.
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    set_parent_process_death_signal(Some(Signal::TERM))?;
    if parent.is_none() || getppid() != parent {
        return Err(io::Error::other("the runner has ended"));
    }
    // The runner sends the script over the connection at standard input, and gets the end of the shell over it.
    let mut runner = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut script = Vec::new();
    runner.read_to_end(&mut script)?;
    let script = shell_process::input(&script)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut stopped, mut asked) = (signal(SignalKind::terminate())?, signal(SignalKind::user_defined1())?);
        let mut child = Command::new(program).stdin(script).process_group(0).spawn()?;
        // The runner reads the output until no process holds it open.
        let nothing = OpenOptions::new().write(true).open("/dev/null")?;
        dup2_stdout(&nothing)?;
        dup2_stderr(&nothing)?;
        // The first tick of `interval` would come at once: most jobs end before one is useful, and it reads about every process.
        let mut reaping = interval_at(Instant::now() + REAP_INTERVAL, REAP_INTERVAL);
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                _ = asked.recv() => signal_all(Signal::TERM),
                _ = stopped.recv() => {
                    signal_all(Signal::TERM);
                    break if let Ok(ended) = timeout(GRACE, child.wait()).await {
                        ended?
                    } else {
                        signal_all(Signal::KILL);
                        // It may be in an uninterruptible system call, or belong to another user by now.
                        timeout(MAX_WAIT, child.wait()).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?
                    };
                }
                _ = reaping.tick() => reap_others(&child),
            }
        };
        // The runner may have ended.
        let _ = runner.write_all(&ScriptEnd::from(status).number().to_le_bytes());
        drop(runner);
        let mut reaping = interval(REAP_INTERVAL_AFTER_SCRIPT);
        while reap() {
            tokio::select! {
                _ = stopped.recv() => break,
                _ = asked.recv() => break,
                _ = reaping.tick() => {}
            }
        }
        end_all(GRACE_AFTER_SCRIPT).await;
        Ok(0)
    })
}

/// Ends all descendants: with SIGTERM, and after `grace` with SIGKILL.
async fn end_all(grace: Duration) {
    let started = Instant::now();
    let mut is_terminated = false;
    while reap() && started.elapsed() < grace + MAX_WAIT {
        if started.elapsed() >= grace {
            signal_all(Signal::KILL);
        } else if !is_terminated {
            signal_all(Signal::TERM);
            is_terminated = true;
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Reaps all children that have ended. Returns whether others are left. Must not be called while Tokio waits for a child.
fn reap() -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Reaps the children that have ended, except for the shell.
fn reap_others(shell: &Child) {
    let own = getpid().as_raw_nonzero().get();
    let children = processes::all().into_iter().flatten().filter(|process| process.parent == own);
    for child in children.filter(|child| shell.id() != u32::try_from(child.number).ok()) {
        let _ = waitpid(Pid::from_raw(child.number), WaitOptions::NOHANG);
    }
}

/// Sends a signal to all descendants.
fn signal_all(signal: Signal) {
    let all = processes::all().into_iter().flatten().collect();
    processes::signal(&processes::descendants(vec![getpid().as_raw_nonzero().get()], all), signal);
}
