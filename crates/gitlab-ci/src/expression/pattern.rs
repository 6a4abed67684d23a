//! `/regular expressions/`: GitLab's `lib/gitlab/untrusted_regexp/ruby_syntax.rb`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

use regex::{Regex, RegexBuilder};

use super::error::PatternError;
use super::re2;

/// The maximum length of a regular expression, in bytes. Parsing one takes far more memory than its text.
const MAX_LENGTH: usize = 4096;
/// The maximum size of a compiled regular expression in bytes, and also that of the cache that it uses while matching.
/// RE2 allows 8 MiB, which is too slow for files with hundreds of regular expressions. `.{1,255}` takes 290 KiB.
const MAX_COMPILED_SIZE: usize = 1 << 19;
/// The maximum number of compiled regular expressions to keep.
const MAX_CACHED: usize = 128;

/// A regular expression in RE2 syntax. The time of a search is proportional to the length of the searched text, for
/// every expression.
///
/// A `Pattern` stores only its text and is compiled when it is used, unless that happened recently. A compiled
/// expression takes a thousand times as much memory, and a file may contain a hundred thousand of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    source: String,
    flags: String,
}

thread_local! {
    /// Recently compiled expressions. Jobs share rules, so most of their expressions are the same few.
    static CACHE: RefCell<HashMap<Pattern, Result<Regex, PatternError>>> = RefCell::default();
}

impl Pattern {
    /// Parses `/re/flags` of an expression or of a variable's value. GitLab replaces `\/` by `/` first (`expression/lexeme/pattern.rb`). In
    /// a text of several lines, the first line of that form counts, because Ruby's `^` and `$` match at line breaks.
    ///
    /// `/a/` is valid here. Only the lexer of expressions refuses a literal of one character.
    ///
    /// # Errors
    /// The text does not have the form `/re/flags`, the part between the slashes is not valid RE2 syntax, or it is too
    /// large.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Self::find(&text.replace(r"\/", "/")).unwrap_or(Err(PatternError::Form))
    }

    /// Finds a regular expression, as `only` and `except` do: `None` if the text does not have the form `/re/flags`, which
    /// makes it a name. Unlike in expressions, `\/` at the end does not close the expression: `fabricate!` of
    /// `ruby_syntax.rb` does not replace it.
    pub fn find(text: &str) -> Option<Result<Self, PatternError>> {
        let (source, flags) = text.split('\n').find_map(halves)?;
        Some(Self::new(source, flags))
    }

    fn new(source: String, flags: String) -> Result<Self, PatternError> {
        if source.len() > MAX_LENGTH {
            return Err(PatternError::Size);
        }
        let pattern = Self { source, flags };
        pattern.compiled().map(|_| pattern)
    }

    /// Whether the expression matches anywhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.compiled().is_ok_and(|regex| regex.is_match(text))
    }

    /// Finds the last match in `text` and returns its last group, or the whole match if the expression has no groups.
    /// `None` if nothing matches.
    pub fn last_group<'text>(&self, text: &'text str) -> Option<&'text str> {
        let captures = self.compiled().ok()?.captures_iter(text).last()?;
        captures.get(captures.len() - 1).map(|found| found.as_str())
    }

    /// Writes the pattern as a literal that the lexer of expressions accepts. In a literal of one line, the lexer
    /// accepts neither a pattern of less than two characters nor one that ends with a backslash. These get a literal of
    /// two lines: a short pattern is on the second line, a pattern that ends with a backslash on the first.
    pub(super) fn literal(&self) -> String {
        if self.source.ends_with('\\') {
            return format!("{self}\nx/");
        }
        let is_short = self.source.chars().nth(1).is_none() && self.source != "/";
        if is_short { format!("/\n\\/{}/{}", self.source, self.flags) } else { self.to_string() }
    }

    fn compiled(&self) -> Result<Regex, PatternError> {
        CACHE.with_borrow_mut(|cache| {
            if let Some(known) = cache.get(self) {
                return known.clone();
            }
            let compiled = self.compile();
            if cache.len() >= MAX_CACHED {
                cache.clear();
            }
            cache.insert(self.clone(), compiled.clone());
            compiled
        })
    }

    fn compile(&self) -> Result<Regex, PatternError> {
        compile(&self.source, &self.flags, MAX_COMPILED_SIZE)
    }
}

/// The maximum size of the compiled regular expression of an input, in bytes. A file has few of them.
const MAX_COMPILED_SIZE_OF_INPUT: usize = 1 << 20;

/// Compiles a regular expression in RE2 syntax that is not between slashes: `spec:inputs:NAME:regex`. `lib/gitlab/untrusted_regexp.rb`
///
/// # Errors
/// The text is not valid RE2 syntax, or it is too large.
pub fn compile_bare(source: &str) -> Result<Regex, PatternError> {
    compile(source, "", MAX_COMPILED_SIZE_OF_INPUT)
}

fn compile(source: &str, flags: &str, max_size: usize) -> Result<Regex, PatternError> {
    let has = |flag| flags.contains(flag);
    RegexBuilder::new(&re2::translate(source)?)
        .case_insensitive(has('i'))
        .dot_matches_new_line(has('s'))
        .multi_line(has('m'))
        .swap_greed(has('U'))
        .size_limit(max_size)
        .dfa_size_limit(max_size)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => PatternError::Size,
            other => PatternError::Syntax(reason(&other.to_string())),
        })
}

