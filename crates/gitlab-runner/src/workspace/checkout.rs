//! Creates the checkouts of jobs, once per shape with git; each job receives a copy. GitLab Runner's `shells/abstract.go`

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Mutex, OnceCell};

use super::copy::Listing;
use super::fetch::fetch;
use super::git::{failed, git};
use super::origin::address;
use super::submodules::{self, Submodules};
use super::worktree;
use private_dir::remove_if_exists;

pub use super::git::SourcesError;
pub use super::origin::Origin;

/// The options of a checkout that jobs can set.
/// <https://docs.gitlab.com/ci/runners/configure_runners/#configure-runner-behavior-with-variables>
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// `GIT_DEPTH`: number of commits; 0 for all, and for all branches and tags.
    pub depth: u32,
    /// `GIT_FETCH_EXTRA_FLAGS`: options of `git fetch`.
    pub fetch_flags: Vec<String>,
    /// The submodules.
    pub submodules: Submodules,
    /// `GIT_CHECKOUT`: whether the files are checked out.
    pub has_files: bool,
}

/// A checkout, which jobs receive copies of.
#[derive(Debug)]
pub struct Checkout {
    /// The directory of the checkout.
    pub dir: PathBuf,
    /// The paths of the tracked files, and of the submodules with a trailing slash.
    pub tracked: Arc<HashSet<String>>,
    /// The content of the checkout, including `.git`.
    pub listing: Listing,
    /// An archive of the checkout, created when it is first needed.
    archive: OnceCell<PathBuf>,
}

/// A file of a commit: its path and git's hash of its content.
pub type Blob = (String, String);

/// For each shape, the directory and the checkout once it exists.
type Cells = HashMap<Shape, (PathBuf, Arc<OnceCell<Arc<Checkout>>>)>;

/// Creates the checkouts of a pipeline, each shape once.
#[derive(Debug)]
pub struct Sources {
    origin: Origin,
    dir: PathBuf,
    checkouts: Mutex<Cells>,
    blobs: OnceCell<Vec<Blob>>,
}

impl Sources {
    /// Checkouts of `origin`, in the directory `dir`.
    pub fn new(origin: Origin, dir: PathBuf) -> Self {
        Self { origin, dir, checkouts: Mutex::default(), blobs: OnceCell::new() }
    }

    /// The checkout of this shape. Concurrent callers share it.
    ///
    /// # Errors
    /// git failed, or the disk is full. A later call tries again.
    pub async fn checkout(&self, shape: &Shape) -> Result<Arc<Checkout>, SourcesError> {
        let (dir, cell) = {
            let mut checkouts = self.checkouts.lock().await;
            let number = checkouts.len();
            let new = || (self.dir.join(number.to_string()), Arc::default());
            checkouts.entry(shape.clone()).or_insert_with(new).clone()
        };
        cell.get_or_try_init(|| self.make(shape, dir)).await.cloned()
    }

    /// The files of the commit with their hashes. If the checkout includes uncommitted changes, so does this list.
    ///
    /// # Errors
    /// git failed. A later call tries again.
    pub async fn blobs(&self) -> Result<&[Blob], SourcesError> {
        let list = || async {
            if self.origin.has_worktree {
                return worktree::blobs(&self.origin).await;
            }
            let listed = git(Some(&self.origin.repository), &["ls-tree", "-r", "-z", &self.origin.sha]).await?;
            // `100644 blob HASH<tab>PATH`
            let listed = String::from_utf8_lossy(&listed);
            let blobs = listed.split('\0').filter_map(|entry| entry.split_once('\t'));
            let blobs = blobs.filter_map(|(facts, path)| Some((path.to_owned(), facts.rsplit(' ').next()?.to_owned())));
            Ok(blobs.collect())
        };
        self.blobs.get_or_try_init(list).await.map(Vec::as_slice)
    }

