//! The directories of pipelines: logs, artifacts and caches are kept in the project, [`store`]; checkouts are temporary.
//!
//! Checkouts are not below the project directory, because tools that search parent directories for their configuration would find
//! the project's.

pub mod archive;
pub mod checkout;
pub mod copy;
pub mod draft;
mod git;
pub mod job_dirs;
mod remove;
pub mod restore;
pub mod selection;
pub mod store;
mod worktree;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

pub use self::remove::{remove, remove_file_if_exists};

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
    dir: PathBuf,
    _lock: File,
    /// Removes what killed processes have left.
    sweeping: Option<JoinHandle<()>>,
}

impl Workspace {
    /// Creates a workspace in `parent`, in the directory of this user, and removes in the background the workspaces that killed processes
    /// have left there.
    ///
    /// # Errors
    /// The directory cannot be created, for lack of permission or disk space, or other users have access to the directory of this user.
    pub fn new(parent: &Path) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        let mut workspace = loop {
            match Self::new_in(&user_dir(parent)?) {
                // Another process has removed the new directory, or the user's, which was empty.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                created => break created?,
            }
        };
        let parent = parent.to_owned();
        workspace.sweeping = Some(std::thread::spawn(move || sweep_left(&parent)));
        Ok(workspace)
    }

    fn new_in(user_dir: &Path) -> io::Result<Self> {
        let name = format!("{:08x}", fastrand::u32(..));
        let (new, dir) = (user_dir.join(format!("{NEW_PREFIX}{name}")), user_dir.join(format!("{PREFIX}{name}")));
        fs::create_dir(&new)?;
        let lock = File::create(new.join(LOCK))?;
        lock.lock()?;
        // Fails if another process has locked and removed the directory before.
        fs::rename(&new, &dir)?;
        Ok(Self { dir, _lock: lock, sweeping: None })
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
        if let Some(sweeping) = self.sweeping.take() {
            // A panic there has been printed already.
            let _ = sweeping.join();
        }
        // Fails if another workspace is in it.
        let _ = self.dir.parent().map(fs::remove_dir);
    }
}

/// The directory of this user's workspaces in `parent`. Only this user can enter it. Other users may be able to write to `parent`.
fn user_dir(parent: &Path) -> io::Result<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let dir = parent.join(format!("gitlab-ci-k8s-demo-{user}"));
    let found = create(&dir, 0o700)?;
    if found.is_dir()
        && found.uid() == user
        && Mode::from_raw_mode(found.mode()).intersection(Mode::RWXG | Mode::RWXO).is_empty()
    {
        return Ok(dir);
    }
    let message = format!(
        "{} is not a directory that only this user can enter: remove it, or set TMPDIR to another directory",
        dir.display()
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// Creates a directory unless something with its name exists. Returns what is there then; a link is not followed.
fn create(path: &Path, mode: u32) -> io::Result<fs::Metadata> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::symlink_metadata(path),
    }
}

/// Removes the workspaces of this user in `parent` that killed processes have left. Failures are ignored: the next call tries again.
pub fn sweep_left(parent: &Path) {
    let Ok(user_dir) = user_dir(parent) else { return };
    for entry in fs::read_dir(&user_dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(PREFIX) || name.starts_with(NEW_PREFIX)) {
            remove_unused(&entry.path());
        }
    }
    // Fails if a workspace is in it.
    let _ = fs::remove_dir(user_dir);
}

/// Removes a directory unless its lock is held. A directory without a lock file is being created or removed by another process, unless
/// it is old.
fn remove_unused(dir: &Path) {
    // A FIFO does not block, and a link is not followed.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    match File::options().read(true).custom_flags(flags.bits().cast_signed()).open(dir.join(LOCK)) {
        // The lock is held until the directory is removed. A process that waits for it creates another directory. A later run removes
        // what is left after an error.
        Ok(lock) if lock.try_lock().is_ok() => drop(remove(dir)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_old(dir) => drop(remove(dir)),
        Ok(_) | Err(_) => {}
    }
}

fn is_old(dir: &Path) -> bool {
    let modified = fs::symlink_metadata(dir).and_then(|found| found.modified()).ok();
    modified.and_then(|modified| modified.elapsed().ok()).is_some_and(|age| age > MAX_AGE)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rustix::fs::{CWD, FileType, mknodat};

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
    fn a_workspace_is_the_users_own() {
        let parent = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(parent.path()).unwrap();
        let user_dir = workspace.dir().parent().unwrap().to_owned();
        assert_eq!(fs::metadata(&user_dir).unwrap().mode() & 0o777, 0o700);
        drop(workspace);
        fs::create_dir(&user_dir).unwrap();
        fs::set_permissions(&user_dir, Permissions::from_mode(0o755)).unwrap();
        let error = Workspace::new(parent.path()).unwrap_err().to_string();
        assert!(error.contains("is not a directory that only this user can enter"), "{error}");
        fs::remove_dir(&user_dir).unwrap();
        let other = tempfile::tempdir().unwrap();
        symlink(other.path(), &user_dir).unwrap();
        assert!(Workspace::new(parent.path()).is_err());
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
