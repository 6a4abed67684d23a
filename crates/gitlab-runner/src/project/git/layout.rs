//! Reads the branches of a repository directly from its files if it has the layout that `git init` and `git clone` create. This saves
//! a process. <https://git-scm.com/docs/gitrepository-layout>

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Environment variables that change where git looks for a repository.
const DISCOVERY: [&str; 2] = ["GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM"];

/// Words in a configuration that may move the working tree or the refs elsewhere.
const ELSEWHERE: [&str; 4] = ["worktree", "extensions", "include", "bare"];

/// A line that git writes by default and that has no effect.
const USUAL: &str = "bare = false";

/// Maximum size of the packed refs that are searched, in bytes.
const MAX_PACKED_REFS: u64 = 256 * 1024;

/// The data that is read when a repository is opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// The directory of the working tree.
    pub(super) dir: PathBuf,
    /// The branch that is checked out.
    pub(super) head: Option<String>,
    /// The remote's default branch.
    pub(super) remote_head: Option<String>,
}

/// Reads the repository whose working tree contains `dir`. Returns `None` where only git itself can decide or explain a failure: a
/// detached HEAD, refs in another format, a linked working tree, a submodule, files of another user.
pub(super) fn read(dir: &Path) -> Option<Opened> {
    if DISCOVERY.iter().any(|name| env::var_os(name).is_some()) {
        return None;
    }
    let start = fs::canonicalize(dir).ok()?;
    let (device, own) = (fs::metadata(&start).ok()?.dev(), rustix::process::geteuid().as_raw());
    for top in start.ancestors() {
        let top_metadata = fs::metadata(top).ok()?;
        if top_metadata.dev() != device {
            return None;
        }
        let git = top.join(".git");
        match fs::symlink_metadata(&git) {
            // With a `HEAD`, this is a bare repository or inside of `.git`: git decides.
            Err(error) if error.kind() == ErrorKind::NotFound && !top.join("HEAD").exists() => {}
            // `safe.directory`
            Ok(metadata) if metadata.is_dir() && [top_metadata.uid(), metadata.uid()] == [own; 2] => {
                return read_layout(top, &git);
            }
            _ => return None,
        }
    }
    None
}

fn read_layout(top: &Path, git: &Path) -> Option<Opened> {
    let configuration = fs::read_to_string(git.join("config")).ok()?.to_ascii_lowercase().replacen(USUAL, "", 1);
    if ELSEWHERE.iter().any(|word| configuration.contains(word)) {
        return None;
    }
    let remote = git.join("refs/remotes/origin/HEAD");
    let remote_head = if remote.exists() { Some(target(git, &remote, "refs/remotes/origin/")?) } else { None };
    Some(Opened { dir: top.to_owned(), head: Some(target(git, &git.join("HEAD"), "refs/heads/")?), remote_head })
}

/// The target of a symbolic ref, if the target exists as a file or as a packed ref.
fn target(git: &Path, symbolic: &Path, below: &str) -> Option<String> {
    let text = fs::read_to_string(symbolic).ok()?;
    let full = text.strip_prefix("ref: ")?.trim_end();
    let name = full.strip_prefix(below)?;
    (git.join(full).is_file() || is_packed(git, full)).then(|| name.to_owned())
}

fn is_packed(git: &Path, full: &str) -> bool {
    let path = git.join("packed-refs");
    // Reading a larger file takes longer than running git.
    let is_small = fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= MAX_PACKED_REFS);
    let text = if is_small { fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
    text.lines().any(|line| line.split_once(' ').is_some_and(|(_, name)| name == full))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::repository::tests::run;
    use super::super::repository::{opening, parse_opening};
    use super::*;

    /// Creates a repository and a clone of it, runs git commands in the clone, and compares the result with git's.
    #[rstest]
    #[case::a_clone(&[], ".", true)]
    #[case::subdirectory(&[], "sub", true)]
    #[case::another_branch(&["checkout --quiet -b feature/x"], ".", true)]
    #[case::without_a_remote(&["remote remove origin"], ".", true)]
    #[case::detached_head(&["checkout --quiet --detach"], ".", false)]
    #[case::no_commit_yet(&["checkout --quiet --orphan new"], ".", false)]
    #[case::packed_refs(&["pack-refs --all"], ".", true)]
    #[case::another_working_tree(&["worktree add --quiet ../other -b other"], "../other", false)]
    #[case::working_tree_elsewhere(&["config core.worktree ../../clone/sub"], ".", false)]
    #[case::without_a_working_tree(&["config core.bare yes"], ".", false)]
    #[case::inside_git_directory(&[], ".git/refs", false)]
    #[case::outside_of_a_repository(&[], "../..", false)]
    fn the_layout_agrees_with_git(#[case] lines: &[&str], #[case] path: &str, #[case] is_read: bool) {
        let dir = tempfile::tempdir().unwrap();
        let (origin, clone) = (dir.path().join("a/origin"), dir.path().join("a/clone"));
        fs::create_dir_all(origin.join("sub")).unwrap();
        fs::write(origin.join("sub/file"), "").unwrap();
        for line in ["init --quiet", "add .", "commit --quiet --message x"] {
            run(&origin, line);
        }
        run(&origin, "clone --quiet . ../clone");
        for line in lines {
            run(&clone, line);
        }
        let found = read(&clone.join(path));
        assert_eq!(found.is_some(), is_read);
        if let Some(found) = found {
            assert_eq!(found, parse_opening(&clone.join(path), opening(&clone.join(path))).unwrap());
        }
    }
}
