//! Where a pipeline keeps things: what stays, in the project, and what goes, elsewhere.
//!
//! Checkouts are not kept below the project: tools that look for their settings in the folders above would find the project's.

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

/// How the folders of checkouts begin.
const PREFIX: &str = "gitlab-ci-k8s-demo-pipeline-";

/// How many pipelines of a project are kept, with their logs and artifacts.
const KEPT: usize = 20;

/// The file whose lock says that a folder is in use.
const LOCK: &str = "lock";

/// What stays of a project's pipelines.
#[derive(Clone, Debug)]
pub struct Kept {
    folder: PathBuf,
}

impl Kept {
    /// That of the project in `project`: `target/e2e`, which git is told to ignore.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(project: &Path) -> io::Result<Self> {
        let folder = project.join("target/e2e");
        fs::create_dir_all(folder.join("pipelines"))?;
        let ignore = folder.join(".gitignore");
        if !ignore.exists() {
            fs::write(ignore, "*\n")?;
        }
        Ok(Self { folder })
    }

    /// The number and folder of a new pipeline. Of the older ones some stay.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new_pipeline(&self) -> io::Result<NewPipeline> {
        let pipelines = self.folder.join("pipelines");
        let known = fs::read_dir(&pipelines)?.flatten();
        let known = known.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok()));
        let mut known: Vec<u64> = known.collect();
        known.sort_unstable_by(|one, other| other.cmp(one));
        for old in known.iter().skip(KEPT - 1) {
            remove_unused(&pipelines.join(old.to_string()));
        }
        let mut id = known.first().copied().unwrap_or(0) + 1;
        loop {
            let folder = pipelines.join(id.to_string());
            match fs::create_dir(&folder) {
                Ok(()) => {
                    let lock = File::create(folder.join(LOCK))?;
                    lock.lock()?;
                    return Ok(NewPipeline { id, folder, _lock: lock });
                }
                // Another one was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => id += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The folder of caches.
    pub fn caches(&self) -> PathBuf {
        self.folder.join("cache")
    }

    /// Whether there is any cache.
    pub fn has_caches(&self) -> bool {
        fs::read_dir(self.caches()).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// The folder of resource groups.
    pub fn groups(&self) -> PathBuf {
        self.folder.join("resource-groups")
    }
}

/// A pipeline's own folder. It is not removed as long as this is there.
#[derive(Debug)]
pub struct NewPipeline {
    /// Its number.
    pub id: u64,
    /// Where it is.
    pub folder: PathBuf,
    _lock: File,
}

/// What goes with the pipeline: checkouts and builds.
#[derive(Debug)]
pub struct Workspace {
    folder: PathBuf,
    _lock: File,
}

impl Workspace {
    /// A new one in `parent`. Those that somebody has left there who was killed are removed.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(parent: &Path) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        sweep_left(parent);
        let folder = parent.join(format!("{PREFIX}{:08x}", fastrand::u32(..)));
        fs::create_dir(&folder)?;
        // What is checked out may be secret.
        fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
        let lock = File::create(folder.join(LOCK))?;
        lock.lock()?;
        Ok(Self { folder, _lock: lock })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // The next one removes what this one cannot.
        let _ = remove(&self.folder);
    }
}

/// Removes what was left in `parent` by those who were killed.
pub fn sweep_left(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)) {
            continue;
        }
        remove_unused(&entry.path());
    }
}

/// Removes a folder whose lock nobody holds. One without a lock is being made at this moment, or is half removed.
fn remove_unused(folder: &Path) {
    let Ok(lock) = File::open(folder.join(LOCK)) else { return };
    if lock.try_lock().is_ok() {
        // What stays is removed another time.
        let _ = remove(folder);
    }
}

/// Removes a folder, also one that holds folders that may not be written, as Go's caches do.
///
/// # Errors
/// When something stays.
pub fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            allow(folder);
            fs::remove_dir_all(folder)
        }
        removed => removed,
    }
}

fn allow(folder: &Path) {
    let _ = fs::set_permissions(folder, Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            allow(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_up() {
        let project = tempfile::tempdir().unwrap();
        let kept = Kept::open(project.path()).unwrap();
        assert_eq!(kept.new_pipeline().unwrap().id, 1);
        assert_eq!(Kept::open(project.path()).unwrap().new_pipeline().unwrap().id, 2);
        assert_eq!(fs::read_to_string(project.path().join("target/e2e/.gitignore")).unwrap(), "*\n");
    }

    #[test]
    fn the_last_ones_are_kept_and_those_that_run() {
        let project = tempfile::tempdir().unwrap();
        let kept = Kept::open(project.path()).unwrap();
        let running = kept.new_pipeline().unwrap();
        for _ in 0..=KEPT {
            kept.new_pipeline().unwrap();
        }
        let left = fs::read_dir(project.path().join("target/e2e/pipelines")).unwrap().count();
        assert_eq!((left, running.folder.exists()), (KEPT + 1, true));
    }

    #[test]
    fn what_was_left_goes_and_what_is_used_stays() {
        let parent = tempfile::tempdir().unwrap();
        let used = Workspace::new(parent.path()).unwrap();
        let left = parent.path().join(format!("{PREFIX}left"));
        fs::create_dir(&left).unwrap();
        File::create(left.join(LOCK)).unwrap();
        let other = Workspace::new(parent.path()).unwrap();
        assert!(used.folder().exists() && other.folder().exists() && !left.exists());
        let path = used.folder().to_owned();
        drop(used);
        assert!(!path.exists());
    }
}
