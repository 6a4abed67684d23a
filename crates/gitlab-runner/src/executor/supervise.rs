//! A process between the runner and the shells of jobs, which ends everything that a job has started.
//!
//! A process group is not enough: a daemon leaves it with `setsid`. The supervisor is the *subreaper* of its descendants: a process whose
//! parent has ended becomes the supervisor's child. `PR_SET_CHILD_SUBREAPER(2const)`
//!
//! A supervisor runs one script at a time. If nothing of the script is left when its shell has ended, it runs another one: starting a
//! supervisor takes longer than starting a shell.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitOptions, getpid, getppid, kill_process, set_child_subreaper, set_parent_process_death_signal,
    setsid, wait, waitpid,
};
use tokio::process::Child;
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::time::{Instant, interval, interval_at, sleep, timeout};

use super::script_end::ScriptEnd;
use super::script_request::{Report, ScriptRequest, receive};
use super::shell_process::{GRACE, command};
use super::supervisor::{MAX_WAIT, POLL_INTERVAL};
use crate::processes;

/// Time between SIGTERM and SIGKILL for processes that the script has left running.
const GRACE_AFTER_SCRIPT: Duration = Duration::from_millis(500);

/// Interval at which ended daemons are reaped while the script runs.
const REAP_INTERVAL: Duration = Duration::from_secs(10);

/// Interval at which ended processes are reaped after the shell has ended.
const REAP_INTERVAL_AFTER_SCRIPT: Duration = Duration::from_millis(100);

/// Runs the scripts that the runner sends over the connection at standard input, and reports their ends. While a shell runs, SIGUSR1 sends
/// SIGTERM to all of its descendants. SIGTERM does the same, and kills them after five seconds; the kernel sends it when the thread that
/// started this process ends. If a shell leaves processes running, waits for them, and ends; either signal ends them within 500 ms.
///
/// `arguments` are the process ID of the runner and the path of the shell. On the command line, they follow the argument that was passed to
/// [`Supervisor::this_program`](super::supervisor::Supervisor::this_program).
///
/// If a shell cannot be started or supervised, prints the reason to the job's log, and kills this process. No exit code could report
/// this failure of the machine: a shell can return any exit code, and the runner would report a failure of the job.
pub fn supervise(arguments: impl Iterator<Item = OsString>) -> u8 {
    let mut log = None;
    let error = match run(arguments, &mut log) {
        Ok(()) => return 0,
        Err(error) => error,
    };
    if let Some(mut log) = log {
        // In one piece, which the runner cannot read in parts. The log may be closed.
        let _ = log.write_all(format!("cannot run the job's shell: {error}\n").as_bytes());
    }
    let _ = kill_process(getpid(), Signal::KILL);
    1
}

/// The signals of the runner.
struct Signals {
    /// Ends the script.
    stop: unix::Signal,
    /// Asks the script to end.
    ask: unix::Signal,
}

/// Runs scripts until the connection is closed, or processes were left running. `log` is the job's log until its shell runs.
fn run(mut arguments: impl Iterator<Item = OsString>, log: &mut Option<File>) -> io::Result<()> {
    let parent = arguments.next().and_then(|parent| parent.to_str()?.parse().ok()).and_then(Pid::from_raw);
    let program = arguments.next().ok_or(io::ErrorKind::InvalidInput)?;
    let mut runner = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // The first request comes with the log, for the errors of the following steps.
    let mut next = receive(&runner)?;
    if let Some(request) = &next {
        *log = Some(request.errors.try_clone()?.into());
    }
    // A session of its own tells the processes of jobs from others, also if the supervisor is killed: `Supervisor::end_adopted`.
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    set_parent_process_death_signal(Some(Signal::TERM))?;
    if parent.is_none() || getppid() != parent {
        return Err(io::Error::other("the runner has ended"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals { stop: signal(SignalKind::terminate())?, ask: signal(SignalKind::user_defined1())? };
        while let Some(request) = next {
            *log = Some(request.errors.try_clone()?.into());
            let shell = start(Path::new(&program), request)?;
            // The runner reads the output until no process holds it open.
            *log = None;
            if !finish(shell, &mut signals, &mut runner).await? {
                break;
            }
            // No signal comes meanwhile, and at the end of the runner the connection is closed.
            next = receive(&runner)?;
        }
        Ok(())
    })
}

fn start(program: &Path, request: ScriptRequest) -> io::Result<Child> {
    let ScriptRequest { dir, script, output, errors } = request;
    let mut command = command(program);
    command.current_dir(dir).stdin(script).stdout(output).stderr(errors).process_group(0);
    command.spawn()
}

/// Waits for the end of the shell and of everything that it has started. Returns whether nothing had to be ended.
async fn finish(mut shell: Child, signals: &mut Signals, runner: &mut UnixStream) -> io::Result<bool> {
    // The first tick of `interval` would come at once: most jobs end before one is useful, and it reads about every process.
    let mut reaping = interval_at(Instant::now() + REAP_INTERVAL, REAP_INTERVAL);
    let status = loop {
        tokio::select! {
            status = shell.wait() => break status?,
            _ = signals.ask.recv() => signal_all(Signal::TERM),
            _ = signals.stop.recv() => {
                signal_all(Signal::TERM);
                break if let Ok(ended) = timeout(GRACE, shell.wait()).await {
                    ended?
                } else {
                    signal_all(Signal::KILL);
                    // It may be in an uninterruptible system call, or belong to another user by now.
                    timeout(MAX_WAIT, shell.wait()).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?
                };
            }
            _ = reaping.tick() => reap_others(&shell),
        }
    };
    let is_complete = !reap();
    let report = Report { end: ScriptEnd::from(status), is_complete };
    // The runner may have ended.
    let _ = runner.write_all(&report.to_bytes());
    if is_complete {
        return Ok(true);
    }
    let mut reaping = interval(REAP_INTERVAL_AFTER_SCRIPT);
    while reap() {
        tokio::select! {
            _ = signals.stop.recv() => break,
            _ = signals.ask.recv() => break,
            _ = reaping.tick() => {}
        }
    }
    end_all(GRACE_AFTER_SCRIPT).await;
    Ok(false)
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
