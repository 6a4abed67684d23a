//! A git repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use super::command::{command, git};
use super::error::GitError;
use super::layout::{self, Opened};
use super::objects::{Object, Objects};
use gitlab_ci::plan::commit::Commit;
use gitlab_ci::suggest;

/// A git repository. It is read with as few processes as possible, because starting one costs more than processing its output.
#[derive(Clone)]
pub struct Repository(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    /// The branch that is checked out.
    head: Option<String>,
    /// The remote's default branch.
    remote_head: Option<String>,
    /// The configuration. It is read in the background until it is needed.
    settings: Mutex<Settings>,
    objects: Mutex<Objects>,
}

/// The paths with which a renamed file counts as changed. GitLab asks Gitaly for the changes of a push (`FindChangedPaths`) in another way
/// than for those since another ref (`DiffStats`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renames {
    /// The old path and the new one.
    BothPaths,
    /// The new path.
    NewPath,
}

enum Settings {
    Pending(Option<Child>),
    Read(BTreeMap<String, String>),
}

/// The git arguments that open a repository: they print the working tree and the targets of two symbolic refs.
const OPENING: [&str; 5] = ["rev-parse", "--show-toplevel", "--symbolic-full-name", "HEAD", "refs/remotes/origin/HEAD"];

/// The keys that are read from the configuration.
const SETTINGS: &str = r"^(remote\.origin\.url|user\.(name|email))$";

impl fmt::Debug for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.debug_tuple("Repository").field(&self.0.dir).finish()
    }
}

impl Repository {
    /// Opens the repository whose working tree contains `dir`.
    ///
    /// # Errors
    /// `dir` does not exist or is not in a working tree, or git cannot be run.
    pub fn open(dir: &Path) -> Result<Self, GitError> {
        if !dir.is_dir() {
            return Err(GitError::NoDirectory(dir.to_owned()));
        }
        let read = layout::read(dir);
        // Start all processes concurrently, in the order in which their results are needed.
        let opening = read.map_or_else(|| Err(opening(dir)), Ok);
        let objects = Objects::start(dir).map_err(GitError::NotRun)?;
        let mut settings = command(dir, &["config", "-z", "--get-regexp", SETTINGS]);
        let settings = settings.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Opened { dir, head, remote_head } = opening.or_else(|opening| parse_opening(dir, opening))?;
        Ok(Self(Arc::new(Inner {
            dir,
            head,
            remote_head,
            settings: Mutex::new(Settings::Pending(settings.ok())),
            objects: Mutex::new(objects),
        })))
    }

