//! The directories of pipelines: logs, artifacts and caches are kept in the project, [`store`]; checkouts are temporary.
//!
//! Checkouts are not below the project directory, because tools that search parent directories for their configuration would find
//! the project's.

pub mod archive;
pub mod checkout;
pub mod copy;
pub mod draft;
pub mod fetch;
mod git;
pub mod job_dirs;
mod options;
pub mod origin;
pub mod restore;
pub mod selection;
pub mod store;
pub mod submodules;
mod worktree;

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use private_dir::{Lock, PrivateDir};

/// The prefix of workspace directories.
const PREFIX: &str = "pipeline-";

/// The prefix of workspace directories that are not locked yet.
const NEW_PREFIX: &str = "new-";

/// A directory that is older than this and has no lock file belongs to a process that was killed.
const MAX_AGE: Duration = Duration::from_hours(1);

/// The file that is locked while a directory is in use.
const LOCK: &str = "lock";

/// A temporary directory for the checkouts and builds of a pipeline. It is removed when this is dropped.
#[derive(Debug)]
pub struct Workspace {
    user_dir: PrivateDir,
    /// The path of the workspace, in `user_dir`.
    dir: PathBuf,
    _lock: Lock,
    /// Removes what killed processes have left.
    sweeping: Option<JoinHandle<()>>,
}

impl Workspace {
    /// Creates a workspace in `parent`, in the directory of this user, and removes in the background the workspaces that killed processes
    /// have left there.
    ///
    /// # Errors
    /// The directory cannot be created, for lack of permission or disk space, or the directory of this user is a link or belongs to
    /// another user.
    pub fn new(parent: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(parent)?;
        let mut workspace = loop {
            match user_dir(parent).and_then(Self::new_in) {
                // Another process has removed the new directory, or the user's, which was empty.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                created => break created?,
            }
        };
        let parent = parent.to_owned();
        workspace.sweeping = Some(std::thread::spawn(move || sweep_left(&parent)));
        Ok(workspace)
    }

