//! Copies files into and out of a pod as archives. An archive that leaves the pod is complete when as many bytes have arrived as `tar` has
//! written; if a connection is lost, the rest follows over another one.

use std::fs::File;
use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::api::pause;
use super::exec::{Input, PodRef};
use super::layout::{self, ABSENT, HELPER, UNPACK};
use crate::executor::repack::{self, MAX_PIECES, PIECE_SIZE, Repacking};
use crate::executor::request::{ExecutorError, MAX_ENVIRONMENT, StepState};
use crate::workspace::archive::Packed;
use crate::workspace::draft::DraftWriter;
use crate::workspace::selection::Selection;

/// Maximum time between two pieces of an archive, after which a connection counts as lost.
const MAX_SILENCE: Duration = Duration::from_secs(50);

/// Maximum time in which no connection delivers anything.
const TIMEOUT: Duration = Duration::from_mins(5);

impl PodRef {
    /// Creates a directory, writable for all users, and its parents.
    pub(super) async fn make_dir(&self, dir: &str) -> Result<(), ExecutorError> {
        let command = ["sh", "-c", "umask 0; mkdir -p \"$1\"", "sh", dir];
        self.must(HELPER, &command, &Input::Nothing, "create a directory").await.map(drop)
    }

    /// Unpacks an archive in a directory, over existing files.
    pub(super) async fn unpack(&self, archive: &File, dir: &str) -> Result<(), ExecutorError> {
        let size =
            archive.metadata().map_err(|error| ExecutorError::system(format!("cannot read an archive: {error}")))?;
        let size = size.len().to_string();
        let command = ["sh", "-c", UNPACK, "sh", &size, dir];
        // `tar` reports success only after it has read everything: `head` waits for as many bytes as were announced.
        self.must(HELPER, &command, &Input::File(archive), &format!("unpack files in `{dir}`")).await.map(drop)
    }

    /// The state that later steps of the job depend on.
    pub(super) async fn step_state(&self, project: &str, environment: &str) -> Result<StepState, ExecutorError> {
        let script = format!("[ ! -f \"$2\" ] || head -c {MAX_ENVIRONMENT} \"$2\"; [ -d \"$1\" ] || exit {ABSENT}");
        let command = ["sh", "-c", &script, "sh", project, environment];
        let output = self.repeat(HELPER, &command, &Input::Nothing, "look at the directory of the job").await?;
        Ok(StepState { has_project: output.code != ABSENT, environment: output.stdout })
    }

    /// Packs the selected files of the project directory.
    pub(super) async fn pack(
        &self,
        project: &str,
        selection: Selection,
        archive: DraftWriter,
    ) -> Result<Packed, ExecutorError> {
        repack::pack(selection, archive, |root, repacking| self.add(project, root, repacking)).await
    }

    /// Adds the selected files below one root to the archive. Does nothing if the root does not exist.
    async fn add(
        &self,
        project: &str,
        root: String,
        repacking: Repacking,
    ) -> Result<(Repacking, Vec<String>), ExecutorError> {
        let path = repack::root_path(project, &root);
        match self.pack_one(&path).await? {
            Some(size) => self.fetch(&path, root, size, repacking).await,
            None => Ok((repacking, Vec::new())),
        }
    }

    /// Packs a file or directory on the pod's own disk, and returns the size of the archive. `None` if nothing with that name exists.
    async fn pack_one(&self, path: &str) -> Result<Option<u64>, ExecutorError> {
        let (dir, name) = path.trim_end_matches('/').rsplit_once('/').unwrap_or(("", path));
        let script = layout::pack(if dir.is_empty() { "/" } else { dir }, name);
        // The paths of artifacts are on standard input: command lines end up in the audit logs of a cluster.
        let what = format!("pack `{path}`");
        let output = self.repeat(HELPER, &["sh"], &Input::Text(&script), &what).await?;
        match output.code {
            0 => {}
            ABSENT => return Ok(None),
            _ => return Err(self.failed(HELPER, &what, &output.reason())),
        }
        let size = output.stdout.trim().parse();
        size.map(Some).map_err(|_| self.failed(HELPER, &what, &"`wc` did not print the size of the archive"))
    }

    /// Adds the selected files of the archive on the pod's disk, which has `size` bytes.
    async fn fetch(
        &self,
        path: &str,
        root: String,
        size: u64,
        repacking: Repacking,
    ) -> Result<(Repacking, Vec<String>), ExecutorError> {
        let (sender, receiver) = mpsc::channel(MAX_PIECES);
        let repack = tokio::task::spawn_blocking(move || repacking.add(&root, receiver));
        let receive = async {
            // Without an error, the reader would take the archive for a complete one.
            if let Err(reason) = self.receive(size, &sender).await {
                let _ = sender.send(Err(io::Error::other(reason))).await;
            }
            drop(sender);
        };
        let ((), repacked) = tokio::join!(receive, repack);
        let failed =
            |reason: String| ExecutorError::system(format!("failed to read `{path}` of pod {}: {reason}", self.name));
        repacked.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }

    /// Receives an archive of `size` bytes.
    async fn receive(&self, size: u64, sender: &mpsc::Sender<io::Result<Vec<u8>>>) -> Result<(), String> {
        let (mut offset, mut attempt, mut last_progress) = (0, 0, Instant::now());
        let script = layout::fetch();
        while offset < size {
            let before = offset;
            let from = (offset + 1).to_string();
            let reason = match self.start(HELPER, &["sh", "-c", &script, "sh", &from], false).await {
                Err(error) if self.is_final(&error) => return Err(error.to_string()),
                Err(error) => error.to_string(),
                Ok(mut process) => {
                    let Some(mut stdout) = process.stdout() else { return Err("no output".to_owned()) };
                    let mut piece = vec![0; PIECE_SIZE];
                    while let Ok(Ok(count @ 1..)) = timeout(MAX_SILENCE, stdout.read(&mut piece)).await {
                        // Bytes that another program appends do not belong to the archive.
                        let count = count.min(usize::try_from(size - offset).unwrap_or(usize::MAX));
                        offset += count as u64;
                        last_progress = Instant::now();
                        let read = piece.get(..count).unwrap_or_default().to_vec();
                        // The reader has reached the end of the archive, or has failed and reports the reason itself.
                        if sender.send(Ok(read)).await.is_err() || offset == size {
                            return Ok(());
                        }
                    }
                    self.restarts.note_missing_answer();
                    format!("the connection was lost after {offset} of {size} bytes")
                }
            };
            attempt = if offset > before { 0 } else { attempt + 1 };
            if last_progress.elapsed() > TIMEOUT {
                return Err(format!("{reason}; nothing has arrived for {} s", TIMEOUT.as_secs()));
            }
            sleep(pause(attempt.max(1))).await;
        }
        Ok(())
    }
}
