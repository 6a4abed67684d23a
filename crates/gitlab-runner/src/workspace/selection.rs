//! Selects files by `paths`, `exclude` and `untracked`: GitLab Runner's `commands/helpers/file_archiver.go`.
//!
//! A directory that matches includes everything below it. A directory that `exclude` matches excludes only itself. Links are not
//! followed, except those that a pattern names before its first wildcard: `latest/*.html` selects files below the link `latest`.

use std::collections::HashSet;
use std::sync::Arc;

use gitlab_ci::glob::Glob;

/// A selection of a job's files.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    paths: Vec<Path>,
    exclude: Vec<Glob>,
    /// The files that git tracks, if all others are selected. The path of a submodule ends with a slash and selects all of its files.
    tracked: Option<Arc<HashSet<String>>>,
    /// Number of the files that git does not track.
    untracked: usize,
}

/// The result of a pattern of a selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The pattern, as written.
    pub pattern: String,
    /// Number of files, directories and links that it has found; `None` if it leads out of the project.
    pub count: Option<usize>,
}

#[derive(Clone, Debug)]
struct Path {
    written: String,
    /// `None` if the pattern leads out of the project.
    glob: Option<Glob>,
    /// Whether the pattern matches the project directory itself, and therefore everything.
    is_all: bool,
    /// The path components before the first wildcard.
    root: String,
    has_wildcard: bool,
    count: usize,
}

impl Selection {
    /// A selection by patterns that are relative to the directory `project`. If `tracked` (the files that git tracks) is given, also
    /// selects all other files.
    pub fn new(project: &str, paths: &[String], exclude: &[String], tracked: Option<&Arc<HashSet<String>>>) -> Self {
        let paths = paths.iter().map(|written| {
            let relative = relative(project, written);
            let glob = relative.as_ref().and_then(|path| Glob::new(path).ok());
            let root = relative.as_deref().map(root).unwrap_or_default();
            let is_all = relative.as_deref().is_some_and(|path| matches!(path, "" | "**"));
            let has_wildcard = relative.as_deref().is_some_and(|path| path != root);
            Path { written: written.clone(), glob, is_all, root, has_wildcard, count: 0 }
        });
        let exclude = exclude.iter().filter_map(|written| relative(project, written));
        // A trailing `**` in GitLab Runner's doublestar library corresponds to `**/*` in Ruby's patterns.
        let exclude = exclude.map(|path| if path == "**" || path.ends_with("/**") { path + "/*" } else { path });
        Self {
            paths: paths.collect(),
            exclude: exclude.filter_map(|path| Glob::new(&path).ok()).collect(),
            tracked: tracked.map(Arc::clone),
            untracked: 0,
        }
    }

    /// Whether the selection has neither paths nor untracked files.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.tracked.is_none()
    }

    /// The topmost paths, relative to the project, at or below which all selected files are. The empty string is the project directory
    /// itself.
    pub fn roots(&self) -> Vec<String> {
        if self.tracked.is_some() {
            return vec![String::new()];
        }
        let mut roots: Vec<String> =
            self.paths.iter().filter(|path| path.glob.is_some()).map(|path| path.root.clone()).collect();
        roots.sort();
        roots.dedup();
        let covers = |outer: &String, inner: &String| {
            outer.is_empty() || inner.strip_prefix(outer.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        let all = roots.clone();
        roots.retain(|root| !all.iter().any(|other| other != root && covers(other, root)));
        roots
    }

    /// Whether the file, directory or link `path`, relative to the project, is selected. Counts what each pattern has found.
    pub fn takes(&mut self, path: &str, is_dir: bool) -> bool {
        if self.exclude.iter().any(|glob| glob.is_match(path)) {
            return false;
        }
        let mut is_selected = false;
        for pattern in &mut self.paths {
            let Some(glob) = &pattern.glob else { continue };
            if pattern.is_all || with_parents(path).any(|path| glob.is_match(path)) {
                pattern.count += 1;
                is_selected = true;
            }
        }
        let is_untracked = !is_dir && self.tracked.as_ref().is_some_and(|tracked| is_untracked(path, tracked));
        self.untracked += usize::from(is_untracked);
        is_selected || is_untracked
    }

    /// Whether a pattern leads through the link `path`.
    pub fn enters(&self, path: &str) -> bool {
        let is_below = |root: &str| root.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        self.paths.iter().any(|pattern| is_below(&pattern.root) || pattern.has_wildcard && pattern.root == path)
    }

    /// Whether a pattern without wildcards names `path`. GitLab Runner's glob library takes no link to nothing for such a file.
    pub fn names(&self, path: &str) -> bool {
        self.paths.iter().any(|pattern| !pattern.has_wildcard && pattern.root == path && !path.is_empty())
    }

    /// The result of each pattern so far.
    pub fn findings(&self) -> Vec<Finding> {
        let finding =
            |path: &Path| Finding { pattern: path.written.clone(), count: path.glob.as_ref().map(|_| path.count) };
        self.paths.iter().map(finding).collect()
    }

    /// Number of the files that git does not track; `None` if they are not selected.
    pub fn untracked(&self) -> Option<usize> {
        self.tracked.as_ref().map(|_| self.untracked)
    }
}

/// A path and its parents: `a/b/c`, `a/b`, `a`.
fn with_parents(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(parent, _)| parent))
}

