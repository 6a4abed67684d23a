//! Path patterns, as `rules:changes` and `rules:exists` compare them: Ruby's `File.fnmatch` with `FNM_PATHNAME`,
//! `FNM_DOTMATCH` and `FNM_EXTGLOB`. <https://docs.ruby-lang.org/en/master/File.html#method-c-fnmatch>
//!
//! `*` and `?` do not match a `/`. `**/` matches any number of directories, but `**` at the end of a pattern is a plain
//! `*`: `src/**` does not match `src/a/b`. Braces are expanded before anything else is read.

mod braces;
mod pattern;

pub use self::braces::GlobError;
use self::pattern::Pattern;

/// The maximum number of comparisons of `rules:changes`, and of `rules:exists`. If more would be required, the clause is true.
const MAX_COMPARISONS: usize = 50_000;

/// A compiled path pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    alternatives: Vec<Pattern>,
}

impl Glob {
    /// Compiles a pattern. A pattern that Ruby cannot read, such as one with an unclosed `[` or `{`, matches nothing.
    ///
    /// ```
    /// use gitlab_ci::glob::Glob;
    ///
    /// let glob = Glob::new("src/**/*.{rs,toml}")?;
    /// assert!(glob.is_match("src/config/job.rs"));
    /// assert!(!glob.is_match("docs/checks.md"));
    /// # Ok::<(), gitlab_ci::glob::GlobError>(())
    /// ```
    ///
    /// # Errors
    /// The braces of the pattern expand to more alternatives than this program allows.
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        let expanded = braces::expand(pattern)?;
        Ok(Self { alternatives: expanded.iter().filter_map(|pattern| Pattern::compile(pattern)).collect() })
    }

    /// Whether the pattern matches the whole path. The time is at most proportional to the length of the path times the
    /// length of all alternatives.
    pub fn is_match(&self, path: &str) -> bool {
        self.alternatives.iter().any(|pattern| pattern.matches(path))
    }
}

/// Whether any of `patterns` matches any of `paths`: the clause `rules:changes`.
/// `lib/gitlab/ci/build/rules/rule/clause/changes.rb`
///
/// A pattern that cannot be compiled matches nothing. If the patterns would require more than 50,000 comparisons, GitLab
/// compares none of them, and the clause is true.
pub fn any_matches(patterns: &[String], paths: &[String]) -> bool {
    if patterns.len().saturating_mul(paths.len()) > MAX_COMPARISONS {
        return true;
    }
    let globs: Vec<Glob> = patterns.iter().filter_map(|pattern| Glob::new(pattern).ok()).collect();
    paths.iter().any(|path| globs.iter().any(|glob| glob.is_match(path)))
}

/// Whether any of `patterns` matches a file in `paths` or names a directory of it: the clause `rules:exists`.
/// `lib/gitlab/ci/build/rules/rule/clause/exists.rb`
///
/// A pattern without wildcards is a name: of a directory if it ends with `/`, otherwise of a file. If the remaining
/// patterns would require more than 50,000 comparisons, GitLab compares none of them, and the clause is true.
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
    any_matches(&rest, paths)
}

