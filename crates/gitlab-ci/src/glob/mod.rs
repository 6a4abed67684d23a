//! Patterns of paths, as `rules:changes` and `rules:exists` compare them: Ruby's `File.fnmatch` with `FNM_PATHNAME`,
//! `FNM_DOTMATCH` and `FNM_EXTGLOB`. <https://docs.ruby-lang.org/en/master/File.html#method-c-fnmatch>
//!
//! `*` and `?` never cross a `/`, and `**/` stands for any number of folders; a `**` at the end is a `*`: `src/**` does
//! not fit `src/a/b`. Braces are put in before anything else is read.

mod braces;
mod pattern;

pub use self::braces::GlobError;
use self::pattern::Pattern;

/// How many comparisons `rules:exists` makes at most; with more, GitLab takes it for true.
const MOST_COMPARISONS: usize = 50_000;

/// A pattern, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    alternatives: Vec<Pattern>,
}

impl Glob {
    /// Compiles a pattern. One that Ruby cannot read, with an open `[` or `{`, is none that fits anything.
    ///
    /// # Errors
    /// When its braces stand for too much.
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        let expanded = braces::expand(pattern)?;
        Ok(Self { alternatives: expanded.iter().filter_map(|pattern| Pattern::compile(pattern)).collect() })
    }

    /// Whether it fits all of a path. Time is at most the length of the path times that of all alternatives.
    pub fn is_match(&self, path: &str) -> bool {
        self.alternatives.iter().any(|pattern| pattern.fits(path))
    }
}

/// Whether one of `patterns` fits one of `paths`: `rules:changes`. `lib/gitlab/ci/build/rules/rule/clause/changes.rb`
///
/// A pattern that cannot be compiled fits nothing.
pub fn any_fits(patterns: &[String], paths: &[String]) -> bool {
    let globs: Vec<Glob> = patterns.iter().filter_map(|pattern| Glob::new(pattern).ok()).collect();
    paths.iter().any(|path| globs.iter().any(|glob| glob.is_match(path)))
}

/// Whether one of `patterns` fits a file, or is a folder, among `paths`: `rules:exists`.
/// `lib/gitlab/ci/build/rules/rule/clause/exists.rb`
///
/// What looks like no pattern is a name; at its end, `/` makes it that of a folder. With more than 50,000 comparisons
/// of true patterns GitLab makes none, and takes it for true.
pub fn any_exists(patterns: &[String], paths: &[String]) -> bool {
    let mut rest = Vec::new();
    for pattern in patterns {
        let suffix = pattern.strip_prefix("**/*").unwrap_or(pattern);
        let holds = |holds: &dyn Fn(&str) -> bool| paths.iter().any(|path| holds(path));
        let found = if is_exact(pattern) {
            holds(&|path| path == pattern || pattern.ends_with('/') && path.starts_with(pattern.as_str()))
        } else if suffix.starts_with('.') && !suffix.contains('/') && is_exact(suffix) {
            holds(&|path| path.ends_with(suffix))
        } else {
            rest.push(pattern.clone());
            false
        };
        if found {
            return true;
        }
    }
    rest.len().saturating_mul(paths.len()) > MOST_COMPARISONS || any_fits(&rest, paths)
}

