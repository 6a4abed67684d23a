//! What a pipeline knows of its project: read from the repository by git itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::document::load::Files;

/// A question that git did not answer.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// git cannot be run.
    #[error("git cannot be run")]
    NotRun(#[source] std::io::Error),
    /// It ended with an error.
    #[error("`git {line}`: {said}")]
    Failed {
        /// The arguments.
        line: String,
        /// What it said.
        said: String,
    },
    /// There is no such branch, tag or commit.
    #[error("there is no {kind} `{name}` here{}", nearest.as_ref().map(|it| format!(", did you mean `{it}`?")).unwrap_or_default())]
    NoSuchRef {
        /// Branch, tag or commit.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// The name that is nearest.
        nearest: Option<String>,
    },
}

impl GitError {
    /// Whether it is about a name that somebody gave.
    pub fn is_input(&self) -> bool {
        matches!(self, Self::NoSuchRef { .. })
    }
}

/// A repository.
#[derive(Clone, Debug)]
pub struct Repository {
    folder: PathBuf,
}

/// A commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// Its hash, 40 digits.
    pub sha: String,
    /// `Name <address>`.
    pub author: String,
    /// When it was committed, ISO 8601.
    pub timestamp: String,
    /// All of its message.
    pub message: String,
}

impl Repository {
    /// The repository whose working tree `folder` is in.
    ///
    /// # Errors
    /// When it is in none.
    pub fn open(folder: &Path) -> Result<Self, GitError> {
        let repository = Self { folder: folder.to_owned() };
        let top = repository.git(&["rev-parse", "--show-toplevel"])?;
        Ok(Self { folder: PathBuf::from(top) })
    }

    /// Its working tree.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn git(&self, arguments: &[&str]) -> Result<String, GitError> {
        let mut command = Command::new("git");
        // Nothing is asked for, and no word is translated.
        command.arg("-C").arg(&self.folder).args(arguments).env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        let output = command.output().map_err(GitError::NotRun)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(GitError::Failed { line: arguments.join(" "), said })
    }

    /// The branch that is checked out, if one is.
    pub fn current_branch(&self) -> Option<String> {
        self.git(&["symbolic-ref", "--short", "--quiet", "HEAD"]).ok()
    }

    /// The branch that the project calls its own: the remote's, else the one that is usually called so.
    pub fn default_branch(&self) -> String {
        if let Ok(remote) = self.git(&["symbolic-ref", "--short", "--quiet", "refs/remotes/origin/HEAD"]) {
            return remote.strip_prefix("origin/").unwrap_or(&remote).to_owned();
        }
        let branches = self.names("refs/heads");
        let usual = ["main", "master"].into_iter().find(|name| branches.contains(*name));
        usual.map(str::to_owned).or_else(|| self.current_branch()).unwrap_or_else(|| "main".to_owned())
    }

    /// The address of the remote `origin`.
    pub fn remote(&self) -> Option<String> {
        self.git(&["config", "--get", "remote.origin.url"]).ok()
    }

    /// A setting of the user's.
    pub fn setting(&self, name: &str) -> Option<String> {
        self.git(&["config", "--get", name]).ok()
    }

    fn names(&self, below: &str) -> BTreeSet<String> {
        let names = self.git(&["for-each-ref", "--format=%(refname:lstrip=2)", below]).unwrap_or_default();
        names.lines().map(str::to_owned).collect()
    }

    /// The commit of a branch, of this repository or of its remote.
    ///
    /// # Errors
    /// When there is no such branch.
    pub fn branch(&self, name: &str) -> Result<Commit, GitError> {
        let local = self.commit(&format!("refs/heads/{name}"));
        local
            .or_else(|_| self.commit(&format!("refs/remotes/origin/{name}")))
            .map_err(|_| self.no_such("branch", name, "refs/heads"))
    }

    /// The commit of a tag, and the tag's own message if it has one.
    ///
    /// # Errors
    /// When there is no such tag.
    pub fn tag(&self, name: &str) -> Result<(Commit, String), GitError> {
        let commit =
            self.commit(&format!("refs/tags/{name}^{{commit}}")).map_err(|_| self.no_such("tag", name, "refs/tags"))?;
        let format = "--format=%(if:equals=tag)%(objecttype)%(then)%(contents)%(end)";
        let message = self.git(&["for-each-ref", format, &format!("refs/tags/{name}")]).unwrap_or_default();
        Ok((commit, message))
    }

    fn no_such(&self, kind: &'static str, name: &str, below: &str) -> GitError {
        let near = self.names(below).into_iter().map(|known| (strsim::jaro_winkler(name, &known), known));
        let nearest = near.max_by(|one, other| one.0.total_cmp(&other.0)).filter(|(near, _)| *near > 0.75);
        GitError::NoSuchRef { kind, name: name.to_owned(), nearest: nearest.map(|(_, known)| known) }
    }

    /// A commit by any name that git knows.
    ///
    /// # Errors
    /// When it knows none.
    pub fn commit(&self, name: &str) -> Result<Commit, GitError> {
        let text = self.git(&["log", "-1", "--format=%H%x00%an <%ae>%x00%cI%x00%B", "--end-of-options", name])?;
        let mut parts = text.splitn(4, '\0').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Ok(Commit { sha: next(), author: next(), timestamp: next(), message: next().trim_end().to_owned() })
    }

    /// The files that differ between two commits.
    ///
    /// # Errors
    /// When one of them is unknown.
    pub fn changed(&self, from: &str, to: &str) -> Result<Vec<String>, GitError> {
        let text = self.git(&["diff", "--name-only", "--no-renames", "-z", "--end-of-options", from, to])?;
        Ok(text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
    }

    /// Where two commits part.
    ///
    /// # Errors
    /// When one of them is unknown, or they have nothing in common.
    pub fn merge_base(&self, one: &str, other: &str) -> Result<String, GitError> {
        self.git(&["merge-base", one, other])
    }

    /// The files of a commit.
    pub fn at(&self, sha: &str) -> Tree<'_> {
        Tree { repository: self, sha: sha.to_owned() }
    }
}

