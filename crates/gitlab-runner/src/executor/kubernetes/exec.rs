//! Runs a program in a container of the job, and proves that its whole output has arrived.

use std::fs::File;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::api::{ApiError, call, pause};
use super::layout::HELPER;
use super::progress::Progress;
use super::restart::Restarts;
use crate::executor::repack::PIECE_SIZE;
use crate::executor::request::ExecutorError;

/// Size of the buffers between the connection and its reader, in bytes. The client's default of 1 KiB would make it slow.
const BUFFER: usize = 256 * 1024;

/// Maximum size of the output of a program that is not streamed, in bytes.
const MAX_OUTPUT: usize = 64 * 1024;

/// Maximum time without a connection to run a program that can be repeated: an API server that is restarted answers sooner. The job's own
/// timeout applies as well.
const TIMEOUT: Duration = Duration::from_mins(5);

/// Maximum time in which a program neither reads, nor writes, nor ends: it hangs, or its connection was lost silently. A program that
/// needs longer writes heartbeats.
const MAX_SILENCE: Duration = Duration::from_mins(2);

/// The pod of a job.
#[derive(Clone)]
pub(super) struct PodRef {
    pub(super) api: Api<Pod>,
    pub(super) name: String,
    pub(super) restarts: Restarts,
}

/// The standard input of a program.
pub(super) enum Input<'input> {
    Nothing,
    Text(&'input str),
    File(&'input File),
}

/// The result of a program that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Output {
    /// Why the program failed: what it wrote to standard error, or else its exit code.
    pub(super) fn reason(&self) -> String {
        match self.stderr.trim() {
            "" => format!("exit code {}", self.code),
            text => text.lines().collect::<Vec<_>>().join("; "),
        }
    }
}

/// A program could not be run, or its result is not known.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum ExecError {
    /// The connection ended before the result arrived. The program may have run.
    #[error("{0}")]
    Lost(String),
    /// The API server, the kubelet or the container runtime refuses to run the program.
    #[error("{0}")]
    Refused(String),
}

impl From<ApiError> for ExecError {
    fn from(error: ApiError) -> Self {
        // The container of a pod that starts or ends may be missing for a moment, and the kubelet of a new node cannot be reached at first.
        // Only a missing permission is final. `executors/kubernetes/kubernetes.go`
        match error.code {
            Some(401 | 403) => Self::Refused(error.message),
            _ => Self::Lost(error.message),
        }
    }
}

/// The parameters of a program whose output is read.
fn parameters(container: &str, has_input: bool) -> AttachParams {
    let parameters = AttachParams::default().container(container).stdin(has_input).stdout(true).stderr(true);
    parameters.max_stdin_buf_size(BUFFER).max_stdout_buf_size(BUFFER).max_stderr_buf_size(BUFFER)
}

impl PodRef {
    /// Starts a program in a container.
    pub(super) async fn start(
        &self,
        container: &str,
        command: &[&str],
        has_input: bool,
    ) -> Result<AttachedProcess, ExecError> {
        let parameters = parameters(container, has_input);
        Ok(call(self.api.exec(&self.name, command.iter().copied(), &parameters)).await?)
    }

    /// Runs a program in a container, once.
    pub(super) async fn run(&self, container: &str, command: &[&str], input: &Input<'_>) -> Result<Output, ExecError> {
        let mut process = self.start(container, command, !matches!(input, Input::Nothing)).await?;
        let (stdin, stdout, stderr) = (process.stdin(), process.stdout(), process.stderr());
        let status = process.take_status();
        let progress = Progress::default();
        let feed = async {
            let Some(mut stdin) = stdin else { return };
            // A program that ends before it has read everything reports the reason itself.
            let _ = match input {
                Input::Nothing => Ok(()),
                Input::Text(text) => stdin.write_all(text.as_bytes()).await,
                Input::File(file) => copy(file, &mut stdin, &progress).await,
            };
            let _ = stdin.shutdown().await;
        };
        let work = async {
            // One task serves all streams: one that is not read would block the others.
            let ((), stdout, stderr) = tokio::join!(feed, read(stdout, &progress), read(stderr, &progress));
            let status = match status {
                Some(status) => status.await,
                None => None,
            };
            (stdout, stderr, status)
        };
        let silent = || {
            ExecError::Lost(format!(
                "it neither made progress nor ended within {} s; its node may be overloaded, or a volume of the pod may hang",
                MAX_SILENCE.as_secs()
            ))
        };
        let (stdout, stderr, status) = progress.within(MAX_SILENCE, work).await.ok_or_else(silent)?;
        Ok(Output { code: exit_code(status.as_ref())?, stdout, stderr })
    }

