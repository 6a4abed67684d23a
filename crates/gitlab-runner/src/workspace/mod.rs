//! The directories of pipelines: logs, artifacts and caches are kept in the project, checkouts are temporary.
//!
//! Checkouts are not below the project directory, because tools that search parent directories for their configuration would find
//! the project's.

pub mod archive;
pub mod checkout;
pub mod copy;
pub mod job_dirs;
pub mod restore;
pub mod selection;

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The prefix of workspace directories.
const PREFIX: &str = "gitlab-ci-k8s-demo-pipeline-";

/// Maximum number of pipelines of a project whose logs and artifacts are kept.
const MAX_PIPELINES: usize = 20;

/// The file that is locked while a directory is in use.
const LOCK: &str = "lock";

/// The directory in a project that keeps the logs, artifacts and caches of its pipelines.
#[derive(Clone, Debug)]
pub struct ProjectStore {
    dir: PathBuf,
}

impl ProjectStore {
    /// Opens `target/e2e` in the directory `project`, and creates it if necessary. A `.gitignore` in it makes git ignore it.
    ///
    /// # Errors
    /// The directory cannot be created, for lack of permission or disk space.
    pub fn open(project: &Path) -> io::Result<Self> {
        let dir = project.join("target/e2e");
        fs::create_dir_all(dir.join("pipelines"))?;
        let ignore = dir.join(".gitignore");
        if !ignore.exists() {
            fs::write(ignore, "*\n")?;
        }
        Ok(Self { dir })
    }

    /// Creates the directory of a new pipeline, and removes the oldest ones if there are more than 20. Running pipelines are not removed.
    ///
    /// # Errors
    /// The directory cannot be created, for lack of permission or disk space.
    pub fn new_pipeline(&self) -> io::Result<NewPipeline> {
        let pipelines = self.dir.join("pipelines");
        let known = fs::read_dir(&pipelines)?.flatten();
        let known = known.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok()));
        let mut known: Vec<u64> = known.collect();
        known.sort_unstable_by(|one, other| other.cmp(one));
        for old in known.iter().skip(MAX_PIPELINES - 1) {
            remove_unused(&pipelines.join(old.to_string()));
        }
        let mut id = known.first().copied().unwrap_or(0) + 1;
        loop {
            let dir = pipelines.join(id.to_string());
            match fs::create_dir(&dir) {
                Ok(()) => {
                    let lock = File::create(dir.join(LOCK))?;
                    lock.lock()?;
                    return Ok(NewPipeline { id, dir, _lock: lock });
                }
                // Another process has taken this number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => id += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The directory of the caches.
    pub fn caches(&self) -> PathBuf {
        self.dir.join("cache")
    }

    /// The directory of the resource groups' lock files.
    pub fn groups(&self) -> PathBuf {
        self.dir.join("resource-groups")
    }
}

/// The directory of a new pipeline. Other processes do not remove it until this is dropped.
#[derive(Debug)]
pub struct NewPipeline {
    /// The pipeline's number.
    pub id: u64,
    /// The path of the directory.
    pub dir: PathBuf,
    _lock: File,
}

/// A temporary directory for the checkouts and builds of a pipeline. It is removed when this is dropped.
#[derive(Debug)]
pub struct Workspace {
    dir: PathBuf,
    _lock: File,
}

impl Workspace {
    /// Creates a workspace in `parent`, and removes the workspaces that killed processes have left there.
    ///
    /// # Errors
    /// The directory cannot be created, for lack of permission or disk space.
    pub fn new(parent: &Path) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        sweep_left(parent);
        let dir = parent.join(format!("{PREFIX}{:08x}", fastrand::u32(..)));
        fs::create_dir(&dir)?;
        // The project may be confidential.
        fs::set_permissions(&dir, Permissions::from_mode(0o700))?;
        let lock = File::create(dir.join(LOCK))?;
        lock.lock()?;
        Ok(Self { dir, _lock: lock })
    }

    /// The path of the workspace.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // If this fails, the next workspace removes the rest.
        let _ = remove(&self.dir);
    }
}

/// Removes the workspaces in `parent` that killed processes have left. Failures are ignored: the next call tries again.
pub fn sweep_left(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)) {
            continue;
        }
        remove_unused(&entry.path());
    }
}

/// Removes a directory unless its lock is held. A directory without a lock file is being created or removed by another process.
fn remove_unused(dir: &Path) {
    let Ok(lock) = File::open(dir.join(LOCK)) else { return };
    if lock.try_lock().is_ok() {
        // A later run removes the rest.
        let _ = remove(dir);
    }
}

/// Removes a directory, including read-only directories in it, such as those in Go's module cache.
///
/// # Errors
/// Something cannot be removed. The rest may already be gone.
pub fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            allow(dir);
            fs::remove_dir_all(dir)
        }
        removed => removed,
    }
}

fn allow(dir: &Path) {
    let _ = fs::set_permissions(dir, Permissions::from_mode(0o700));
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            allow(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipelines_are_numbered_from_one() {
        let project = tempfile::tempdir().unwrap();
        let kept = ProjectStore::open(project.path()).unwrap();
        assert_eq!(kept.new_pipeline().unwrap().id, 1);
        assert_eq!(ProjectStore::open(project.path()).unwrap().new_pipeline().unwrap().id, 2);
        assert_eq!(fs::read_to_string(project.path().join("target/e2e/.gitignore")).unwrap(), "*\n");
    }

    #[test]
    fn recent_and_running_pipelines_are_kept() {
        let project = tempfile::tempdir().unwrap();
        let kept = ProjectStore::open(project.path()).unwrap();
        let running = kept.new_pipeline().unwrap();
        for _ in 0..=MAX_PIPELINES {
            kept.new_pipeline().unwrap();
        }
        let left = fs::read_dir(project.path().join("target/e2e/pipelines")).unwrap().count();
        assert_eq!((left, running.dir.exists()), (MAX_PIPELINES + 1, true));
    }

    #[test]
    fn abandoned_workspaces_are_removed_and_used_ones_stay() {
        let parent = tempfile::tempdir().unwrap();
        let used = Workspace::new(parent.path()).unwrap();
        let left = parent.path().join(format!("{PREFIX}left"));
        fs::create_dir(&left).unwrap();
        File::create(left.join(LOCK)).unwrap();
        let other = Workspace::new(parent.path()).unwrap();
        assert!(used.dir().exists() && other.dir().exists() && !left.exists());
        let path = used.dir().to_owned();
        drop(used);
        assert!(!path.exists());
    }
}
