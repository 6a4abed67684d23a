//! Runs a script in the job's container. The script does not depend on any connection: its output is a file, which is read from where the
//! reader stopped if a connection is lost.

use std::sync::Arc;
use std::time::Duration;

use kube::api::AttachedProcess;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::api::pause;
use super::exec::{ExecError, Input, PodRef};
use super::layout::{self, BUILD, HELPER};
use crate::executor::request::ExecutorError;
use crate::log::{JobLog, Stream};

/// Maximum time without output and without a sign of life, after which a connection counts as lost.
const MAX_SILENCE: Duration = Duration::from_secs(50);

/// Maximum time to wait for output whose size is not known.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);

/// After this many attempts to read the output, the job's log says that there is no connection.
const ATTEMPTS_BEFORE_WARNING: u32 = 3;

/// Maximum length of a line about the end of a script. A job can write longer ones to the file, which say nothing.
const MAX_NOTE: usize = 256;

/// The end of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    code: i32,
    /// The size of its output at that time, in bytes.
    size: Option<u64>,
}

/// A script that is read.
pub(super) struct Follower {
    pod: PodRef,
    number: u32,
    /// How many bytes of the output have arrived.
    offset: u64,
    end: Option<End>,
}

impl PodRef {
    /// Starts a script. It may be started only once; `number` identifies it.
    pub(super) async fn start_script(
        &self,
        number: u32,
        script: &str,
        shell: Option<&str>,
    ) -> Result<Follower, ExecutorError> {
        let size = script.len().to_string();
        let store = layout::store(number);
        let command = ["sh", "-c", &store, "sh", &size];
        self.must(HELPER, &command, &Input::Text(script), "store the script").await?;
        let start = layout::start(number, shell);
        self.must(BUILD, &["sh", "-c", &start], &Input::Nothing, "start the script").await?;
        Ok(Follower { pod: self.clone(), number, offset: 0, end: None })
    }

    /// Stops all processes of the job's own container.
    pub(super) async fn stop_scripts(&self, number: u32) {
        let stop = layout::stop(number);
        // If the container cannot be reached, its processes end with the pod.
        let _ = self.repeat(BUILD, &["sh", "-c", &stop], &Input::Nothing, "stop the script").await;
    }
}

impl Follower {
    /// Copies the output to the log until the script has ended, and returns its exit code. Connects again for as long as it takes: the
    /// script
    /// continues meanwhile. The caller limits the time, and watches the pod.
    ///
    /// # Errors
    /// The account may not run programs in pods.
    pub(super) async fn follow(&mut self, log: &Arc<JobLog>) -> Result<i32, ExecutorError> {
        let script = layout::follow(self.number);
        let mut attempt = 0;
        loop {
            let before = self.offset;
            let from = (self.offset + 1).to_string();
            let lost = match self.pod.start(HELPER, &["sh", "-c", &script, "sh", &from], true).await {
                Ok(mut process) => match self.read(&mut process, log).await {
                    Some(end) => return Ok(end.code),
                    None => "the connection was lost".to_owned(),
                },
                Err(ExecError::Lost(reason)) => reason,
                Err(ExecError::Refused(reason)) => {
                    return Err(ExecutorError::system(format!(
                        "cannot read the output of the script in pod {}: {reason}; the account needs the rights to get and create pods/exec",
                        self.pod.name
                    )));
                }
            };
            attempt = if self.offset > before { 1 } else { attempt + 1 };
            if attempt == ATTEMPTS_BEFORE_WARNING {
                log.warn(&format!("cannot read the output of the job, which continues: {lost}; trying again"));
            }
            sleep(pause(attempt)).await;
        }
    }

    /// Reads until the script has ended and all of its output has arrived. Returns `None` if the connection is lost before.
    async fn read(&mut self, process: &mut AttachedProcess, log: &JobLog) -> Option<End> {
        let mut stdin = process.stdin();
        let (mut stdout, mut stderr) = (process.stdout()?, process.stderr()?);
        let (mut output, mut notes) = (vec![0; 64 * 1024], vec![0; 1024]);
        let mut line = Vec::new();
        loop {
            if let Some(end) = self.end
                && end.size.is_some_and(|size| self.offset >= size)
            {
                if let Some(stdin) = &mut stdin {
                    let _ = stdin.shutdown().await;
                }
                return Some(end);
            }
            let silence = match self.end {
                Some(End { size: None, .. }) => OUTPUT_TIMEOUT,
                _ => MAX_SILENCE,
            };
            let next = async {
                tokio::select! {
                    count = stdout.read(&mut output) => (count, true),
                    count = stderr.read(&mut notes) => (count, false),
                }
            };
            match timeout(silence, next).await {
                // The script has ended, and its output as well, as far as anyone can tell.
                Err(_) => return self.end.filter(|end| end.size.is_none()),
                Ok((Err(_) | Ok(0), _)) => return None,
                Ok((Ok(count), true)) => {
                    self.offset += count as u64;
                    log.write(Stream::Out, output.get(..count).unwrap_or_default());
                }
                Ok((Ok(count), false)) => {
                    line.extend_from_slice(notes.get(..count).unwrap_or_default());
                    while let Some(at) = line.iter().position(|byte| *byte == b'\n') {
                        let rest = line.split_off(at + 1);
                        self.end = self.end.or_else(|| parse_end(&String::from_utf8_lossy(&line)));
                        line = rest;
                    }
                    if line.len() > MAX_NOTE {
                        line.clear();
                    }
                }
            }
        }
    }
}

/// Reads a line of the follower: the exit code of the script, and the size of its output. Other lines are signs of life, or messages of
/// `tail`.
fn parse_end(line: &str) -> Option<End> {
    let (code, size) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    let code = code.parse().ok().filter(|code| (0..=255).contains(code))?;
    Some(End { code, size: size.trim().parse().ok() })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::end("3 200\n", Some((3, Some(200))))]
    #[case::no_output("0 0\n", Some((0, Some(0))))]
    #[case::size_with_spaces("0      12\n", Some((0, Some(12))))]
    #[case::unknown_size("137 \n", Some((137, None)))]
    #[case::sign_of_life("\n", None)]
    #[case::message("tail: /.e2e/logs/1.log: file truncated\n", None)]
    #[case::no_exit_code("300 1\n", None)]
    #[case::negative("-1 1\n", None)]
    fn the_end_of_a_script_is_recognised(#[case] line: &str, #[case] expected: Option<(i32, Option<u64>)>) {
        assert_eq!(parse_end(line), expected.map(|(code, size)| End { code, size }));
    }
}