    /// The directory of the working tree.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    fn named(&self, name: &str) -> Option<(String, Object)> {
        self.0.objects.lock().ok()?.get(name)
    }

    pub(super) fn object(&self, name: &str) -> Option<Object> {
        self.named(name).map(|(_, object)| object)
    }

    /// Checks that git has answered every question about objects so far.
    ///
    /// # Errors
    /// git has ended, for example because the machine lacks memory. Files that were not found may exist.
    pub fn check(&self) -> Result<(), GitError> {
        if self.0.objects.lock().is_ok_and(|objects| !objects.has_ended()) {
            return Ok(());
        }
        let message = "git ended before it had answered".to_owned();
        Err(GitError::Failed { line: "cat-file --batch".to_owned(), message })
    }

    /// The branch that is checked out; `None` with a detached HEAD.
    pub fn current_branch(&self) -> Option<String> {
        self.0.head.clone()
    }

    /// The default branch: the remote's, or else `main` or `master` if it exists, or else the current branch.
    pub fn default_branch(&self) -> String {
        let usual = || self.usual_branches().next().map(str::to_owned);
        let known = self.0.remote_head.clone().or_else(usual).or_else(|| self.current_branch());
        known.unwrap_or_else(|| "main".to_owned())
    }

    /// Whether [`default_branch`](Self::default_branch) may be wrong. Without a remote, the only one of `main` and `master` is not in doubt.
    pub fn assumes_default_branch(&self) -> bool {
        self.0.remote_head.is_none() && (self.remote().is_some() || self.usual_branches().count() != 1)
    }

    fn usual_branches(&self) -> impl Iterator<Item = &'static str> {
        ["main", "master"].into_iter().filter(|name| self.object(&format!("refs/heads/{name}")).is_some())
    }

    /// The URL of the remote `origin`.
    pub fn remote(&self) -> Option<String> {
        self.setting("remote.origin.url")
    }

    /// The user's name and email address (`user.name`, `user.email`); empty if not configured.
    pub fn user(&self) -> (String, String) {
        let setting = |name: &str| self.setting(name).unwrap_or_default();
        (setting("user.name"), setting("user.email"))
    }

    fn setting(&self, name: &str) -> Option<String> {
        let mut settings = self.0.settings.lock().ok()?;
        if let Settings::Pending(child) = &mut *settings {
            let output = child.take().and_then(|child| child.wait_with_output().ok());
            let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            // `NAME LF VALUE NUL`; the last value of a name wins.
            let pairs = text.split('\0').filter_map(|pair| pair.split_once('\n'));
            *settings = Settings::Read(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
        }
        match &*settings {
            Settings::Read(settings) => settings.get(name).cloned(),
            Settings::Pending(_) => None,
        }
    }

    fn names(&self, below: &str) -> BTreeSet<String> {
        let names = git(self.dir(), &["for-each-ref", "--format=%(refname:lstrip=2)", below]).unwrap_or_default();
        names.lines().map(str::to_owned).collect()
    }

    /// The commit of a local branch, or else of the remote's branch.
    ///
    /// # Errors
    /// The branch does not exist. The error suggests a similar name.
    pub fn branch(&self, name: &str) -> Result<Commit, GitError> {
        let local = self.commit(&format!("refs/heads/{name}"));
        local
            .or_else(|_| self.commit(&format!("refs/remotes/origin/{name}")))
            .map_err(|_| self.no_such("branch", name, "refs/heads"))
    }

    /// The commit of a tag, and the message of an annotated tag; empty for other tags.
    ///
    /// # Errors
    /// The tag does not exist. The error suggests a similar name.
    pub fn tag(&self, name: &str) -> Result<(Commit, String), GitError> {
        let own = format!("refs/tags/{name}");
        let commit = self.commit(&own).map_err(|_| self.no_such("tag", name, "refs/tags"))?;
        let tag = self.object(&own).filter(|object| object.kind == "tag");
        Ok((commit, tag.map(|tag| tag.message()).unwrap_or_default()))
    }

    fn no_such(&self, kind: &'static str, name: &str, below: &str) -> GitError {
        let names = self.names(below);
        let nearest = suggest::similar(name, names.iter().map(String::as_str)).map(str::to_owned);
        GitError::NoSuchRef { kind, name: name.to_owned(), nearest }
    }

    /// A commit, by any name that git understands.
    ///
    /// # Errors
    /// git does not know a commit by that name.
    pub fn commit(&self, name: &str) -> Result<Commit, GitError> {
        let unknown = || GitError::NoSuchRef { kind: "commit", name: name.to_owned(), nearest: None };
        let (sha, object) = self.named(&format!("{name}^{{commit}}")).ok_or_else(unknown)?;
        Ok(object.commit(sha))
    }

    /// A commit by the name that it has in the project's repository at GitLab, where each branch of the remote `origin` is a branch of
    /// its own: `main`, `main~2` and `refs/heads/main` may exist only as `refs/remotes/origin/main` here.
    ///
    /// # Errors
    /// Neither git nor the remote's branches know the name.
    pub fn pushed(&self, name: &str) -> Result<Commit, GitError> {
        let branch = name.strip_prefix("refs/").unwrap_or(name);
        let branch = branch.strip_prefix("heads/").unwrap_or(branch);
        self.commit(name).or_else(|_| self.branch(branch))
    }

    /// The paths of the files that differ between two commits.
    ///
    /// # Errors
    /// One of the commits does not exist, or git cannot be run.
    pub fn changed(&self, from: &str, to: &str, renames: Renames) -> Result<Vec<String>, GitError> {
        let renames = match renames {
            Renames::BothPaths => "--no-renames",
            Renames::NewPath => "--find-renames",
        };
        let text = git(self.dir(), &["diff", "--name-only", renames, "-z", "--end-of-options", from, to])?;
        Ok(text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
    }

    /// The best common ancestor of two commits.
    ///
    /// # Errors
    /// One of the commits does not exist, or they have no common ancestor.
    pub fn merge_base(&self, one: &str, other: &str) -> Result<String, GitError> {
        git(self.dir(), &["merge-base", one, other])
    }
}

/// Starts git to open a repository.
pub(super) fn opening(dir: &Path) -> std::io::Result<Child> {
    command(dir, &OPENING).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// Reads the output of [`opening`].
pub(super) fn parse_opening(dir: &Path, opening: std::io::Result<Child>) -> Result<Opened, GitError> {
    let output = opening.and_then(Child::wait_with_output).map_err(GitError::NotRun)?;
    // git ends at the first unknown name, after it has printed the results for the names before it.
    let answers = String::from_utf8_lossy(&output.stdout);
    let mut answers = answers.lines();
    let Some(top) = answers.next() else {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if message.contains("not a git repository") {
            return Err(GitError::NoRepository(dir.to_owned()));
        }
        return Err(GitError::Failed { line: "rev-parse --show-toplevel".to_owned(), message });
    };
    let mut branch = |below: &str| answers.next()?.strip_prefix(below).filter(|it| *it != "HEAD").map(str::to_owned);
    Ok(Opened { dir: PathBuf::from(top), head: branch("refs/heads/"), remote_head: branch("refs/remotes/origin/") })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::command::program;
    use super::super::files::WorkingTree;
    use super::*;
    use gitlab_ci::files::Files;

    pub(in super::super) fn run(dir: &Path, line: &str) {
        let arguments = line.split(' ').collect::<Vec<_>>();
        let identity = ["-c", "user.name=A B", "-c", "user.email=a@b.test", "-c", "init.defaultBranch=main"];
        let output = program().arg("-C").arg(dir).args(identity).args(arguments).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn repository() -> (tempfile::TempDir, Repository) {
        let dir = tempfile::tempdir().unwrap();
        run(dir.path(), "init --quiet");
        std::fs::write(dir.path().join("a.txt"), "one\n").unwrap();
        run(dir.path(), "add .");
        run(dir.path(), "commit --quiet --message first");
        run(dir.path(), "tag --annotate --message good v1");
        run(dir.path(), "checkout --quiet -b feature/x");
        std::fs::create_dir(dir.path().join("b")).unwrap();
        std::fs::write(dir.path().join("b/c.txt"), "two\n").unwrap();
        run(dir.path(), "add .");
        run(dir.path(), "commit --quiet --message second");
        let repository = Repository::open(dir.path()).unwrap();
        (dir, repository)
    }

    #[test]
    fn a_renamed_file_counts_with_both_paths_or_with_the_new_one() {
        let (dir, repository) = repository();
        run(dir.path(), "mv a.txt d.txt");
        run(dir.path(), "commit --quiet --message third");
        let changed = |renames| repository.changed("HEAD~1", "HEAD", renames).unwrap();
        assert_eq!(changed(Renames::BothPaths), ["a.txt", "d.txt"]);
        assert_eq!(changed(Renames::NewPath), ["d.txt"]);
    }

    /// Otherwise every file that git did not answer for would not exist.
    #[test]
    fn a_git_that_was_killed_is_an_error() {
        let (_dir, repository) = repository();
        assert!(repository.object("HEAD:missing").is_none());
        assert!(repository.check().is_ok());
        repository.0.objects.lock().unwrap().kill();
        assert!(repository.object("HEAD").is_none());
        assert_eq!(
            repository.check().unwrap_err().to_string(),
            "`git cat-file --batch` failed: git ended before it had answered"
        );
    }

    #[test]
    fn branches_and_tags_have_commits() {
        let (_dir, repository) = repository();
        let branch = repository.branch("feature/x").unwrap();
        assert_eq!(
            (branch.author.as_str(), branch.message.as_str(), branch.sha.len()),
            ("A B <a@b.test>", "second\n", 40)
        );
        let (tag, message) = repository.tag("v1").unwrap();
        assert_eq!((tag.message.as_str(), message.as_str()), ("first\n", "good"));
        assert_eq!(repository.default_branch(), "main");
        assert_eq!(repository.current_branch().as_deref(), Some("feature/x"));
        assert_eq!(repository.changed(&tag.sha, &branch.sha, Renames::BothPaths).unwrap(), ["b/c.txt"]);
        assert_eq!(repository.merge_base("main", "feature/x").unwrap(), tag.sha);
    }

    #[test]
    fn a_commit_and_the_working_tree_have_their_own_files() {
        let (dir, repository) = repository();
        std::fs::write(dir.path().join("a.txt"), "changed\n").unwrap();
        let at = repository.at("main");
        assert_eq!(
            (at.read("a.txt").as_deref(), at.read("b/c.txt"), at.list()),
            (Some("one\n"), None, vec!["a.txt".to_owned()])
        );
        let tree = WorkingTree(dir.path().to_owned());
        assert_eq!((tree.read("a.txt").as_deref(), tree.list().len()), (Some("changed\n"), 2));
    }

    #[test]
    fn missing_refs_and_repositories_are_reported() {
        let (dir, repository) = repository();
        let error = repository.branch("feature/y").unwrap_err().to_string();
        assert_eq!(error, "no such branch: `feature/y`; did you mean `feature/x`?");
        assert_eq!(repository.tag("nothing").unwrap_err().to_string(), "no such tag: `nothing`");
        std::fs::remove_dir_all(dir.path().join(".git")).unwrap();
        assert_eq!(WorkingTree(dir.path().to_owned()).list(), ["a.txt", "b/c.txt"]);
        assert!(Repository::open(dir.path()).unwrap_err().to_string().contains("is not in a git repository"));
    }
}
