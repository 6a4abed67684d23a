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
    paths: Vec<PathPattern>,
    exclude: Vec<Glob>,
    /// The files that git tracks, if all others are selected. The path of a submodule ends with a slash: all files below it are tracked.
    tracked: Option<Arc<HashSet<String>>>,
    /// Number of the files that git does not track.
    untracked: usize,
}

/// The result of a pattern of a selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The pattern, as written.
    pub pattern: String,
    /// Number of files, directories and links that it has found. One that is below several matching directories counts several times, as
    /// in GitLab Runner.
    pub count: Result<usize, Unusable>,
}

/// Why a pattern of a selection is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It leads out of the project.
    Outside,
    /// Its braces expand to more alternatives than this program allows.
    TooManyAlternatives,
}

#[derive(Clone, Debug)]
struct PathPattern {
    written: String,
    globs: Result<Vec<Glob>, Unusable>,
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
            let globs = relative.as_deref().ok_or(Unusable::Outside).and_then(globs);
            let root = relative.as_deref().map(root).unwrap_or_default();
            let is_all = relative.as_deref().is_some_and(|path| matches!(path, "" | "**"));
            let has_wildcard = relative.as_deref().is_some_and(|path| path != root);
            PathPattern { written: written.clone(), globs, is_all, root, has_wildcard, count: 0 }
        });
        let exclude = exclude.iter().filter_map(|written| relative(project, written));
        Self {
            paths: paths.collect(),
            exclude: exclude.filter_map(|path| globs(&path).ok()).flatten().collect(),
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
            self.paths.iter().filter(|path| path.globs.is_ok()).map(|path| path.root.clone()).collect();
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
            let Ok(globs) = &pattern.globs else { continue };
            let is_match = |path: &&str| globs.iter().any(|glob| glob.is_match(path));
            let count = usize::from(pattern.is_all) + with_parents(path).filter(is_match).count();
            pattern.count += count;
            is_selected |= count > 0;
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

    /// Whether a pattern without wildcards names `path`. GitLab Runner's glob library does not find a dangling link by such a pattern.
    pub fn names(&self, path: &str) -> bool {
        self.paths.iter().any(|pattern| !pattern.has_wildcard && pattern.root == path && !path.is_empty())
    }

    /// The result of each pattern so far.
    pub fn findings(&self) -> Vec<Finding> {
        let finding = |path: &PathPattern| {
            // GitLab Runner also counts the project directory itself.
            let itself = usize::from(path.is_all && path.count > 0);
            let count = path.globs.as_ref().map(|_| path.count + itself).map_err(|reason| *reason);
            Finding { pattern: path.written.clone(), count }
        };
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

/// The patterns of Ruby that correspond to a pattern of GitLab Runner's doublestar library. There, `**` at the end matches the directory
/// before it, and everything below it. In Ruby, it is a plain `*`.
fn globs(pattern: &str) -> Result<Vec<Glob>, Unusable> {
    let patterns = match pattern.strip_suffix("**") {
        Some("") => vec!["**/*".to_owned()],
        Some(dir) if dir.ends_with('/') => vec![dir.trim_end_matches('/').to_owned(), format!("{pattern}/*")],
        _ => vec![pattern.to_owned()],
    };
    patterns.iter().map(|pattern| Glob::new(pattern).map_err(|_| Unusable::TooManyAlternatives)).collect()
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
    #[case::exclude_a_directory_and_everything_below(&["dist"], &["dist/**"], &[], &["dist"])]
    #[case::exclude_everything_below(&["dist"], &["dist/**/*"], &["dist"], &["dist"])]
    #[case::exclude_everything(&["dist"], &["**"], &[], &["dist"])]
    #[case::exclude_by_kind(&["dist"], &["**/*.xml"], &["dist", "dist/app", "dist/sub"], &["dist"])]
    #[case::a_directory_and_everything_below(&["dist/**"], &[], &["dist", "dist/app", "dist/sub", "dist/sub/b.xml"], &["dist"])]
    #[case::everything_below(&["dist/**/*"], &[], &["dist/app", "dist/sub", "dist/sub/b.xml"], &["dist"])]
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
    #[case::dot(".", 10)]
    #[case::slash("./", 10)]
    #[case::absolute_path("/p", 10)]
    #[case::absolute_path_with_a_slash("/p/", 10)]
    // Ten, and each file below each of the four directories once more.
    #[case::stars("**", 26)]
    fn the_project_directory_selects_everything(#[case] written: &str, #[case] count: usize) {
        let mut selection = Selection::new("/p", &[written.to_owned()], &[], None);
        assert!(FILES.into_iter().all(|path| takes(&mut selection, path)));
        assert_eq!(selection.findings(), [Finding { pattern: written.to_owned(), count: Ok(count) }]);
    }

    /// `processPath` of `commands/helpers/file_archiver.go` walks through each match of the pattern.
    #[rstest]
    #[case::directory("dist", Ok(4))]
    #[case::each_entry("dist/*", Ok(3))]
    #[case::directory_and_everything_below("dist/**", Ok(8))]
    #[case::nothing("none/**", Ok(0))]
    #[case::outside("../x", Err(Unusable::Outside))]
    #[case::too_many_alternatives(
        "{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}",
        Err(Unusable::TooManyAlternatives)
    )]
    fn a_file_counts_once_for_each_match_that_contains_it(
        #[case] written: &str,
        #[case] count: Result<usize, Unusable>,
    ) {
        let mut selection = Selection::new("/p", &[written.to_owned()], &[], None);
        for path in FILES {
            takes(&mut selection, path);
        }
        assert_eq!(selection.findings(), [Finding { pattern: written.to_owned(), count }]);
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
        assert_eq!(selection.findings(), [Finding { pattern: "none".to_owned(), count: Ok(0) }]);
        assert_eq!(selection.untracked(), Some(4));
        assert_eq!(selection.roots(), [""]);
    }
}
