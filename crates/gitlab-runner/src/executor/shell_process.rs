//! A script that runs on this machine, and the processes that it leaves running.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::mem;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::output_task::finish;
use super::script_end::ScriptEnd;
use super::supervisor::{Supervision, Supervisor};
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
    shell: Shell,
    /// Tasks that copy the output to the log. They also run while the script is stopped: a handler of SIGTERM may write.
    output: Vec<JoinHandle<()>>,
}

/// The shell of a script.
enum Shell {
    /// It has no supervisor.
    Single {
        child: Child,
        /// The process group. `None` after all of its processes have ended.
        group: Option<ProcessGroup>,
    },
    /// It has a supervisor, which may still wait for the shell's processes.
    Supervised {
        supervisor: Supervisor,
        supervision: Supervision,
        /// How the shell has ended.
        end: Option<ScriptEnd>,
    },
    /// It has ended, and nothing of it runs any more.
    Ended(ScriptEnd),
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
        let script = input(script.as_bytes())?;
        // Only the shell holds the writing ends: the reading ends see when it and its children are done.
        let ((output, output_writer), (errors, errors_writer)) = (io::pipe()?, io::pipe()?);
        let output = pipe::Receiver::from_owned_fd(OwnedFd::from(output))?;
        let errors = pipe::Receiver::from_owned_fd(OwnedFd::from(errors))?;
        let shell = if let Some(supervisor) = supervisor {
            let writers = [&output_writer, &errors_writer];
            let supervision = supervisor.start(program, dir, &script, writers, change).await?;
            Shell::Supervised { supervisor: supervisor.clone(), supervision, end: None }
        } else {
            let mut command = command(program);
            command.current_dir(dir).stdin(script).stdout(output_writer).stderr(errors_writer).process_group(0);
            change(&mut command);
            let child = command.spawn()?;
            let group = ProcessGroup::led_by(&child);
            Shell::Single { child, group }
        };
        let output = [(output, Stream::Out), (errors, Stream::Err)]
            .map(|(from, stream)| tokio::spawn(copy(from, stream, Arc::clone(log))));
        Ok(Self { shell, output: output.into() })
    }

    /// Waits until the shell has ended, and until no process holds its output open. Processes that have other outputs may continue. GitLab
    /// Runner's `executors/shell/shell.go` waits for both.
    pub(super) async fn wait(&mut self) -> io::Result<ScriptEnd> {
        let end = self.shell_end().await?;
        while let Some(task) = self.output.last_mut() {
            // A task that has panicked has printed the reason.
            let _ = task.await;
            self.output.pop();
        }
        Ok(end)
    }

    async fn shell_end(&mut self) -> io::Result<ScriptEnd> {
        match &mut self.shell {
            Shell::Single { child, .. } => Ok(child.wait().await?.into()),
            Shell::Ended(end) | Shell::Supervised { end: Some(end), .. } => Ok(*end),
            Shell::Supervised { supervision, end, .. } => {
                let report = supervision.report().await?;
                *end = Some(report.end);
                if report.is_complete
                    && let Shell::Supervised { supervisor, supervision, .. } =
                        mem::replace(&mut self.shell, Shell::Ended(report.end))
                {
                    supervisor.keep(supervision);
                }
                Ok(report.end)
            }
        }
    }

    /// Sends SIGTERM to the script and waits for `kill_timeout`. Then ends all remaining processes with SIGTERM and SIGKILL: after
    /// [`GRACE`], or, under a supervisor whose shell has ended, after 500 ms.
    pub(super) async fn stop(&mut self, kill_timeout: Option<Duration>) {
        if let Some(kill_timeout) = kill_timeout {
            // A supervisor waits for the script after the first signal, and only five seconds after the second.
            self.signal(if self.is_supervised() { Signal::USR1 } else { Signal::TERM });
            let _ = timeout(kill_timeout, self.wait()).await;
        }
        if self.is_running() {
            self.signal(Signal::TERM);
            self.wait_for_end().await;
        }
        if self.is_running() {
            self.signal(Signal::KILL);
            if let Shell::Single { child, .. } | Shell::Supervised { supervision: Supervision { child, .. }, .. } =
                &mut self.shell
            {
                let _ = timeout(GRACE, child.wait()).await;
            }
        }
        if self.is_killed()
            && let Shell::Supervised { supervisor, .. } = &self.shell
        {
            supervisor.end_adopted().await;
        }
        if let Shell::Single { group, .. } = &mut self.shell {
            *group = None;
        }
        for mut task in self.output.drain(..) {
            finish(&mut task, OUTPUT_TIMEOUT).await;
        }
    }

    async fn wait_for_end(&mut self) {
        if self.is_supervised() {
            let _ = timeout(GRACE + SUPERVISOR_GRACE, self.supervisor_end()).await;
            return;
        }
        let started = Instant::now();
        while self.is_running() && started.elapsed() < GRACE {
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until the supervisor has ended everything, or has been killed.
    async fn supervisor_end(&mut self) {
        let _ = self.shell_end().await;
        if let Shell::Supervised { supervision, .. } = &mut self.shell {
            let _ = supervision.child.wait().await;
        }
    }

    fn is_supervised(&self) -> bool {
        matches!(self.shell, Shell::Supervised { .. })
    }

    /// Whether any process of the script still runs.
    pub(super) fn is_running(&mut self) -> bool {
        match &mut self.shell {
            Shell::Single { group, .. } => {
                if !group.is_some_and(ProcessGroup::is_running) {
                    // From now on, the ID of the group may belong to another one.
                    *group = None;
                }
                group.is_some()
            }
            // The supervisor ends after everything that the script has started.
            Shell::Supervised { supervision, .. } => matches!(supervision.child.try_wait(), Ok(None)),
            Shell::Ended(_) => false,
        }
    }

    /// Whether the supervisor was killed. It may have left everything running.
    pub(super) fn is_killed(&mut self) -> bool {
        let Shell::Supervised { supervision, .. } = &mut self.shell else { return false };
        matches!(supervision.child.try_wait(), Ok(Some(status)) if status.signal().is_some())
    }

    fn signal(&mut self, signal: Signal) {
        match &mut self.shell {
            Shell::Single { group, .. } => drop(group.map(|group| group.signal(signal))),
            Shell::Supervised { supervision, .. } => supervision.signal(signal),
            Shell::Ended(_) => {}
        }
    }
}

impl Drop for ShellProcess {
    fn drop(&mut self) {
        // A supervisor that was killed would leave everything behind.
        self.signal(if self.is_supervised() { Signal::TERM } else { Signal::KILL });
    }
}

/// The command of a shell. `$0` and the shell's messages name it without its path, because GitLab Runner starts it by its name:
/// `executors/shell/shell.go`.
pub(super) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg0(program.file_name().unwrap_or(program.as_os_str()));
    command
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

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[tokio::test]
    async fn a_shell_is_called_by_its_name() {
        let mut command = command(Path::new("/bin/sh"));
        command.stdin(input(b"echo $0").unwrap()).stdout(Stdio::piped());
        assert_eq!(command.output().await.unwrap().stdout, b"sh\n");
    }
}
