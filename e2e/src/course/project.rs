//! The student's project: a clone of the repository in which a student may change anything.

use std::path::{Path, PathBuf};

use gitlab_runner::project::git::{GitError, git};

use super::verdict::Unsolved;

/// The default directory of the project. The pages of the course use it in their commands.
pub const DIR: &str = "target/course/project";

/// The default branch of the project.
const DEFAULT_BRANCH: &str = "main";

/// The student's branch.
const BRANCH: &str = "feature/greeting";

/// The tag that page 9 releases.
pub(super) const TAG: &str = "v1.0.0";

/// The project cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    #[error("there is no project in {0}: `e2e course reset` creates it")]
    Missing(PathBuf),
    /// Another directory would be moved away otherwise.
    #[error(
        "{0} is not a git repository, so `e2e course reset` leaves it as it is; select another directory with --directory"
    )]
    Foreign(PathBuf),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("{path}")]
    File {
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// The student's clone.
#[derive(Clone, Debug)]
pub struct Project {
    dir: PathBuf,
}

impl Project {
    /// Opens the project.
    ///
    /// # Errors
    /// `dir` is not a clone.
    pub fn open(dir: &Path) -> Result<Self, ProjectError> {
        if is_clone(dir) { Ok(Self { dir: dir.to_owned() }) } else { Err(ProjectError::Missing(dir.to_owned())) }
    }

    /// Creates the project again, as a clone of the repository of `source`. Returns the new path of the previous project, if there was one.
    ///
    /// # Errors
    /// git fails, or `dir` is in use for something else.
    pub fn reset(source: &Path, dir: &Path) -> Result<Option<PathBuf>, ProjectError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ProjectError::File { path, source }
        };
        let mut previous = None;
        if dir.exists() {
            if !is_clone(dir) {
                return Err(ProjectError::Foreign(dir.to_owned()));
            }
            let kept = unused(dir);
            std::fs::rename(dir, &kept).map_err(failed(&kept))?;
            previous = Some(kept);
        }
        if let Some(parent) = dir.parent() {
            std::fs::create_dir_all(parent).map_err(failed(parent))?;
        }
        git(Path::new("."), &["clone", "--quiet", &source.to_string_lossy(), &dir.to_string_lossy()])?;
        for line in [
            &["remote", "remove", "origin"][..],
            &["switch", "--quiet", "--force-create", DEFAULT_BRANCH],
            &["switch", "--quiet", "--force-create", BRANCH],
        ] {
            git(dir, line)?;
        }
        // `git tag` would require a message if the user's configuration signs all tags.
        git(dir, &["update-ref", &format!("refs/tags/{TAG}"), "HEAD"])?;
        Ok(previous)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The text of a file in the working tree.
    pub(super) fn read(&self, path: &str) -> Result<String, Unsolved> {
        std::fs::read_to_string(self.dir.join(path)).map_err(|error| Unsolved(format!("{path}: {error}")))
    }

    /// The standard output of git, without trailing line breaks.
    pub(super) fn git(&self, arguments: &[&str]) -> Result<String, Unsolved> {
        git(&self.dir, arguments).map_err(|error| Unsolved(error.to_string()))
    }
}

/// Whether `dir` is the top of a working tree: `.git` is a directory, or a file that names one.
fn is_clone(dir: &Path) -> bool {
    dir.join(".git").exists()
}

/// The first of `dir-1`, `dir-2` and so on that does not exist.
fn unused(dir: &Path) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let mut number = 1u32;
    loop {
        let path = dir.with_file_name(format!("{name}-{number}"));
        if !path.exists() {
            return path;
        }
        number += 1;
    }
}
