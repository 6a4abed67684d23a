//! What the files of a repository say by themselves, where they lie as `git init` and `git clone` leave them: one program less is
//! run. <https://git-scm.com/docs/gitrepository-layout>

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What change where git looks for a repository.
const DISCOVERY: [&str; 2] = ["GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM"];

/// What in a configuration may put the working tree or the refs elsewhere.
const ELSEWHERE: [&str; 4] = ["worktree", "extensions", "include", "bare"];

/// What git writes of its own accord, and says nothing.
const USUAL: &str = "bare = false";

/// Bytes of packed refs that are looked through.
const MOST_PACKED: u64 = 256 * 1024;

/// What is known of a repository when it is opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// The folder of its working tree.
    pub(super) folder: PathBuf,
    /// The branch that is checked out.
    pub(super) head: Option<String>,
    /// The remote's default branch.
    pub(super) remote_head: Option<String>,
}

/// Of the repository whose working tree `folder` is in. Nothing where git itself must tell, also why there is none: a HEAD that is
/// no branch, refs that are stored otherwise, a linked working tree, a submodule, somebody else's files.
pub(super) fn read(folder: &Path) -> Option<Opened> {
    if DISCOVERY.iter().any(|name| env::var_os(name).is_some()) {
        return None;
    }
    let start = fs::canonicalize(folder).ok()?;
    let (device, own) = (fs::metadata(&start).ok()?.dev(), rustix::process::geteuid().as_raw());
    for top in start.ancestors() {
        let folder = fs::metadata(top).ok()?;
        if folder.dev() != device {
            return None;
        }
        let git = top.join(".git");
        match fs::symlink_metadata(&git) {
            // In a repository without a working tree, or within `.git`.
            Err(error) if error.kind() == ErrorKind::NotFound && !top.join("HEAD").exists() => {}
            // `safe.directory`
            Ok(metadata) if metadata.is_dir() && [folder.uid(), metadata.uid()] == [own; 2] => return of(top, &git),
            _ => return None,
        }
    }
    None
}

fn of(top: &Path, git: &Path) -> Option<Opened> {
    let configuration = fs::read_to_string(git.join("config")).ok()?.to_ascii_lowercase().replacen(USUAL, "", 1);
    if ELSEWHERE.iter().any(|word| configuration.contains(word)) {
        return None;
    }
    let remote = git.join("refs/remotes/origin/HEAD");
    let remote_head = if remote.exists() { Some(target(git, &remote, "refs/remotes/origin/")?) } else { None };
    Some(Opened { folder: top.to_owned(), head: Some(target(git, &git.join("HEAD"), "refs/heads/")?), remote_head })
}

/// What a symbolic ref stands for, if that is there: as a file, or packed with others.
fn target(git: &Path, symbolic: &Path, below: &str) -> Option<String> {
    let text = fs::read_to_string(symbolic).ok()?;
    let full = text.strip_prefix("ref: ")?.trim_end();
    let name = full.strip_prefix(below)?;
    (git.join(full).is_file() || is_packed(git, full)).then(|| name.to_owned())
}

fn is_packed(git: &Path, full: &str) -> bool {
    let path = git.join("packed-refs");
    // To read more of them takes longer than git does.
    let is_small = fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= MOST_PACKED);
    let text = if is_small { fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
    text.lines().any(|line| line.split_once(' ').is_some_and(|(_, name)| name == full))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::repository::tests::run;
    use super::super::repository::{opening, told};
    use super::*;

    /// A repository with a branch, a clone of it, and commands in that.
    #[rstest]
    #[case::a_clone(&[], ".", true)]
    #[case::a_folder_in_it(&[], "sub", true)]
    #[case::another_branch(&["checkout --quiet -b feature/x"], ".", true)]
    #[case::without_a_remote(&["remote remove origin"], ".", true)]
    #[case::a_commit(&["checkout --quiet --detach"], ".", false)]
    #[case::no_commit_yet(&["checkout --quiet --orphan new"], ".", false)]
    #[case::packed(&["pack-refs --all"], ".", true)]
    #[case::another_working_tree(&["worktree add --quiet ../other -b other"], "../other", false)]
    #[case::elsewhere(&["config core.worktree ../../clone/sub"], ".", false)]
    #[case::without_a_working_tree(&["config core.bare yes"], ".", false)]
    #[case::within(&[], ".git/refs", false)]
    #[case::nowhere(&[], "../..", false)]
    fn the_same_as_git_tells(#[case] lines: &[&str], #[case] place: &str, #[case] is_read: bool) {
        let folder = tempfile::tempdir().unwrap();
        let (origin, clone) = (folder.path().join("a/origin"), folder.path().join("a/clone"));
        fs::create_dir_all(origin.join("sub")).unwrap();
        fs::write(origin.join("sub/file"), "").unwrap();
        for line in ["init --quiet", "add .", "commit --quiet --message x"] {
            run(&origin, line);
        }
        run(&origin, "clone --quiet . ../clone");
        for line in lines {
            run(&clone, line);
        }
        let found = read(&clone.join(place));
        assert_eq!(found.is_some(), is_read);
        if let Some(found) = found {
            assert_eq!(found, told(opening(&clone.join(place))).unwrap());
        }
    }
}