/// The files of a commit.
#[derive(Clone, Debug)]
pub struct Tree<'repository> {
    repository: &'repository Repository,
    sha: String,
}

impl Files for Tree<'_> {
    fn read(&self, path: &str) -> Option<String> {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.repository.folder).args(["cat-file", "blob"]).arg(format!("{}:{path}", self.sha));
        let output = command.output().ok()?;
        // As it is: a text that ends with a line break ends with one.
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn list(&self) -> Vec<String> {
        let text = self.repository.git(&["ls-tree", "-r", "--name-only", "-z", &self.sha]).unwrap_or_default();
        text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect()
    }
}

/// The files as they lie in a folder: in a repository the tracked ones, and new ones that are not ignored.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

impl Files for Folder {
    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.0.join(path)).ok()
    }

    fn list(&self) -> Vec<String> {
        let repository = Repository { folder: self.0.clone() };
        let tracked = repository.git(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let Ok(text) = tracked else { return walk(&self.0) };
        let paths = text.split('\0').filter(|path| !path.is_empty());
        paths.filter(|path| self.0.join(path).exists()).map(str::to_owned).collect()
    }
}

/// Every file below a folder that is in no repository.
fn walk(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            // A link to a folder may lead in a circle.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if let Some(relative) = path.strip_prefix(root).ok().and_then(Path::to_str) {
                files.push(relative.to_owned());
            }
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(folder: &Path, line: &str) {
        let arguments = line.split(' ').collect::<Vec<_>>();
        let identity = ["-c", "user.name=A B", "-c", "user.email=a@b.test", "-c", "init.defaultBranch=main"];
        let output = Command::new("git").arg("-C").arg(folder).args(identity).args(arguments).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn repository() -> (tempfile::TempDir, Repository) {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), "init --quiet");
        std::fs::write(folder.path().join("a.txt"), "one\n").unwrap();
        run(folder.path(), "add .");
        run(folder.path(), "commit --quiet --message first");
        run(folder.path(), "tag --annotate --message good v1");
        run(folder.path(), "checkout --quiet -b feature/x");
        std::fs::create_dir(folder.path().join("b")).unwrap();
        std::fs::write(folder.path().join("b/c.txt"), "two\n").unwrap();
        run(folder.path(), "add .");
        run(folder.path(), "commit --quiet --message second");
        let repository = Repository::open(folder.path()).unwrap();
        (folder, repository)
    }

    #[test]
    fn commits_of_branches_and_tags() {
        let (_folder, repository) = repository();
        let branch = repository.branch("feature/x").unwrap();
        assert_eq!(
            (branch.author.as_str(), branch.message.as_str(), branch.sha.len()),
            ("A B <a@b.test>", "second", 40)
        );
        let (tag, message) = repository.tag("v1").unwrap();
        assert_eq!((tag.message.as_str(), message.as_str()), ("first", "good"));
        assert_eq!(repository.default_branch(), "main");
        assert_eq!(repository.current_branch().as_deref(), Some("feature/x"));
        assert_eq!(repository.changed(&tag.sha, &branch.sha).unwrap(), ["b/c.txt"]);
        assert_eq!(repository.merge_base("main", "feature/x").unwrap(), tag.sha);
    }

    #[test]
    fn files_of_a_commit_and_of_the_working_tree() {
        let (folder, repository) = repository();
        std::fs::write(folder.path().join("a.txt"), "changed\n").unwrap();
        let at = repository.at("main");
        assert_eq!(
            (at.read("a.txt").as_deref(), at.read("b/c.txt"), at.list()),
            (Some("one\n"), None, vec!["a.txt".to_owned()])
        );
        let tree = Folder(folder.path().to_owned());
        assert_eq!((tree.read("a.txt").as_deref(), tree.list().len()), (Some("changed\n"), 2));
    }

    #[test]
    fn what_there_is_not() {
        let (folder, repository) = repository();
        let error = repository.branch("feature/y").unwrap_err().to_string();
        assert_eq!(error, "there is no branch `feature/y` here, did you mean `feature/x`?");
        assert_eq!(repository.tag("nothing").unwrap_err().to_string(), "there is no tag `nothing` here");
        std::fs::remove_dir_all(folder.path().join(".git")).unwrap();
        assert_eq!(Folder(folder.path().to_owned()).list(), ["a.txt", "b/c.txt"]);
        assert!(Repository::open(folder.path()).unwrap_err().to_string().contains("not a git repository"));
    }
}
