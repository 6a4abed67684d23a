//! The directory in a project that keeps logs, artifacts and caches. A repository, a job or another program may have put something into
//! it.

use std::io::{self, Write};
use std::path::Path;

use private_dir::{Lock, PrivateDir};

use super::{LOCK, remove_unused};
use crate::project::git;

/// Maximum number of pipelines of a project whose logs and artifacts are kept.
const MAX_PIPELINES: usize = 20;

/// Exclusive upper bound of the numbers of pipelines. A directory with a larger number as its name does not belong to a pipeline.
const MAX_ID: u64 = 1_000_000_000;

/// The directory in a project that keeps the logs, artifacts and caches of its pipelines.
#[derive(Clone, Debug)]
pub struct ProjectStore {
    pipelines: PrivateDir,
    caches: PrivateDir,
    groups: PrivateDir,
}

impl ProjectStore {
    /// Opens `target/e2e` in the directory `project`, and creates it if necessary. A `.gitignore` in it makes git ignore it. Logs,
    /// artifacts and caches may contain secrets: only this user can read them.
    ///
    /// # Errors
    /// A directory cannot be created, for lack of permission or disk space. Or the repository tracks files below `target/e2e`, or one of
    /// the directories is a link or belongs to another user.
    pub fn open(project: &Path) -> io::Result<Self> {
        refuse_tracked(project)?;
        let dir = PrivateDir::open_shared(project, "target/e2e")?;
        // An existing file stays as it is, and a link is not followed.
        match dir.create_file(".gitignore") {
            Ok(mut file) => file.write_all(b"*\n")?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        Ok(Self {
            pipelines: dir.subdir("pipelines")?,
            caches: dir.subdir("cache")?,
            groups: dir.subdir("resource-groups")?,
        })
    }

    /// Creates the directory of a new pipeline, and removes the oldest ones if there are more than 20. Running pipelines are not removed.
    ///
    /// # Errors
    /// The directory cannot be created, for lack of permission or disk space.
    pub fn new_pipeline(&self) -> io::Result<NewPipeline> {
        let known = self.pipelines.names()?.into_iter();
        let mut known: Vec<u64> =
            known.filter_map(|name| name.to_str()?.parse().ok()).filter(|id| *id < MAX_ID).collect();
        known.sort_unstable_by(|one, other| other.cmp(one));
        for old in known.iter().skip(MAX_PIPELINES - 1) {
            remove_unused(&self.pipelines, old.to_string().as_ref());
        }
        let mut id = known.first().copied().unwrap_or(0) + 1;
        loop {
            match self.pipelines.new_subdir(id.to_string()) {
                Ok(dir) => {
                    let lock = dir.try_lock(LOCK)?.ok_or(io::ErrorKind::ResourceBusy)?;
                    return Ok(NewPipeline { id, dir, _lock: lock });
                }
                // Another process has taken this number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => id += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The directory of the caches.
    pub fn caches(&self) -> &PrivateDir {
        &self.caches
    }

    /// The directory of the resource groups' lock files.
    pub fn groups(&self) -> &PrivateDir {
        &self.groups
    }
}

/// Refuses a repository that tracks files where the harness keeps its own, below `target/e2e` of the directory `project`.
///
/// # Errors
/// It tracks such files, or git cannot be run.
fn refuse_tracked(project: &Path) -> io::Result<()> {
    if !has_tracked(project, "target/e2e")? {
        return Ok(());
    }
    let message = "the repository tracks files below target/e2e, where logs, caches and locks of pipelines are kept: remove them \
                   from the repository (`git rm -r --cached target/e2e`)";
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// Refuses a directory of the harness in which a repository tracks files: it could bring along a kubeconfig, which names programs that a
/// client runs. Without git on this machine, nothing is refused.
///
/// # Errors
/// It tracks such files, or git cannot be run.
pub fn refuse_tracked_in(dir: &Path) -> io::Result<()> {
    match dir.is_dir().then(|| has_tracked(dir, ".")) {
        None | Some(Ok(false)) => Ok(()),
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Some(Err(error)) => Err(error),
        Some(Ok(true)) => {
            let dir = dir.display();
            let message = format!(
                "the repository tracks files in {dir}, where the harness keeps its own: remove them from the repository \
                 (`git rm -r --cached {dir}`)"
            );
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
    }
}

/// Whether the repository of `dir` tracks files at `path`. Outside of a repository, nothing is tracked.
fn has_tracked(dir: &Path, path: &str) -> io::Result<bool> {
    let listed = git::command(dir, &["ls-files", "-z", "--", path]).output()?;
    Ok(listed.status.success() && !listed.stdout.is_empty())
}

/// The directory of a new pipeline. Other processes do not remove it until this is dropped.
#[derive(Debug)]
pub struct NewPipeline {
    /// The pipeline's number.
    pub id: u64,
    /// The directory.
    pub dir: PrivateDir,
    _lock: Lock,
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use rstest::rstest;

    use super::*;

    #[test]
    fn pipelines_are_numbered_from_one() {
        let project = tempfile::tempdir().unwrap();
        let kept = ProjectStore::open(project.path()).unwrap();
        assert_eq!(kept.new_pipeline().unwrap().id, 1);
        assert_eq!(ProjectStore::open(project.path()).unwrap().new_pipeline().unwrap().id, 2);
        assert_eq!(fs::read_to_string(project.path().join("target/e2e/.gitignore")).unwrap(), "*\n");
    }

    #[rstest]
    #[case::the_store("target/e2e")]
    #[case::the_caches("target/e2e/cache")]
    #[case::the_pipelines("target/e2e/pipelines")]
    #[case::the_locks("target/e2e/resource-groups")]
    fn a_link_in_place_of_a_directory_is_refused(#[case] path: &str) {
        let (project, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = project.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(other.path(), &path).unwrap();
        let error = ProjectStore::open(project.path()).unwrap_err().to_string();
        assert!(error.contains("is not a directory, but a link"), "{error}");
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
    }

    #[test]
    fn only_the_user_can_read_the_directories_of_the_store() {
        let project = tempfile::tempdir().unwrap();
        let other = project.path().join("other");
        fs::write(&other, "precious").unwrap();
        fs::create_dir_all(project.path().join("target/e2e/cache")).unwrap();
        symlink(&other, project.path().join("target/e2e/.gitignore")).unwrap();
        ProjectStore::open(project.path()).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
        for name in ["cache", "pipelines"] {
            let mode = fs::metadata(project.path().join("target/e2e").join(name)).unwrap().mode();
            assert_eq!(mode & 0o777, 0o700, "{name}");
        }
    }

    #[test]
    fn a_directory_with_a_huge_number_is_no_pipeline() {
        let project = tempfile::tempdir().unwrap();
        let kept = ProjectStore::open(project.path()).unwrap();
        fs::create_dir(project.path().join("target/e2e/pipelines/18446744073709551615")).unwrap();
        assert_eq!(kept.new_pipeline().unwrap().id, 1);
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
        assert_eq!((left, running.dir.path().exists()), (MAX_PIPELINES + 1, true));
    }
}
