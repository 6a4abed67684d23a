//! A script that runs on this machine, and the processes that it leaves running.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::output_task::finish;
use super::script_end::ScriptEnd;
use super::supervisor::{Running, Supervisor};
use crate::log::{JobLog, Stream};
use crate::process_group::ProcessGroup;

/// Time between SIGTERM and SIGKILL when a job is canceled. Without a supervisor, also for processes that the script has left running.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// Additional time for a supervisor to end: it waits 10 s for killed processes.
const SUPERVISOR_GRACE: Duration = Duration::from_secs(12);

/// Maximum time to read the output after all processes have ended. A process that has left its group may keep it open.
const OUTPUT_TIMEOUT: Duration = Duration::from_millis(500);

/// Interval at which ended processes are looked for while a script is stopped.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A script that was started, until all of its processes have ended.
pub(super) struct ShellProcess {
    child: Child,
    /// The process group of a shell without a supervisor.
    group: Option<ProcessGroup>,
    supervision: Option<Supervision>,
    end: Option<ScriptEnd>,
    /// Tasks that copy the output to the log. They also run while the script is stopped: a handler of SIGTERM may write.
    output: Vec<JoinHandle<()>>,
}

/// A supervisor, and the connection over which it reports the end of the shell.
struct Supervision {
    running: Running,
    connection: UnixStream,
}

impl ShellProcess {
    /// Starts `program` in `dir` with the script as its standard input. `change` sets the environment.
    pub(super) async fn start(
        (program, supervisor): (&Path, Option<&Supervisor>),
        dir: &Path,
        script: &str,
        log: &Arc<JobLog>,
        change: impl FnOnce(&mut Command),
    ) -> io::Result<Self> {
        let (mut command, connection) = command(program.as_os_str(), supervisor, script)?;
        command.current_dir(dir).stdout(Stdio::piped()).stderr(Stdio::piped());
        change(&mut command);
        let (mut child, group, running) = if let Some(supervisor) = supervisor {
            // It leads a session of its own, and so must not lead a group before.
            let (child, running) = supervisor.spawn(&mut command)?;
            (child, None, Some(running))
        } else {
            let child = command.process_group(0).spawn()?;
            let group = ProcessGroup::led_by(&child);
            (child, group, None)
        };
        // The command holds the supervisor's end of the connection.
        drop(command);
        let supervision = running.zip(connection).map(|(running, connection)| Supervision { running, connection });
        let output = [
            child.stdout.take().map(|from| tokio::spawn(copy(from, Stream::Out, Arc::clone(log)))),
            child.stderr.take().map(|from| tokio::spawn(copy(from, Stream::Err, Arc::clone(log)))),
        ];
        let output = output.into_iter().flatten().collect();
        let mut process = Self { child, group, supervision, end: None, output };
        if let Some(Supervision { connection, .. }) = &mut process.supervision {
            // A supervisor that has ended is reported by `wait`.
            let _ = connection.write_all(script.as_bytes()).await;
            let _ = connection.shutdown().await;
        }
        Ok(process)
    }

    /// Waits until the shell has ended, and until no process holds its output open. Processes that have other outputs may continue. GitLab
    /// Runner's `executors/shell/shell.go` waits for both.
    pub(super) async fn wait(&mut self) -> io::Result<ScriptEnd> {
        let end = match (self.end, &mut self.supervision) {
            (Some(end), _) => end,
            (None, Some(supervision)) => ScriptEnd::from_number(supervision.connection.read_i32_le().await?),
            (None, None) => self.child.wait().await?.into(),
        };
        self.end = Some(end);
        while let Some(task) = self.output.last_mut() {
            // A task that has panicked has printed the reason.
            let _ = task.await;
            self.output.pop();
        }
        Ok(end)
    }