/// Whether a pattern has no wildcards. A backslash does not count as one: GitLab does not look for it.
fn is_exact(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '[', '{'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    // From ruby/spec's `core/file/shared/fnmatch.rb` and Ruby's `dir.c`, for PATHNAME | DOTMATCH | EXTGLOB.
    #[rstest]
    #[case::same("Dockerfile", "Dockerfile", true)]
    #[case::part_of_a_name("cat", "category", false)]
    #[case::within_a_directory("*.rs", "main.rs", true)]
    #[case::not_across_directories("*.rs", "src/main.rs", false)]
    #[case::any_directories("**/*.rs", "a/b/main.rs", true)]
    #[case::no_directory("**/*.rs", "main.rs", true)]
    #[case::directories_in_between("a/**/b/**/c", "a/b/x/b/y/c", true)]
    #[case::directories_twice("**/**/x", "x", true)]
    #[case::a_directory_is_missing("a/**/b/**/c", "a/x/y/c", false)]
    #[case::below("src/**/*", "src/a/b", true)]
    #[case::trailing_stars_do_not_cross_a_slash("src/**", "src/a/b", false)]
    #[case::trailing_stars("src/**", "src/a", true)]
    #[case::stars_before_an_extension("**.rs", "src/main.rs", false)]
    #[case::stars_before_a_name("**x/y", "a/x/y", false)]
    #[case::three_stars("***/x", "a/b/x", false)]
    #[case::hidden("*", ".env", true)]
    #[case::hidden_directory("**/x", ".git/x", true)]
    #[case::leading_point("./a", "a", false)]
    #[case::braces("*.{rb,py}", "a.py", true)]
    #[case::nested_braces("{1,5{a,b{c,d}}}", "5bd", true)]
    #[case::braces_multiply("{a,b}{c,d}", "bc", true)]
    #[case::braces_with_slash("{src,tests/**}/*.rs", "tests/a/b/x.rs", true)]
    #[case::braces_with_an_empty_alternative("a{,b}c", "ac", true)]
    #[case::empty_braces("a{}b", "ab", true)]
    #[case::escaped_in_braces("{a\\,b,c}", "a,b", true)]
    #[case::unclosed_brace("{a,b", "{a,b", false)]
    #[case::unopened_brace("c{at,ub}}s", "cats", false)]
    #[case::no_ranges_in_braces("a{0..3}b", "a1b", false)]
    #[case::escaped_brace("\\{a,b\\}", "{a,b}", true)]
    #[case::question("a?c", "abc", true)]
    #[case::question_matches_one_character("a?c", "ac", false)]
    #[case::question_matches_a_letter_of_two_bytes("a?c", "aäc", true)]
    #[case::question_does_not_match_a_slash("a?c", "a/c", false)]
    #[case::class("[a-c]x", "bx", true)]
    #[case::class_of_letters("[äöü]", "ö", true)]
    #[case::negated("[!a-c]x", "bx", false)]
    #[case::negated_with_a_caret("[^a-c]x", "dx", true)]
    #[case::case_matters("[a-z]", "D", false)]
    #[case::escaped_in_class("[\\]]", "]", true)]
    #[case::trailing_dash("[a-]", "-", true)]
    #[case::reversed_range("[c-a]", "b", false)]
    #[case::end_of_a_reversed_range("[c-a]", "a", true)]
    #[case::no_slash_in_class("a[/]b", "a/b", false)]
    #[case::no_slash_in_a_negated_class("a[!x]b", "a/b", false)]
    #[case::empty_class("[]a]", "]", false)]
    #[case::unclosed_class("a[b", "a[b", false)]
    #[case::class_is_not_literal("[a]", "[a]", false)]
    #[case::escaped("\\*", "*", true)]
    #[case::escaped_star_is_literal("\\*", "a", false)]
    #[case::escaped_letter("\\a", "a", true)]
    #[case::trailing_backslash("a\\", "a", true)]
    #[case::closing_brace_only("a}{b,c}", "a}b", true)]
    #[case::point_is_literal("a.b", "axb", false)]
    #[case::directory_is_not_a_prefix("a/", "a/b", false)]
    #[case::empty("", "", true)]
    #[case::star_matches_nothing("a*", "a", true)]
    #[case::two_stars("*a*b", "xaxbxb", true)]
    fn matches_like_fnmatch(#[case] pattern: &str, #[case] path: &str, #[case] expected: bool) {
        assert_eq!(Glob::new(pattern).unwrap().is_match(path), expected);
    }

    #[rstest]
    #[case::file("Dockerfile", true)]
    #[case::not_in_a_subdirectory("main.rs", false)]
    #[case::directory("src/", true)]
    #[case::nested_directory("src/a/", true)]
    #[case::file_is_not_a_directory("Dockerfile/", false)]
    #[case::directory_without_slash("src", false)]
    #[case::prefix_is_not_a_directory("sr/", false)]
    #[case::root("/", false)]
    #[case::suffix("**/*.rs", true)]
    #[case::two_suffixes("**/*.tar.gz", true)]
    #[case::other_suffix("**/*.py", false)]
    #[case::top_level("*.rs", false)]
    #[case::pattern("src/**/m*.rs", true)]
    #[case::backslash_is_literal("Docker\\file", false)]
    #[case::empty("", false)]
    fn finds_existing_files(#[case] pattern: &str, #[case] expected: bool) {
        let paths = ["Dockerfile", "src/a/main.rs", "x.tar.gz"].map(str::to_owned);
        assert_eq!(any_exists(&[pattern.to_owned()], &paths), expected);
        assert!(!any_exists(&[pattern.to_owned()], &[]));
        assert!(!any_exists(&[], &paths));
    }

    #[test]
    fn any_pattern_and_any_path_suffice() {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert!(any_matches(&owned(&["a", "*.rs"]), &owned(&["x", "y.rs"])));
        assert!(!any_matches(&owned(&["a", "*.rs"]), &owned(&["x", "src/y.rs"])));
        assert!(any_exists(&owned(&["x", "y?"]), &owned(&["a", "y1"])));
    }

    #[test]
    fn too_many_comparisons_count_as_a_match() {
        let paths: Vec<String> = (0..50_000).map(|number| number.to_string()).collect();
        assert!(!any_exists(&["x*".to_owned()], &paths));
        assert!(any_exists(&["x*".to_owned(), "y*".to_owned()], &paths));
        assert!(!any_exists(&["x*".to_owned(), "y".to_owned(), "**/*.z".to_owned()], &paths));
        assert!(!any_matches(&["x".to_owned()], &paths));
        assert!(any_matches(&["x".to_owned(), "y".to_owned()], &paths));
    }

    #[test]
    fn hostile_patterns_terminate() {
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
        fn any_pattern_terminates(pattern in "[ab*?{},!^\\[\\]\\\\/-]{0,20}", path in "[ab/.]{0,12}") {
            if let Ok(glob) = Glob::new(&pattern) {
                glob.is_match(&path);
            }
        }

        #[test]
        fn an_escaped_path_matches_itself(path in "[^/]*") {
            let pattern: String = path.chars().flat_map(|character| ['\\', character]).collect();
            prop_assert!(Glob::new(&pattern).unwrap().is_match(&path));
        }

        #[test]
        fn stars_match_like_a_backtracking_matcher(pattern in "[ab*?/]{0,8}", path in "[ab/]{0,8}") {
            // The reference implementation does not support `**/`.
            prop_assume!(!pattern.contains("**/"));
            let (pattern_bytes, path_bytes) = (pattern.as_bytes(), path.as_bytes());
            prop_assert_eq!(Glob::new(&pattern).unwrap().is_match(&path), backtracking_match(pattern_bytes, path_bytes));
        }
    }

    fn backtracking_match(pattern: &[u8], path: &[u8]) -> bool {
        match (pattern, path) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => {
                backtracking_match(rest, path)
                    || path
                        .split_first()
                        .is_some_and(|(first, path)| *first != b'/' && backtracking_match(pattern, path))
            }
            ([b'?', pattern @ ..], [other, path @ ..]) => *other != b'/' && backtracking_match(pattern, path),
            ([own, pattern @ ..], [other, path @ ..]) => own == other && backtracking_match(pattern, path),
            _ => false,
        }
    }
}
