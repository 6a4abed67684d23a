//! The clones of the repository that a run pushes: one with the branch and one with the tag. The repository itself is unchanged.
//!
//! There are two because the tag is pushed after the branch: `git describe` in a job of the branch must not find it.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use gitlab_ci::plan::commit::Commit;
use gitlab_runner::project::git;
use gitlab_runner::project::git::{GitError, Repository};
use gitlab_runner::project::reference::project_of;

/// The default branch to push.
pub const BRANCH: &str = "feature/e2e";

/// The default tag to push: a release that is older than every other one.
pub const TAG: &str = "v0.0.0";

/// The clones.
#[derive(Clone, Debug)]
pub struct Project {
    /// The directory of the clone with the branch.
    pub dir: PathBuf,
    /// The directory of the clone with the tag.
    pub tagged_dir: PathBuf,
    /// The path of the project: `group/project`.
    pub path: String,
    pub default_branch: String,
    /// The branch that is pushed.
    pub branch: String,
    /// The tag that is pushed.
    pub tag: String,
    /// The commit of the branch.
    pub commit: Commit,
    /// The commit of the tag.
    pub tagged: Commit,
    /// The number of files with uncommitted changes.
    pub uncommitted: usize,
}

/// The repository cannot be cloned.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The ref or the repository does not exist.
    #[error(transparent)]
    Git(#[from] GitError),
    /// git failed.
    #[error("git {line}: {message}")]
    Failed {
        /// The arguments of git.
        line: String,
        /// git's message.
        message: String,
    },
}

impl Project {
    /// Clones the repository of `source` into directories below `dir`. Without a name, the branch or the tag is a new one at the
    /// checked-out commit.
    ///
    /// # Errors
    /// If the ref does not exist, or git fails.
    pub async fn clone(
        source: &Path,
        branch: Option<&str>,
        tag: Option<&str>,
        dir: &Path,
    ) -> Result<Self, ProjectError> {
        let repository = Repository::open(source)?;
        let head = repository.commit("HEAD")?;
        let commit = branch.map_or_else(|| Ok(head.clone()), |branch| repository.branch(branch))?;
        let tagged = tag.map_or_else(|| Ok(head), |tag| repository.tag(tag).map(|(commit, _)| commit))?;
        // Without a remote, the directory gives the project its name. Both clones are the same project.
        let name = repository.dir().file_name().unwrap_or_default();
        let (branch_dir, tag_dir) = (dir.join("branch").join(name), dir.join("tag").join(name));
        tokio::try_join!(clone(&repository, &branch_dir), clone(&repository, &tag_dir))?;
        let branch = branch.unwrap_or(BRANCH);
        git(Some(&branch_dir), &["update-ref", &format!("refs/heads/{branch}"), &commit.sha]).await?;
        // The clone already has an annotated tag. A default tag may be there from an earlier run.
        let (tag, is_new) = (tag.unwrap_or(TAG), tag.is_none());
        if is_new {
            // `git tag` would require a message if the user's configuration signs all tags.
            git(Some(&tag_dir), &["update-ref", &format!("refs/tags/{tag}"), &tagged.sha]).await?;
        }
        Ok(Self {
            dir: branch_dir,
            tagged_dir: tag_dir,
            path: project_of(repository.remote().as_deref(), repository.dir()).1,
            default_branch: repository.default_branch(),
            branch: branch.to_owned(),
            tag: tag.to_owned(),
            commit,
            tagged,
            uncommitted: repository.uncommitted()?,
        })
    }
}

/// Clones all commits of a repository, without a checkout.
async fn clone(repository: &Repository, dir: &Path) -> Result<(), ProjectError> {
    let (from, to) = (repository.dir().to_string_lossy(), dir.to_string_lossy());
    git(None, &["clone", "--quiet", "--shared", "--no-checkout", &from, &to]).await?;
    match repository.remote() {
        // GitLab's variables about the project are derived from this address.
        Some(remote) => git(Some(dir), &["remote", "set-url", "origin", &remote]).await?,
        None => git(Some(dir), &["remote", "remove", "origin"]).await?,
    };
    Ok(())
}

async fn git(dir: Option<&Path>, arguments: &[&str]) -> Result<String, ProjectError> {
    let mut command = Command::from(git::program());
    if let Some(dir) = dir {
        command.arg("-C").arg(dir);
    }
    let failed = |message: String| ProjectError::Failed { line: arguments.join(" "), message };
    let output =
        command.args(arguments).kill_on_drop(true).output().await.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn repository(dir: &Path) {
        git(None, &["-c", "init.defaultBranch=main", "init", "--quiet", &dir.to_string_lossy()]).await.unwrap();
        std::fs::write(dir.join("file"), "1").unwrap();
        git(Some(dir), &["add", "."]).await.unwrap();
        let commit =
            ["-c", "user.name=A", "-c", "user.email=a@b.test", "commit", "--quiet", "--message", "Title\n\nText"];
        git(Some(dir), &commit).await.unwrap();
    }

    #[tokio::test]
    async fn the_repository_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (source, clone) = (dir.path().join("demo"), dir.path().join("clone"));
        repository(&source).await;
        std::fs::write(source.join("file"), "2").unwrap();
        let before = git(Some(&source), &["for-each-ref"]).await.unwrap();
        let project = Project::clone(&source, None, None, &clone).await.unwrap();
        assert_eq!((&*project.branch, &*project.tag, project.uncommitted), (BRANCH, TAG, 1));
        assert_eq!((&*project.path, &*project.default_branch), ("local/demo", "main"));
        assert_eq!(git(Some(&source), &["for-each-ref"]).await.unwrap(), before);
        let pushed = Repository::open(&project.dir).unwrap();
        assert_eq!(pushed.branch(BRANCH).unwrap().sha, project.commit.sha);
        assert!(pushed.tag(TAG).is_err(), "the branch's jobs would see a tag that comes later");
        let tagged = Repository::open(&project.tagged_dir).unwrap();
        assert_eq!(tagged.tag(TAG).unwrap().0.sha, project.commit.sha);
        for clone in [&pushed, &tagged] {
            assert_eq!(project_of(clone.remote().as_deref(), clone.dir()).1, project.path);
        }
    }

    #[tokio::test]
    async fn an_unknown_ref_is_an_input_error() {
        let dir = tempfile::tempdir().unwrap();
        let (source, clone) = (dir.path().join("demo"), dir.path().join("clone"));
        repository(&source).await;
        let error = Project::clone(&source, Some("mian"), None, &clone).await.unwrap_err();
        assert!(matches!(&error, ProjectError::Git(error) if error.is_input()), "{error}");
    }
}