    /// Sends SIGTERM to the script and waits for `kill_timeout`. Then ends all remaining processes with SIGTERM and SIGKILL: after
    /// [`GRACE`], or, under a supervisor whose shell has ended, after 500 ms.
    pub(super) async fn stop(&mut self, kill_timeout: Option<Duration>) {
        if let Some(kill_timeout) = kill_timeout {
            // A supervisor waits for the script after the first signal, and only five seconds after the second.
            self.signal(if self.supervision.is_some() { Signal::USR1 } else { Signal::TERM });
            let _ = timeout(kill_timeout, self.wait()).await;
        }
        if self.is_running() {
            self.signal(Signal::TERM);
            self.wait_for_end().await;
        }
        if self.is_running() {
            self.signal(Signal::KILL);
            let _ = timeout(GRACE, self.child.wait()).await;
        }
        if self.is_killed()
            && let Some(Supervision { running, .. }) = &self.supervision
        {
            running.supervisor.end_adopted().await;
        }
        self.group = None;
        for mut task in self.output.drain(..) {
            finish(&mut task, OUTPUT_TIMEOUT).await;
        }
    }

    async fn wait_for_end(&mut self) {
        if self.supervision.is_some() {
            let _ = timeout(GRACE + SUPERVISOR_GRACE, self.child.wait()).await;
            return;
        }
        let started = Instant::now();
        while self.is_running() && started.elapsed() < GRACE {
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Whether any process of the script still runs.
    pub(super) fn is_running(&mut self) -> bool {
        let is_running = if self.supervision.is_some() {
            // The supervisor ends after everything that the script has started.
            matches!(self.child.try_wait(), Ok(None))
        } else {
            self.group.is_some_and(ProcessGroup::is_running)
        };
        if !is_running {
            // From now on, the ID of the group may belong to another one.
            self.group = None;
        }
        is_running
    }

    /// Whether the supervisor was killed. It may have left everything running.
    pub(super) fn is_killed(&mut self) -> bool {
        self.supervision.is_some() && matches!(self.child.try_wait(), Ok(Some(status)) if status.signal().is_some())
    }

    fn signal(&self, signal: Signal) {
        match &self.supervision {
            // A process that was waited for has no number.
            Some(Supervision { running, .. }) if self.child.id().is_some() => running.signal(signal),
            Some(_) => {}
            None => drop(self.group.map(|group| group.signal(signal))),
        }
    }
}

impl Drop for ShellProcess {
    fn drop(&mut self) {
        // A supervisor that was killed would leave everything behind.
        self.signal(if self.supervision.is_some() { Signal::TERM } else { Signal::KILL });
    }
}

/// The command that runs a script, and the connection to its supervisor.
fn command(
    program: &OsStr,
    supervisor: Option<&Supervisor>,
    script: &str,
) -> io::Result<(Command, Option<UnixStream>)> {
    let Some(supervisor) = supervisor else {
        let mut command = Command::new(program);
        command.stdin(input(script.as_bytes())?);
        return Ok((command, None));
    };
    let (own, theirs) = std::os::unix::net::UnixStream::pair()?;
    own.set_nonblocking(true)?;
    let mut command = Command::from(supervisor.command(program));
    command.stdin(OwnedFd::from(theirs));
    Ok((command, Some(UnixStream::from_std(own)?)))
}

/// A script as standard input, in an unnamed file: a shell reads a file in blocks, but a pipe byte by byte.
pub(super) fn input(script: &[u8]) -> io::Result<File> {
    // In memory, so that secrets in the script are not written to a disk.
    #[cfg(target_os = "linux")]
    let mut file = File::from(rustix::fs::memfd_create("script", rustix::fs::MemfdFlags::CLOEXEC)?);
    #[cfg(not(target_os = "linux"))]
    let mut file = tempfile::tempfile()?;
    file.write_all(script)?;
    file.rewind()?;
    Ok(file)
}

async fn copy(mut from: impl AsyncRead + Unpin, stream: Stream, log: Arc<JobLog>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count) = from.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        log.write(stream, buffer.get(..count).unwrap_or_default());
    }
}