    fn new_in(user_dir: PrivateDir) -> io::Result<Self> {
        let new = format!("{NEW_PREFIX}{:08x}", fastrand::u32(..));
        // Another process that sweeps may hold the lock, and then removes the directory.
        let lock = user_dir.new_subdir(&new)?.try_lock(LOCK)?.ok_or(io::ErrorKind::NotFound)?;
        // The lowest free number, so that the next pipeline usually has the same paths: compilers write paths into what a job caches, and
        // GitLab Runner's `builds_dir` is the same for every pipeline, too.
        for number in 0_u64.. {
            let name = format!("{PREFIX}{number}");
            match user_dir.rename(&new, &name) {
                Ok(()) => return Ok(Self { dir: user_dir.path().join(name), user_dir, _lock: lock, sweeping: None }),
                // A used workspace, or one that is being removed.
                Err(error) if is_taken(&error) => {}
                // Another process has locked and removed the directory before.
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// The path of the workspace.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Whether a directory cannot get a name, because something with this name exists.
fn is_taken(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
    matches!(error.kind(), AlreadyExists | DirectoryNotEmpty | NotADirectory)
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // If this fails, the next workspace removes the rest.
        let _ = self.user_dir.remove_subdir(self.dir.file_name().unwrap_or_default());
        if let Some(sweeping) = self.sweeping.take() {
            // A panic there has been printed already.
            let _ = sweeping.join();
        }
        // Fails if another workspace is in it.
        let _ = std::fs::remove_dir(self.user_dir.path());
    }
}

/// The directory of this user's workspaces in `parent`. Only this user can enter it. Other users may be able to write to `parent`.
fn user_dir(parent: &Path) -> io::Result<PrivateDir> {
    let opened = PrivateDir::open(parent, format!("gitlab-ci-k8s-demo-{}", rustix::process::geteuid().as_raw()));
    opened.map_err(|error| io::Error::new(error.kind(), format!("{error} (TMPDIR selects the temporary directory)")))
}

/// Removes the workspaces of this user in `parent` that killed processes have left. Failures are ignored: the next call tries again.
pub fn sweep_left(parent: &Path) {
    let Ok(user_dir) = user_dir(parent) else { return };
    for name in user_dir.names().unwrap_or_default() {
        if name.to_str().is_some_and(|name| name.starts_with(PREFIX) || name.starts_with(NEW_PREFIX)) {
            remove_unused(&user_dir, &name);
        }
    }
    // Fails if a workspace is in it.
    let _ = std::fs::remove_dir(user_dir.path());
}

/// Removes the directory `name` of `parent` unless its lock is held. A directory without a lock file is being created or removed by
/// another process, unless it is old. Directories of other users are not opened.
fn remove_unused(parent: &PrivateDir, name: &OsStr) {
    match parent.existing_subdir(name).and_then(|dir| dir.try_lock_existing(LOCK)) {
        // The lock is held until the directory is removed. A process that waits for it creates another directory. A later run removes
        // what is left after an error.
        Ok(Some(_lock)) => drop(parent.remove_subdir(name)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && parent.is_older(name, MAX_AGE) => {
            drop(parent.remove_subdir(name));
        }
        Ok(None) | Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn abandoned_workspaces_are_removed_and_used_ones_stay() {
        let parent = tempfile::tempdir().unwrap();
        let used = Workspace::new(parent.path()).unwrap();
        let left = used.dir().with_file_name(format!("{PREFIX}left"));
        fs::create_dir(&left).unwrap();
        File::create(left.join(LOCK)).unwrap();
        let mut other = Workspace::new(parent.path()).unwrap();
        other.sweeping.take().unwrap().join().unwrap();
        assert!(used.dir().exists() && other.dir().exists() && !left.exists());
        let path = used.dir().to_owned();
        drop(used);
        assert!(!path.exists());
        drop(other);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0, "the user's directory is removed, too");
    }

    #[test]
    fn the_next_workspace_has_the_same_path_unless_it_is_in_use() {
        let parent = tempfile::tempdir().unwrap();
        let first = Workspace::new(parent.path()).unwrap();
        let path = first.dir().to_owned();
        let second = Workspace::new(parent.path()).unwrap();
        assert_ne!(second.dir(), path);
        drop(first);
        assert_eq!(Workspace::new(parent.path()).unwrap().dir(), path);
    }

    #[test]
    fn only_the_user_can_enter_a_workspace() {
        let parent = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(parent.path()).unwrap();
        let user_dir = workspace.dir().parent().unwrap().to_owned();
        assert_eq!(fs::metadata(&user_dir).unwrap().mode() & 0o777, 0o700);
        drop(workspace);
        fs::create_dir(&user_dir).unwrap();
        fs::set_permissions(&user_dir, Permissions::from_mode(0o755)).unwrap();
        drop(Workspace::new(parent.path()).unwrap());
        assert!(!user_dir.exists());
        let other = tempfile::tempdir().unwrap();
        symlink(other.path(), &user_dir).unwrap();
        let error = Workspace::new(parent.path()).unwrap_err().to_string();
        assert!(error.contains("is not a directory, but a link or a file: remove it (TMPDIR selects"), "{error}");
    }

    /// Opening a FIFO waits for a writer, and following a link would remove what it points to.
    #[test]
    fn a_fifo_or_a_link_in_place_of_a_lock_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let used = Workspace::new(parent.path()).unwrap();
        let [fifo, link] = ["fifo", "link"].map(|name| used.dir().with_file_name(format!("{PREFIX}{name}")));
        for dir in [&fifo, &link] {
            fs::create_dir(dir).unwrap();
        }
        mknodat(CWD, fifo.join(LOCK), FileType::Fifo, Mode::RUSR, 0).unwrap();
        symlink(used.dir().join(LOCK), link.join(LOCK)).unwrap();
        sweep_left(parent.path());
        assert!(link.exists() && used.dir().exists());
    }
}
