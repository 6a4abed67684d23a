//! The files of a project, of a commit or of a directory.

use std::path::PathBuf;

use super::command::git;
use super::repository::Repository;
use gitlab_ci::files::{Directory, Files, is_below};

/// The files of a commit.
#[derive(Clone, Debug)]
pub struct Tree<'repository> {
    repository: &'repository Repository,
    sha: String,
}

impl Repository {
    /// The files of the commit `sha`.
    pub fn at(&self, sha: &str) -> Tree<'_> {
        Tree { repository: self, sha: sha.to_owned() }
    }
}

impl Files for Tree<'_> {
    fn read(&self, path: &str) -> Option<String> {
        // git would read such a path as relative to the working directory, and end if it leads outside of the repository.
        if !is_below(path) {
            return None;
        }
        let object = self.repository.object(&format!("{}:{path}", self.sha))?;
        (object.kind == "blob").then(|| object.text())
    }

    fn list(&self) -> Vec<String> {
        let arguments = ["ls-tree", "-r", "--name-only", "-z", &self.sha];
        let text = git(self.repository.dir(), &arguments).unwrap_or_default();
        text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect()
    }
}

/// The files of a directory: in a repository, the tracked files and the new ones that are not ignored.
#[derive(Clone, Debug)]
pub struct WorkingTree(pub PathBuf);

impl Files for WorkingTree {
    fn read(&self, path: &str) -> Option<String> {
        Directory(self.0.clone()).read(path)
    }

    fn list(&self) -> Vec<String> {
        let tracked = git(&self.0, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let Ok(text) = tracked else { return Directory(self.0.clone()).list() };
        let paths = text.split('\0').filter(|path| !path.is_empty());
        paths.filter(|path| self.0.join(path).exists()).map(str::to_owned).collect()
    }
}
