//! Runs a script in the job's container. The script does not depend on any connection: it writes its output to a file. After a lost
//! connection, reading continues at the same position.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::api::pause;
use super::exec::{Input, PodRef};
use super::layout::{self, BUILD, HELPER};
use super::output::Received;
use super::progress::Progress;
use crate::executor::request::ExecutorError;
use crate::log::JobLog;

/// After this many attempts to read the output, the job's log says that there is no connection.
const ATTEMPTS_BEFORE_WARNING: u32 = 3;

/// A running script, whose output is read.
pub(super) struct Follower {
    pod: PodRef,
    number: u32,
    received: Received,
}

impl PodRef {
    /// Stores a script, which `number` identifies.
    pub(super) async fn store_script(&self, number: u32, script: &str) -> Result<Follower, ExecutorError> {
        let (size, store) = (script.len().to_string(), layout::store(number));
        let command = ["sh", "-c", &store, "sh", &size];
        self.must(HELPER, &command, &Input::Text(script), "store the script").await?;
        Ok(Follower { pod: self.clone(), number, received: Received::default() })
    }

    /// Stops all processes of the job's own container.
    pub(super) async fn stop_scripts(&self, number: u32) {
        let stop = layout::stop(number);
        // If the container cannot be reached, its processes end with the pod.
        let _ = self.repeat(BUILD, &["sh", "-c", &stop], &Input::Nothing, "stop the script").await;
    }
}

impl Follower {
    /// Counts the output that has arrived.
    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.received.progress)
    }

    /// Starts the script, which may be done only once, and returns its exit code.
    ///
    /// # Errors
    /// The account may not run programs in pods.
    pub(super) async fn run(&mut self, shell: Option<&str>, log: &Arc<JobLog>) -> Result<i32, ExecutorError> {
        let (pod, start) = (self.pod.clone(), layout::start(self.number, shell));
        let command = ["sh", "-c", &start];
        let start = pod.must(BUILD, &command, &Input::Nothing, "start the script");
        // The API server needs a while for each connection, so the reader does not wait for the start.
        tokio::try_join!(start, self.follow(log)).map(|(_, code)| code)
    }

    /// Copies the output to the log until the script has ended, and returns its exit code. Connects again after each lost
    /// connection: the script continues meanwhile. The caller limits the time, and watches the pod.
    pub(super) async fn follow(&mut self, log: &Arc<JobLog>) -> Result<i32, ExecutorError> {
        let script = layout::follow(self.number);
        let mut attempt = 0;
        loop {
            let before = self.received.offset;
            let from = (self.received.offset + 1).to_string();
            let lost = match self.pod.start(HELPER, &["sh", "-c", &script, "sh", &from], true).await {
                Ok(mut process) => {
                    let (Some(output), Some(notes)) = (process.stdout(), process.stderr()) else {
                        return Err(self.pod.failed(HELPER, "read the output of the script", &"there is no stream"));
                    };
                    let stdin = process.stdin();
                    let end = self.received.read(output, notes, log).await;
                    if let Some(mut stdin) = stdin {
                        // The program that copies the output ends when it reads a byte. Closing its input would end it later, and the
                        // deletion of the pod waits for it.
                        let _ = stdin.write_all(b"\n").await;
                        let _ = stdin.shutdown().await;
                    }
                    if let Some(end) = end {
                        return Ok(end.code);
                    }
                    self.pod.restarts.note_missing_answer();
                    "the connection was lost".to_owned()
                }
                Err(error) if !self.pod.is_final(&error) => error.to_string(),
                Err(reason) => {
                    return Err(ExecutorError::system(format!(
                        "cannot read the output of the script in pod {}: {reason}; the account needs permission to get and create \
                         pods/exec",
                        self.pod.name
                    )));
                }
            };
            attempt = if self.received.offset > before { 1 } else { attempt + 1 };
            if attempt == ATTEMPTS_BEFORE_WARNING {
                log.warn(&format!("cannot read the output of the job, which continues: {lost}; trying again"));
            }
            sleep(pause(attempt)).await;
        }
    }
}