/// Splits a line into the part between the first and the last slash, and the flags.
fn halves(line: &str) -> Option<(String, String)> {
    let (source, flags) = line.strip_prefix('/')?.rsplit_once('/')?;
    flags.chars().all(|flag| "ismU".contains(flag)).then(|| (source.to_owned(), flags.to_owned()))
}

/// Returns the last line of an error message of the `regex` crate, which shows the pattern in the other lines.
fn reason(message: &str) -> String {
    let last = message.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        // A backslash before the closing slash would make it `\/`, which also matches a slash.
        let end = if self.source.ends_with('\\') { r"\/" } else { "/" };
        write!(formatter, "/{}{end}{}", self.source.replace('/', r"\/"), self.flags)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    // Some of the cases are from GitLab's `spec/lib/gitlab/untrusted_regexp/ruby_syntax_spec.rb`.
    #[rstest]
    #[case::anywhere("/release-/", "my-release-1", true)]
    #[case::anchored("/^release-/", "my-release-1", false)]
    #[case::one_character("/a/", "bab", true)]
    #[case::empty("//", "", true)]
    #[case::escaped_slash(r"/^feature\/a/", "feature/a", true)]
    #[case::bare_slash("/^feature/a/", "feature/a", true)]
    #[case::case_matters("/ab/", "AB", false)]
    #[case::flag_i("/ab/i", "AB", true)]
    #[case::a_dot_does_not_match_a_line_break("/a.b/", "a\nb", false)]
    #[case::flag_s("/a.b/s", "a\nb", true)]
    #[case::anchors_match_the_whole_text("/^b$/", "a\nb\nc", false)]
    #[case::flag_m("/^b$/m", "a\nb\nc", true)]
    #[case::flag_u("/^a+?$/U", "aaa", true)]
    #[case::repeated_flags("/AB/iimsU", "ab", true)]
    #[case::several_lines("x\n/ab/i\n/cd/", "AB", true)]
    #[case::a_long_name("/^.{1,255}$/", "a", true)]
    #[case::an_at_sign(r"/^a\x40b$/", "a@b", true)]
    fn matches_like_gitlab(#[case] pattern: &str, #[case] text: &str, #[case] expected: bool) {
        assert_eq!(Pattern::parse(pattern).unwrap().is_match(text), expected);
    }

    #[rstest]
    #[case::no_slashes("ab", PatternError::Form)]
    #[case::one_slash("/", PatternError::Form)]
    #[case::a_path("/a/full/path/variable/value", PatternError::Form)]
    #[case::other_flags("/ab/x", PatternError::Form)]
    #[case::over_two_lines("/a\nb/", PatternError::Form)]
    #[case::unclosed("/ some ( thin/i", PatternError::Syntax("missing )".into()))]
    #[case::look_around("/(?!a)/", PatternError::Syntax("invalid perl operator: (?!; RE2 has no look-ahead".into()))]
    fn rejects_invalid_patterns(#[case] text: &str, #[case] expected: PatternError) {
        assert_eq!(Pattern::parse(text).unwrap_err(), expected);
    }

    #[rstest]
    #[case::long_text(&format!("/{}/", "a".repeat(1 << 20)))]
    #[case::deeply_nested(&format!("/{}/", "(".repeat(1 << 20)))]
    #[case::nested_repetitions("/((a{1000}){1000}){1000}/")]
    #[case::large_classes(&format!("/(?i){}/", r"\pL".repeat(1300)))]
    #[case::repeated_large_class(r"/(\pL{1000}){1000}/")]
    fn rejects_large_patterns(#[case] text: &str) {
        assert!(Pattern::parse(text).is_err());
    }

    #[rstest]
    #[case::plain("/ab/i")]
    #[case::a_slash(r"/a\/b/")]
    #[case::one_character("/a/")]
    #[case::one_slash(r"/\//")]
    #[case::a_trailing_backslash(r"/ab\\\/i")]
    #[case::two_backslashes(r"/\\\/")]
    fn parses_back_what_it_prints(#[case] text: &str) {
        let pattern = Pattern::parse(text).unwrap();
        assert_eq!(Pattern::parse(&pattern.to_string()).unwrap(), pattern);
        let expression = format!("$A =~ {}", pattern.literal());
        let read = crate::expression::Expression::parse(&expression).unwrap();
        assert_eq!(read.to_string(), expression);
    }

    #[test]
    fn patterns_still_match_after_the_cache_is_cleared() {
        let patterns: Vec<_> =
            (0..2 * MAX_CACHED).map(|number| Pattern::parse(&format!("/^{number}$/")).unwrap()).collect();
        for (number, pattern) in patterns.iter().enumerate() {
            assert!(pattern.is_match(&number.to_string()) && !pattern.is_match("x"), "{pattern}");
        }
        assert!(Pattern::parse("/(/").is_err() && Pattern::parse("/(/").is_err());
    }

    /// A matcher that backtracks would need 2 to the power of 10,000 steps, and the test would not end.
    #[test]
    fn does_not_backtrack() {
        assert!(!Pattern::parse("/^(a+)+$/").unwrap().is_match(&format!("{}b", "a".repeat(10_000))));
    }

    proptest! {
        #[test]
        fn never_panics(text in "/([(){}*+?|^$.a-c0-3,:<P&~ä-]|\\[|\\]|\\\\){0,20}/[ismU]{0,2}") {
            if let Ok(pattern) = Pattern::parse(&text) {
                pattern.is_match(&text);
            }
        }
    }
}
