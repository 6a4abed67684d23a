//! A script in the job's container, through its standard input. GitLab Runner's `executors/docker/internal/exec`,
//! `shells/bash.go`

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
use tokio::time::timeout;

use super::files::Container;
use crate::executor::request::ExecutorError;
use crate::executor::request::FailureReason;
use crate::log::JobLog;
use crate::log::Stream;
use container_engine::error_message;

/// Time that output may take to arrive when its container has ended.
const AFTERMATH: Duration = Duration::from_secs(5);

/// How long a script that is asked to end may take, in seconds.
const GRACE: i32 = 5;

/// Where shells are, the better ones first. `shells/bash.go`, `bashDetectShellScript`
const SHELLS: [&str; 7] =
    ["/usr/local/bin/bash", "/usr/bin/bash", "/bin/bash", "/usr/local/bin/sh", "/usr/bin/sh", "/bin/sh", "/busybox/sh"];

/// The command of a job's container: the first shell that there is, or the one that the runner is set to. It reads its script
/// from standard input.
pub(super) fn command(shell: Option<&str>) -> Vec<String> {
    let shells = SHELLS.iter().filter(|path| shell.is_none_or(|shell| path.rsplit('/').next() == Some(shell)));
    let tests = shells.map(|path| format!("if [ -x {path} ]; then exec {path}; fi\n")).collect::<Vec<_>>().concat();
    let name = shell.unwrap_or("bash or sh");
    let script = format!("{tests}echo shell not found: {name} >&2\nexit 1\n");
    ["sh", "-c", &script].map(str::to_owned).into()
}

impl Container<'_> {
    /// Runs a script, and returns the code that it ended with. `image` is what messages call the container's image.
    pub(super) async fn run(self, script: &str, image: &str, log: &JobLog) -> Result<i32, ExecutorError> {
        let options = AttachContainerOptionsBuilder::new().stream(true).stdin(true).stdout(true).stderr(true).build();
        let attached = self.engine.attach_container(self.name, Some(options)).await;
        let mut attached = attached.map_err(|error| gone(&error))?;
        let started = self.engine.start_container(self.name, None::<StartContainerOptions>).await;
        started.map_err(|error| not_started(&error_message(&error), image))?;
        let feed = async {
            // A shell that ends before it has read everything says why itself.
            let _ = attached.input.write_all(script.as_bytes()).await;
            let _ = attached.input.shutdown().await;
        };
        let output = async {
            while let Some(Ok(output)) = attached.output.next().await {
                match output {
                    LogOutput::StdErr { message } => log.write(Stream::Err, &message),
                    LogOutput::StdOut { message } | LogOutput::Console { message } => log.write(Stream::Out, &message),
                    LogOutput::StdIn { .. } => {}
                }
            }
        };
        let ended = async {
            let ((), code) = tokio::join!(feed, self.exit_code());
            code
        };
        let (mut output, mut ended) = (std::pin::pin!(output), std::pin::pin!(ended));
        let mut is_read = false;
        let code = loop {
            tokio::select! {
                code = &mut ended => break code,
                () = &mut output, if !is_read => is_read = true,
            }
        };
        if !is_read {
            // Everything that ran has ended with the container; what it wrote is on its way.
            let _ = timeout(AFTERMATH, output).await;
        }
        let code = code.map_err(|error| gone(&error))?;
        if code == 137 && self.is_out_of_memory().await {
            log.warn("the job's container had no memory left: the limit is `memory` of runner.toml, or this machine's");
        }
        // Codes are bytes.
        Ok(i32::try_from(code).unwrap_or(1))
    }

    /// Waits for the container's end.
    pub(super) async fn exit_code(self) -> Result<i64, Error> {
        let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
        let mut wait = std::pin::pin!(self.engine.wait_container(self.name, Some(options)));
        match wait.next().await {
            Some(Ok(response)) => Ok(response.status_code),
            // Every code but 0 is an error in the library's eyes.
            Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(error),
            None => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
        }
    }

    async fn is_out_of_memory(self) -> bool {
        let inspected = self.engine.inspect_container(self.name, None::<InspectContainerOptions>).await;
        inspected.is_ok_and(|container| container.state.and_then(|state| state.oom_killed) == Some(true))
    }

    /// Asks everything that runs in the container to end, and makes it.
    pub(super) async fn stop(self) {
        // The shell that is the container's first process hears a signal only when the command that it waits for has ended: so
        // all others are asked, too.
        let kill = CreateExecOptions {
            cmd: Some(vec!["sh", "-c", "kill -TERM -1; kill -TERM 1"]),
            user: Some("0:0"),
            ..CreateExecOptions::default()
        };
        if let Ok(exec) = self.engine.create_exec(self.name, kill).await {
            let options = StartExecOptions { detach: true, ..StartExecOptions::default() };
            // It may have ended in this moment.
            let _ = self.engine.start_exec(&exec.id, Some(options)).await;
        }
        let options = StopContainerOptionsBuilder::new().t(GRACE).build();
        let _ = self.engine.stop_container(self.name, Some(options)).await;
    }
}

fn gone(error: &Error) -> ExecutorError {
    ExecutorError::system(format!("the job's container is lost: {}", error_message(error)))
}

/// What an engine says of a container that does not start, in the words of somebody who wrote a job.
fn not_started(said: &str, image: &str) -> ExecutorError {
    let is_not_found = said.contains("executable file not found") || said.contains("no such file or directory");
    let message = if is_not_found && said.contains("\"sh\"") {
        format!(
            "the image {image} has no shell: a job's commands are run by `sh`; expected an image with one, as a \
             variant of this one whose tag ends in `debug`, `alpine` or `slim`"
        )
    } else if is_not_found {
        format!(
            "the image {image} cannot run its entrypoint: {said}; with `entrypoint: [\"\"]` below `image` it has none"
        )
    } else {
        format!("the job's container of the image {image} does not start: {said}")
    };
    ExecutorError { reason: FailureReason::ScriptFailure, message }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn shells_in_order() {
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
    #[case::anything_else("no space left", "the job's container of the image a:1 does not start: no space left")]
    fn starts(#[case] said: &str, #[case] expected: &str) {
        let error = not_started(said, "a:1");
        assert_eq!(error.reason, FailureReason::ScriptFailure);
        assert!(error.message.starts_with(expected), "{error}");
    }
}
