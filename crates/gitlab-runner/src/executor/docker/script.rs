//! Runs a script in the job's container, which reads it from standard input: GitLab Runner's `executors/docker/internal/exec`,
//! `shells/bash.go`.

use std::sync::Arc;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecOptions};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, InspectContainerOptions, StartContainerOptions, StopContainerOptionsBuilder,
    WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;

use super::files::Container;
use crate::executor::output_task::finish;
use crate::executor::request::{ExecutorError, FailureReason};
use crate::log::{JobLog, Stream};
use container_engine::error_message;

/// Maximum time to wait for the remaining output after the container has ended.
pub(super) const OUTPUT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time between SIGTERM and SIGKILL, in seconds.
const GRACE: i32 = 5;

/// Paths of shells, in order of preference: `shells/bash.go`, `bashDetectShellScript`.
const SHELLS: [&str; 7] =
    ["/usr/local/bin/bash", "/usr/bin/bash", "/bin/bash", "/usr/local/bin/sh", "/usr/bin/sh", "/bin/sh", "/busybox/sh"];

/// The command of a job's container: the first shell that exists, or the one that the runner is configured to use. The shell reads the
/// script from standard input.
pub(super) fn command(shell: Option<&str>) -> Vec<String> {
    let shells = SHELLS.iter().filter(|path| shell.is_none_or(|shell| path.rsplit('/').next() == Some(shell)));
    let tests = shells.map(|path| format!("if [ -x {path} ]; then exec {path}; fi\n")).collect::<Vec<_>>().concat();
    let name = shell.unwrap_or("bash or sh");
    let script = format!("{tests}echo shell not found: {name} >&2\nexit 1\n");
    ["sh", "-c", &script].map(str::to_owned).into()
}

impl Container<'_> {
    /// Runs a script, and returns its exit code. `image` is the name of the container's image for messages.
    ///
    /// `copying` gets the task that copies the output, which also runs while the script is stopped: a handler of SIGTERM may write.
    pub(super) async fn run(
        self,
        script: &str,
        image: &str,
        log: &Arc<JobLog>,
        copying: &mut Option<JoinHandle<()>>,
    ) -> Result<i32, ExecutorError> {
        let options = AttachContainerOptionsBuilder::new().stream(true).stdin(true).stdout(true).stderr(true).build();
        let attached = self.engine.attach_container(self.name, Some(options)).await;
        let mut attached = attached.map_err(|error| lost(&error))?;
        let started = self.engine.start_container(self.name, None::<StartContainerOptions>).await;
        started.map_err(|error| not_started(&error_message(&error), image))?;
        let feed = async {
            // A shell that ends before it has read the whole script reports the reason itself.
            let _ = attached.input.write_all(script.as_bytes()).await;
            let _ = attached.input.shutdown().await;
        };
        let (mut output, copy_log) = (attached.output, Arc::clone(log));
        let task = copying.insert(tokio::spawn(async move {
            while let Some(Ok(output)) = output.next().await {
                match output {
                    LogOutput::StdErr { message } => copy_log.write(Stream::Err, &message),
                    LogOutput::StdOut { message } | LogOutput::Console { message } => {
                        copy_log.write(Stream::Out, &message);
                    }
                    LogOutput::StdIn { .. } => {}
                }
            }
        }));
        let ((), code) = tokio::join!(feed, self.exit_code());
        // All processes have ended with the container, but output may still arrive.
        finish(task, OUTPUT_TIMEOUT).await;
        *copying = None;
        let code = code.map_err(|error| lost(&error))?;
        if code == 137 && self.is_out_of_memory().await {
            log.warn(
                "the job container ran out of memory: the limit is `memory` in [runners.docker] or this machine's memory",
            );
        }
        // Exit codes fit in a byte.
        Ok(i32::try_from(code).unwrap_or(1))
    }

    /// Waits until the container ends, and returns its exit code.
    pub(super) async fn exit_code(self) -> Result<i64, Error> {
        let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
        let mut wait = std::pin::pin!(self.engine.wait_container(self.name, Some(options)));
        match wait.next().await {
            Some(Ok(response)) => Ok(response.status_code),
            // The library reports every exit code except 0 as an error.
            Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(error),
            None => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
        }
    }

    async fn is_out_of_memory(self) -> bool {
        let inspected = self.engine.inspect_container(self.name, None::<InspectContainerOptions>).await;
        inspected.is_ok_and(|container| container.state.and_then(|state| state.oom_killed) == Some(true))
    }

    /// Stops all processes in the container: sends SIGTERM, then SIGKILL.
    pub(super) async fn stop(self) {
        // The shell is the container's first process and handles a signal only after its current command has ended. So all other
        // processes get the signal, too.
        let kill = CreateExecOptions {
            cmd: Some(vec!["sh", "-c", "kill -TERM -1; kill -TERM 1"]),
            user: Some("0:0"),
            ..CreateExecOptions::default()
        };
        if let Ok(exec) = self.engine.create_exec(self.name, kill).await {
            let options = StartExecOptions { detach: true, ..StartExecOptions::default() };
            // The container may have ended in the meantime.
            let _ = self.engine.start_exec(&exec.id, Some(options)).await;
        }
        let options = StopContainerOptionsBuilder::new().t(GRACE).build();
        let _ = self.engine.stop_container(self.name, Some(options)).await;
    }
}

fn lost(error: &Error) -> ExecutorError {
    ExecutorError::system(format!("lost the job container: {}", error_message(error)))
}

/// Explains the engine's message about a container that does not start to the job's author.
fn not_started(reason: &str, image: &str) -> ExecutorError {
    let is_not_found = reason.contains("executable file not found") || reason.contains("no such file or directory");
    let message = if is_not_found && reason.contains("\"sh\"") {
        format!(
            "the image {image} has no shell: `sh` runs a job's commands; use an image with a shell, such as a variant of \
             this one whose tag ends in `debug`, `alpine` or `slim`"
        )
    } else if is_not_found {
        format!(
            "the image {image} cannot run its entrypoint: {reason}; remove it with `entrypoint: [\"\"]` below `image`"
        )
    } else {
        format!("the job container of the image {image} does not start: {reason}")
    };
    ExecutorError { reason: FailureReason::ScriptFailure, message }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn shells_are_tried_in_order() {
        let all = command(None).pop().unwrap();
        assert!(all.starts_with("if [ -x /usr/local/bin/bash ]; then exec /usr/local/bin/bash; fi\n"), "{all}");
        assert_eq!(all.lines().count(), SHELLS.len() + 2);
        let sh = command(Some("sh")).pop().unwrap();
        assert!(!sh.contains("bash") && sh.contains("/busybox/sh"), "{sh}");
    }

    #[rstest]
    #[case::no_shell(
        "OCI runtime create failed: exec: \"sh\": executable file not found in $PATH: unknown",
        "the image a:1 has no shell"
    )]
    #[case::entrypoint(
        "OCI runtime create failed: exec: \"/x\": stat /x: no such file or directory: unknown",
        "the image a:1 cannot run its entrypoint"
    )]
    #[case::other_reason("no space left", "the job container of the image a:1 does not start: no space left")]
    fn a_failed_start_is_explained(#[case] reason: &str, #[case] expected: &str) {
        let error = not_started(reason, "a:1");
        assert_eq!(error.reason, FailureReason::ScriptFailure);
        assert!(error.message.starts_with(expected), "{error}");
    }
}