    async fn make(&self, shape: &Shape, dir: PathBuf) -> Result<Arc<Checkout>, SourcesError> {
        let Origin { repository, sha, has_worktree, .. } = &self.origin;
        let path = dir.to_string_lossy().into_owned();
        // A job that timed out may have left an incomplete checkout.
        remove_if_exists(&dir).map_err(|error| failed("cannot remove an incomplete checkout", &error.to_string()))?;
        let format = format!("--object-format={}", if self.origin.is_sha256() { "sha256" } else { "sha1" });
        git(None, &["init", "--quiet", "--template=", "--initial-branch=main", &format, &path]).await?;
        let address = address(repository);
        fetch(&dir, &self.origin, &address, shape.depth, &shape.fetch_flags).await?;
        // git itself writes the settings: the address contains the name of a directory, which may contain anything.
        git(Some(&dir), &["remote", "add", "origin", &address]).await?;
        // With these settings, git compares only size and modification time in seconds, so that copied files count as unchanged.
        git(Some(&dir), &["config", "core.checkStat", "minimal"]).await?;
        git(Some(&dir), &["config", "core.trustctime", "false"]).await?;
        // Maintenance in the background would change files that later steps pack. `shells/abstract.go` (`setupTemplateDir`)
        git(Some(&dir), &["config", "gc.autoDetach", "false"]).await?;
        if !shape.has_files {
            return Checkout::new(dir, HashSet::new());
        }
        git(Some(&dir), &["checkout", "--quiet", "--force", "--detach", sha]).await?;
        submodules::update(&dir, repository, &shape.submodules).await?;
        if *has_worktree {
            let changed = worktree::apply(repository, &dir).await;
            changed.map_err(|error| failed("cannot copy uncommitted changes", &error.to_string()))?;
        }
        // Store all refs in one file.
        let packed = git(Some(&dir), &["pack-refs", "--all"]);
        let (_, listed) = tokio::try_join!(packed, git(Some(&dir), &["ls-files", "--stage", "-z"]))?;
        let listed = String::from_utf8_lossy(&listed);
        // `MODE HASH STAGE<tab>PATH`. Mode 160000 is a submodule, whose files the submodule's own repository tracks.
        let entries = listed.split('\0').filter_map(|entry| entry.split_once('\t'));
        let tracked =
            entries.map(|(facts, path)| format!("{path}{}", if facts.starts_with("160000 ") { "/" } else { "" }));
        let tracked = tracked.collect();
        Checkout::new(dir, tracked)
    }
}

impl Checkout {
    pub(super) fn new(dir: PathBuf, tracked: HashSet<String>) -> Result<Arc<Self>, SourcesError> {
        let listed = slim(&dir.join(".git")).and_then(|()| super::copy::list(&dir));
        let listing = listed.map_err(|error| failed("cannot list the checkout", &error.to_string()))?;
        Ok(Arc::new(Self { dir, tracked: Arc::new(tracked), listing, archive: OnceCell::new() }))
    }

    /// An archive of the checkout, with files that all users can read and write, because the user of the image is not known here. It is
    /// created once.
    ///
    /// # Errors
    /// The archive cannot be written, for example because the disk is full. A later call tries again.
    pub async fn archive(&self) -> Result<&Path, SourcesError> {
        let make = || async {
            let (dir, path) = (self.dir.clone(), self.dir.with_extension("tar"));
            let to = path.clone();
            let packed = tokio::task::spawn_blocking(move || super::archive::pack_checkout(&dir, &to)).await;
            match packed {
                Ok(Ok(())) => Ok(path),
                Ok(Err(error)) => Err(failed("cannot pack the checkout", &error.to_string())),
                Err(error) => Err(failed("cannot pack the checkout", &error.to_string())),
            }
        };
        self.archive.get_or_try_init(make).await.map(PathBuf::as_path)
    }
}

/// Removes the parts of a `.git` directory that git creates again when needed. Each job copies the rest, and directories are the most
/// expensive part of a copy.
fn slim(git: &Path) -> std::io::Result<()> {
    for name in ["branches", "hooks", "info", "logs"] {
        match std::fs::remove_dir_all(git.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    remove_empty(&git.join("refs"))?;
    remove_empty(&git.join("objects"))
}

/// Removes all directories below `dir` that contain no files.
fn remove_empty(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_empty(&entry.path())?;
            // This fails for a directory that is not empty.
            let _ = std::fs::remove_dir(entry.path());
        }
    }
    Ok(())
}