/// Without a backslash among them: GitLab does not look for it.
fn is_exact(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '[', '{'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    // What ruby/spec's `core/file/shared/fnmatch.rb` and Ruby's `dir.c` say for PATHNAME | DOTMATCH | EXTGLOB.
    #[rstest]
    #[case::same("Dockerfile", "Dockerfile", true)]
    #[case::part("cat", "category", false)]
    #[case::within_a_folder("*.rs", "main.rs", true)]
    #[case::not_across("*.rs", "src/main.rs", false)]
    #[case::folders("**/*.rs", "a/b/main.rs", true)]
    #[case::no_folder("**/*.rs", "main.rs", true)]
    #[case::folders_between("a/**/b/**/c", "a/b/x/b/y/c", true)]
    #[case::folders_twice("**/**/x", "x", true)]
    #[case::not_those_folders("a/**/b/**/c", "a/x/y/c", false)]
    #[case::below("src/**/*", "src/a/b", true)]
    #[case::last_stars_are_one("src/**", "src/a/b", false)]
    #[case::last_stars("src/**", "src/a", true)]
    #[case::stars_with_more("**.rs", "src/main.rs", false)]
    #[case::stars_before_a_name("**x/y", "a/x/y", false)]
    #[case::three_stars("***/x", "a/b/x", false)]
    #[case::hidden("*", ".env", true)]
    #[case::hidden_folder("**/x", ".git/x", true)]
    #[case::leading_point("./a", "a", false)]
    #[case::braces("*.{rb,py}", "a.py", true)]
    #[case::nested_braces("{1,5{a,b{c,d}}}", "5bd", true)]
    #[case::braces_multiply("{a,b}{c,d}", "bc", true)]
    #[case::braces_with_slash("{src,tests/**}/*.rs", "tests/a/b/x.rs", true)]
    #[case::braces_with_nothing("a{,b}c", "ac", true)]
    #[case::empty_braces("a{}b", "ab", true)]
    #[case::escaped_in_braces("{a\\,b,c}", "a,b", true)]
    #[case::open_brace("{a,b", "{a,b", false)]
    #[case::brace_too_many("c{at,ub}}s", "cats", false)]
    #[case::no_ranges_in_braces("a{0..3}b", "a1b", false)]
    #[case::escaped_brace("\\{a,b\\}", "{a,b}", true)]
    #[case::question("a?c", "abc", true)]
    #[case::question_is_one("a?c", "ac", false)]
    #[case::question_is_a_letter("a?c", "aäc", true)]
    #[case::question_is_no_slash("a?c", "a/c", false)]
    #[case::class("[a-c]x", "bx", true)]
    #[case::class_of_letters("[äöü]", "ö", true)]
    #[case::negated("[!a-c]x", "bx", false)]
    #[case::caret("[^a-c]x", "dx", true)]
    #[case::case_matters("[a-z]", "D", false)]
    #[case::escaped_in_class("[\\]]", "]", true)]
    #[case::dash_at_the_end("[a-]", "-", true)]
    #[case::backwards("[c-a]", "b", false)]
    #[case::backwards_end("[c-a]", "a", true)]
    #[case::no_slash_in_class("a[/]b", "a/b", false)]
    #[case::no_slash_by_negation("a[!x]b", "a/b", false)]
    #[case::empty_class("[]a]", "]", false)]
    #[case::open_class("a[b", "a[b", false)]
    #[case::class_is_no_letter("[a]", "[a]", false)]
    #[case::escaped("\\*", "*", true)]
    #[case::escaped_other("\\*", "a", false)]
    #[case::escaped_letter("\\a", "a", true)]
    #[case::backslash_at_the_end("a\\", "a\\", true)]
    #[case::point_is_a_point("a.b", "axb", false)]
    #[case::folder("a/", "a/b", false)]
    #[case::nothing("", "", true)]
    #[case::star_of_nothing("a*", "a", true)]
    #[case::two_stars("*a*b", "xaxbxb", true)]
    fn patterns(#[case] pattern: &str, #[case] path: &str, #[case] expected: bool) {
        assert_eq!(Glob::new(pattern).unwrap().is_match(path), expected);
    }

    #[rstest]
    #[case::file("Dockerfile", true)]
    #[case::not_deeper("main.rs", false)]
    #[case::folder("src/", true)]
    #[case::folder_inside("src/a/", true)]
    #[case::file_is_no_folder("Dockerfile/", false)]
    #[case::folder_without_slash("src", false)]
    #[case::beginning_is_no_folder("sr/", false)]
    #[case::root("/", false)]
    #[case::suffix("**/*.rs", true)]
    #[case::two_suffixes("**/*.tar.gz", true)]
    #[case::other_suffix("**/*.py", false)]
    #[case::top_level("*.rs", false)]
    #[case::pattern("src/**/m*.rs", true)]
    #[case::backslash_is_a_name("Docker\\file", false)]
    #[case::nothing("", false)]
    fn existing(#[case] pattern: &str, #[case] expected: bool) {
        let paths = ["Dockerfile", "src/a/main.rs", "x.tar.gz"].map(str::to_owned);
        assert_eq!(any_exists(&[pattern.to_owned()], &paths), expected);
        assert!(!any_exists(&[pattern.to_owned()], &[]));
        assert!(!any_exists(&[], &paths));
    }

    #[test]
    fn one_of_many() {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert!(any_fits(&owned(&["a", "*.rs"]), &owned(&["x", "y.rs"])));
        assert!(!any_fits(&owned(&["a", "*.rs"]), &owned(&["x", "src/y.rs"])));
        assert!(any_exists(&owned(&["x", "y?"]), &owned(&["a", "y1"])));
    }

    #[test]
    fn too_many_comparisons_are_true() {
        let paths: Vec<String> = (0..50_000).map(|number| number.to_string()).collect();
        assert!(!any_exists(&["x*".to_owned()], &paths));
        assert!(any_exists(&["x*".to_owned(), "y*".to_owned()], &paths));
        assert!(!any_exists(&["x*".to_owned(), "y".to_owned(), "**/*.z".to_owned()], &paths));
    }

    #[test]
    fn hostile_patterns_end() {
        assert!(!Glob::new(&("*a".repeat(2000) + "b")).unwrap().is_match(&"a".repeat(5000)));
        assert!(!Glob::new(&("**/a/".repeat(500) + "b")).unwrap().is_match(&"a/".repeat(2000)));
        assert!(!Glob::new(&"{".repeat(100_000)).unwrap().is_match("a"));
        assert!(!Glob::new(&"[".repeat(100_000)).unwrap().is_match("a"));
        for hostile in
            ["{a,b}".repeat(30), "{".repeat(5000) + &"}".repeat(5000), format!("{{{}}}", ",".repeat(1 << 20))]
        {
            assert_eq!(Glob::new(&hostile), Err(GlobError::TooManyAlternatives));
        }
    }

    proptest! {
        #[test]
        fn any_pattern(pattern in "[ab*?{},!^\\[\\]\\\\/-]{0,20}", path in "[ab/.]{0,12}") {
            if let Ok(glob) = Glob::new(&pattern) {
                glob.is_match(&path);
            }
        }

        #[test]
        fn an_escaped_path_fits_itself(path in "[^/]*") {
            let pattern: String = path.chars().flat_map(|character| ['\\', character]).collect();
            prop_assert!(Glob::new(&pattern).unwrap().is_match(&path));
        }

        #[test]
        fn stars_fit_as_tried_out(pattern in "[ab*?/]{0,8}", path in "[ab/]{0,8}") {
            // Recursive folders are another case.
            prop_assume!(!pattern.contains("**/"));
            let (pattern_bytes, path_bytes) = (pattern.as_bytes(), path.as_bytes());
            prop_assert_eq!(Glob::new(&pattern).unwrap().is_match(&path), tried_out(pattern_bytes, path_bytes));
        }
    }

    fn tried_out(pattern: &[u8], path: &[u8]) -> bool {
        match (pattern, path) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => {
                tried_out(rest, path)
                    || path.split_first().is_some_and(|(first, path)| *first != b'/' && tried_out(pattern, path))
            }
            ([b'?', pattern @ ..], [other, path @ ..]) => *other != b'/' && tried_out(pattern, path),
            ([own, pattern @ ..], [other, path @ ..]) => own == other && tried_out(pattern, path),
            _ => false,
        }
    }
}