    /// Runs a program that may run several times, until its result is known.
    ///
    /// # Errors
    /// The program cannot be run. `what` describes its purpose.
    pub(super) async fn repeat(
        &self,
        container: &str,
        command: &[&str],
        input: &Input<'_>,
        what: &str,
    ) -> Result<Output, ExecutorError> {
        let (mut attempt, mut deadline) = (0, None);
        loop {
            let reason = match self.run(container, command, input).await {
                Ok(output) => return Ok(output),
                Err(error) => error,
            };
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + TIMEOUT);
            if self.is_final(&reason) || Instant::now() > deadline {
                return Err(self.failed(container, what, &reason));
            }
            attempt += 1;
            tokio::time::sleep(pause(attempt)).await;
        }
    }

    /// Like [`Self::repeat`], for a program whose exit code must be 0.
    pub(super) async fn must(
        &self,
        container: &str,
        command: &[&str],
        input: &Input<'_>,
        what: &str,
    ) -> Result<Output, ExecutorError> {
        let output = self.repeat(container, command, input, what).await?;
        if output.code == 0 {
            return Ok(output);
        }
        let help = match (output.code, container) {
            (127, HELPER) => {
                "; set `helper_image` in [runners.kubernetes] to an image with sh, tar and the standard utilities"
            }
            _ => "",
        };
        Err(self.failed(container, what, &format!("{}{help}", output.reason())))
    }

    /// Whether another attempt to run a program is useless.
    pub(super) fn is_final(&self, error: &ExecError) -> bool {
        match error {
            ExecError::Lost(_) => {
                self.restarts.note_missing_answer();
                false
            }
            ExecError::Refused(_) => !self.restarts.may_withdraw_refusal(),
        }
    }

    /// The error about a program in the pod; `what` describes its purpose.
    pub(super) fn failed(&self, container: &str, what: &str, reason: &dyn std::fmt::Display) -> ExecutorError {
        ExecutorError::system(format!("cannot {what} in container {container} of pod {}: {reason}", self.name))
    }
}

/// Copies a file from its beginning.
async fn copy(file: &File, to: &mut (impl AsyncWriteExt + Unpin), progress: &Progress) -> std::io::Result<()> {
    let mut offset = 0;
    loop {
        let file = file.try_clone()?;
        let read = move || {
            let mut piece = vec![0; PIECE_SIZE];
            let count = std::os::unix::fs::FileExt::read_at(&file, &mut piece, offset)?;
            piece.truncate(count);
            Ok::<_, std::io::Error>(piece)
        };
        let piece = tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other)??;
        if piece.is_empty() {
            return Ok(());
        }
        to.write_all(&piece).await?;
        progress.add(piece.len());
        offset += piece.len() as u64;
    }
}

/// The beginning of a stream, which is read to its end.
async fn read(stream: Option<impl AsyncRead + Unpin>, progress: &Progress) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let (mut text, mut piece) = (Vec::new(), vec![0; 8 * 1024]);
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        progress.add(count);
        let count = count.min(MAX_OUTPUT.saturating_sub(text.len()));
        text.extend_from_slice(piece.get(..count).unwrap_or_default());
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Parts of the messages of container runtimes about a program that they cannot start.
const NOT_STARTED: [&str; 3] = ["executable file not found", "no such file or directory", "permission denied"];

/// The exit code in the result of a program. `k8s.io/apimachinery/pkg/util/remotecommand`
///
/// # Errors
/// There is no result: the connection ended early. Or the program was not started.
fn exit_code(status: Option<&Status>) -> Result<i32, ExecError> {
    let Some(status) = status else {
        return Err(ExecError::Lost("the connection ended before the result arrived".to_owned()));
    };
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let message = || status.message.clone().unwrap_or_else(|| "the container runtime gives no reason".to_owned());
    if status.reason.as_deref() != Some("NonZeroExitCode") {
        // Also how the API server reports that it has lost the kubelet.
        let message = message();
        let is_final = NOT_STARTED.iter().any(|text| message.contains(text));
        return Err(if is_final { ExecError::Refused(message) } else { ExecError::Lost(message) });
    }
    let causes = status.details.as_ref().and_then(|details| details.causes.as_ref());
    let code = causes.into_iter().flatten().find(|cause| cause.reason.as_deref() == Some("ExitCode"));
    let code = code.and_then(|cause| cause.message.as_ref()?.parse().ok());
    code.ok_or_else(|| ExecError::Lost(message()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::success(json!({"status": "Success"}), Ok(0))]
    #[case::exit_code(
        json!({"status": "Failure", "reason": "NonZeroExitCode", "message": "command terminated with non-zero exit code",
               "details": {"causes": [{"reason": "ExitCode", "message": "137"}]}}),
        Ok(137)
    )]
    #[case::no_code(json!({"status": "Failure", "reason": "NonZeroExitCode", "message": "m"}), Err("m"))]
    #[case::no_such_program(
        json!({"status": "Failure", "reason": "InternalError", "message": "exec: \"sh\": executable file not found"}),
        Err("exec: \"sh\": executable file not found")
    )]
    #[case::no_message(json!({"status": "Failure"}), Err("the container runtime gives no reason"))]
    fn the_result_has_the_exit_code(#[case] status: serde_json::Value, #[case] expected: Result<i32, &str>) {
        let status: Status = serde_json::from_value(status).unwrap();
        let code = exit_code(Some(&status)).map_err(|error| error.to_string());
        assert_eq!(code, expected.map_err(str::to_owned));
    }

    #[test]
    fn a_missing_result_is_not_success() {
        assert!(matches!(exit_code(None), Err(ExecError::Lost(_))));
    }

    #[tokio::test]
    async fn output_is_read_to_its_end_and_its_beginning_is_kept() {
        let (progress, output) = (Progress::default(), vec![b'x'; MAX_OUTPUT + 10_000]);
        let kept = progress.within(Duration::from_secs(10), read(Some(&output[..]), &progress)).await.unwrap();
        assert_eq!(kept.len(), MAX_OUTPUT);
    }

    #[tokio::test]
    async fn a_file_is_copied_from_its_beginning_each_time() {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, "x".repeat(PIECE_SIZE + 1).as_bytes()).unwrap();
        for _ in 0..2 {
            let mut copied = Vec::new();
            copy(&file, &mut copied, &Progress::default()).await.unwrap();
            assert_eq!(copied.len(), PIECE_SIZE + 1);
        }
    }
}