/// Whether `git ls-files --others` would list a file.
fn is_untracked(path: &str, tracked: &HashSet<String>) -> bool {
    let is_git_internal = path.split('/').any(|name| name == ".git");
    let is_in_submodule = || with_parents(path).skip(1).any(|dir| tracked.contains(&format!("{dir}/")));
    !is_git_internal && !tracked.contains(path) && !is_in_submodule()
}

/// A path relative to the project directory; `None` if it leads out of it.
fn relative(project: &str, written: &str) -> Option<String> {
    let inner = match written.strip_prefix(project) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest.trim_start_matches('/'),
        _ if written.starts_with('/') => return None,
        _ => written,
    };
    let mut parts = Vec::new();
    for part in inner.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The path components before the first wildcard.
fn root(pattern: &str) -> String {
    let plain = pattern.split('/').take_while(|part| !part.contains(['*', '?', '[', '{', '\\']));
    plain.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const FILES: [&str; 9] =
        [".env", ".git/config", "a.txt", "dist", "dist/app", "dist/sub", "dist/sub/b.xml", "log/.keep", "log/b.txt"];

    // https://docs.gitlab.com/ci/yaml/#artifactspaths
    #[rstest]
    #[case::directory(&["dist/"], &[], &["dist", "dist/app", "dist/sub", "dist/sub/b.xml"], &["dist"])]
    #[case::file(&["a.txt"], &[], &["a.txt"], &["a.txt"])]
    #[case::wildcard(&["*.txt"], &[], &["a.txt"], &[""])]
    #[case::in_all_directories(&["**/*.txt"], &[], &["a.txt", "log/b.txt"], &[""])]
    #[case::hidden_files(&["log/*"], &[], &["log/.keep", "log/b.txt"], &["log"])]
    #[case::absolute_path_in_the_project(&["/builds/p/dist/app"], &[], &["dist/app"], &["dist/app"])]
    #[case::outside_of_the_project(&["/etc/passwd", "../x"], &[], &[], &[])]
    #[case::exclude_is_not_recursive(&["dist"], &["dist/sub"], &["dist", "dist/app", "dist/sub/b.xml"], &["dist"])]
    #[case::exclude_everything_below(&["dist"], &["dist/**"], &["dist"], &["dist"])]
    #[case::exclude_by_kind(&["dist"], &["**/*.xml"], &["dist", "dist/app", "dist/sub"], &["dist"])]
    #[case::everything_below(&["dist/**"], &[], &["dist/app", "dist/sub", "dist/sub/b.xml"], &["dist"])]
    #[case::one_root_in_another(&["dist/sub/*.xml", "dist"], &[], &["dist", "dist/app", "dist/sub", "dist/sub/b.xml"], &["dist"])]
    fn patterns_select_these_files(
        #[case] paths: &[&str],
        #[case] exclude: &[&str],
        #[case] expected: &[&str],
        #[case] roots: &[&str],
    ) {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut selection = Selection::new("/builds/p", &owned(paths), &owned(exclude), None);
        assert_eq!(selection.roots(), roots);
        assert_eq!(FILES.into_iter().filter(|path| takes(&mut selection, path)).collect::<Vec<_>>(), expected);
    }

    fn takes(selection: &mut Selection, path: &str) -> bool {
        selection.takes(path, ["dist", "dist/sub"].contains(&path))
    }

    #[rstest]
    #[case::dot(".")]
    #[case::stars("**")]
    #[case::slash("./")]
    #[case::absolute_path("/p")]
    #[case::absolute_path_with_a_slash("/p/")]
    fn the_project_directory_selects_everything(#[case] written: &str) {
        let mut selection = Selection::new("/p", &[written.to_owned()], &[], None);
        assert!(FILES.into_iter().all(|path| takes(&mut selection, path)));
        assert_eq!(selection.findings(), [Finding { pattern: written.to_owned(), count: Some(FILES.len()) }]);
    }

    #[rstest]
    #[case::wildcard_below("latest/*.html", true)]
    #[case::path_below("latest/sub", true)]
    #[case::itself("latest", false)]
    #[case::all_directories("**/*.html", false)]
    fn a_pattern_enters_a_link_that_it_names(#[case] pattern: &str, #[case] expected: bool) {
        assert_eq!(Selection::new("/p", &[pattern.to_owned()], &[], None).enters("latest"), expected);
    }

    #[test]
    fn untracked_files_are_selected() {
        let tracked = Arc::new(HashSet::from(["a.txt", "log/.keep", "module/"].map(str::to_owned)));
        let mut selection = Selection::new("/p", &["none".to_owned()], &["dist/sub/*".to_owned()], Some(&tracked));
        let others = ["module", "module/.git", "module/file", "clone/.git/config", "modules/file"];
        let files: Vec<_> = FILES
            .into_iter()
            .chain(others)
            .filter(|path| selection.takes(path, path.ends_with("/sub") || ["dist", "module"].contains(path)))
            .collect();
        assert_eq!(files, [".env", "dist/app", "log/b.txt", "modules/file"]);
        assert_eq!(selection.findings(), [Finding { pattern: "none".to_owned(), count: Some(0) }]);
        assert_eq!(selection.untracked(), Some(4));
        assert_eq!(selection.roots(), [""]);
    }
}
