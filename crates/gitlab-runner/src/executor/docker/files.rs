//! Copies files into and out of containers through the engine's API. Nothing is mounted from this machine, so the engine may run on
//! another one. Archives are streamed, so their size does not matter.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use bollard::container::PathStatResponse;
use bollard::errors::Error;
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use crate::executor::repack::{self, MAX_PIECES, PIECE_SIZE, Repacking};
use crate::executor::request::{ExecutorError, MAX_ENVIRONMENT};
use crate::workspace::archive::Packed;
use crate::workspace::draft::DraftWriter;
use crate::workspace::job_dirs::JobDirs;
use crate::workspace::selection::Selection;
use container_engine::error_message;

/// Maximum time for an upload: the engine answers only after it has unpacked the archive.
const TIMEOUT: Duration = Duration::from_hours(1);

/// A container at its engine.
#[derive(Clone, Copy)]
pub(super) struct Container<'session> {
    pub(super) engine: &'session bollard::Docker,
    pub(super) name: &'session str,
}

impl Container<'_> {
    /// Unpacks an archive into an existing directory.
    pub(super) async fn unpack(self, archive: File, dir: &str) -> Result<(), ExecutorError> {
        let file = tokio::fs::File::from_std(archive);
        let pieces = futures_util::stream::try_unfold(file, |mut file| async {
            let mut piece = vec![0; PIECE_SIZE];
            let count = file.read(&mut piece).await?;
            piece.truncate(count);
            Ok::<_, io::Error>((count > 0).then_some((piece, file)))
        });
        self.upload(pieces, dir).await
    }

    /// Creates the job's directories, writable for all users, because the user of the image is not known here. GitLab Runner's helper
    /// works with umask 0 for the same reason.
    pub(super) async fn make_dirs(self, job_dirs: &JobDirs) -> Result<(), ExecutorError> {
        let project = job_dirs.project.trim_matches('/');
        let builds = job_dirs.builds.trim_matches('/');
        let is_below =
            |path: &str| path.strip_prefix(builds).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let ends = project.match_indices('/').map(|(at, _)| at).chain([project.len()]);
        let dirs = ends.filter_map(|end| project.get(..end)).filter(|path| is_below(path));
        let archive = dirs.map(|path| (path, None)).collect::<Vec<_>>();
        self.put(&archive).await
    }

    /// Creates small files and directories. Each item is a path without the leading slash, and the content; `None` for a directory.
    pub(super) async fn put(self, files: &[(&str, Option<&str>)]) -> Result<(), ExecutorError> {
        let pack = || -> io::Result<Vec<u8>> {
            let mut builder = tar::Builder::new(Vec::new());
            for (path, content) in files {
                let mut header = tar::Header::new_gnu();
                let (kind, mode) = if content.is_some() {
                    (tar::EntryType::Regular, 0o644)
                } else {
                    (tar::EntryType::Directory, 0o777)
                };
                header.set_entry_type(kind);
                header.set_mode(mode);
                let content = content.unwrap_or_default();
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, path, content.as_bytes())?;
            }
            builder.into_inner()
        };
        let archive = pack().map_err(|error| ExecutorError::system(format!("cannot create an archive: {error}")))?;
        self.upload(futures_util::stream::iter([Ok(archive)]), "/").await
    }

    async fn upload(
        self,
        pieces: impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static,
        dir: &str,
    ) -> Result<(), ExecutorError> {
        let body = bollard::body_try_stream(pieces.map_ok(Into::into));
        let options = UploadToContainerOptionsBuilder::new().path(dir).build();
        let engine = self.engine.clone().with_timeout(TIMEOUT);
        engine.upload_to_container(self.name, Some(options), body).await.map_err(|error| {
            let reason = error_message(&error);
            let help = if reason.contains("no space left") { "; `docker system prune` frees disk space" } else { "" };
            ExecutorError::system(format!("failed to copy files to `{dir}` in the job container: {reason}{help}"))
        })
    }

    /// Packs the selected files of the project directory.
    pub(super) async fn pack(
        self,
        project: &str,
        selection: Selection,
        archive: DraftWriter,
    ) -> Result<Packed, ExecutorError> {
        repack::pack(selection, archive, |root, repacking| self.take(project, root, repacking)).await
    }

    /// The metadata of a file or directory; `None` if it does not exist.
    pub(super) async fn stat(self, path: &str) -> Result<Option<PathStatResponse>, ExecutorError> {
        let options = ContainerArchiveInfoOptionsBuilder::new().path(path).build();
        match self.engine.get_container_archive_info(self.name, Some(options)).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(unreadable(path, &error_message(&error))),
        }
    }

    /// Whether `path` is a link to nothing. The reader of `path` reports other failures: the answer to this request has no text.
    async fn is_dangling_link(self, path: &str) -> bool {
        match self.stat(path).await {
            Ok(Some(found)) if !found.link_target.is_empty() => matches!(self.stat(&found.link_target).await, Ok(None)),
            _ => false,
        }
    }

    /// The beginning of a file; empty if it does not exist.
    pub(super) async fn read(self, path: &str) -> Result<String, ExecutorError> {
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let mut pieces = std::pin::pin!(self.engine.download_from_container(self.name, Some(options)));
        let mut archive = Vec::new();
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => archive.extend_from_slice(&piece),
                Err(error) if is_absent(&error) => return Ok(String::new()),
                Err(error) => return Err(unreadable(path, &error_message(&error))),
            }
            if archive.len() as u64 > MAX_ENVIRONMENT {
                break;
            }
        }
        let content = || -> io::Result<Vec<u8>> {
            let mut content = Vec::new();
            if let Some(entry) = tar::Archive::new(archive.as_slice()).entries()?.next() {
                // The end is missing if the file is larger than the limit.
                let _ = entry?.read_to_end(&mut content);
            }
            Ok(content)
        };
        let content = content().map_err(|error| unreadable(path, &error.to_string()))?;
        Ok(String::from_utf8_lossy(&content).into_owned())
    }

    /// Adds the selected files below one root to the archive. Does nothing if the root does not exist.
    async fn take(
        self,
        project: &str,
        root: String,
        repacking: Repacking,
    ) -> Result<(Repacking, Vec<String>), ExecutorError> {
        let path = repack::root_path(project, &root);
        let failed = |reason: String| unreadable(&path, &reason);
        if repacking.names(&root) && self.is_dangling_link(&path).await {
            return Ok((repacking, Vec::new()));
        }
        let options = DownloadFromContainerOptionsBuilder::new().path(&path).build();
        let mut pieces = std::pin::pin!(self.engine.download_from_container(self.name, Some(options)));
        let (sender, receiver) = mpsc::channel(MAX_PIECES);
        let first = match pieces.next().await {
            None => return Ok((repacking, Vec::new())),
            Some(Err(error)) if is_absent(&error) => return Ok((repacking, Vec::new())),
            Some(first) => first,
        };
        let repack = tokio::task::spawn_blocking(move || repacking.add(&root, receiver));
        let feed = async {
            let mut next = Some(first);
            while let Some(piece) = next {
                let piece = piece.map_err(|error| io::Error::other(error_message(&error)));
                // The receiver has reached the end of the archive, or has failed and reports the reason itself.
                if sender.send(piece).await.is_err() {
                    break;
                }
                next = pieces.next().await;
            }
            drop(sender);
        };
        let ((), repacked) = tokio::join!(feed, repack);
        repacked.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }
}

fn unreadable(path: &str, reason: &str) -> ExecutorError {
    ExecutorError::system(format!("failed to read `{path}` in the job container: {reason}"))
}

fn is_absent(error: &Error) -> bool {
    match error {
        Error::DockerResponseServerError { status_code: 404, .. } => true,
        Error::DockerResponseServerError { message, .. } => message.contains("not a directory"),
        _ => false,
    }
}
