//! `/regular expressions/`: GitLab's `lib/gitlab/untrusted_regexp/ruby_syntax.rb`.

use std::fmt;

use regex::{Regex, RegexBuilder};

use super::re2;

/// The longest text of a regular expression, in bytes: reading one takes far more space than it has itself.
const LONGEST: usize = 4096;
/// The most space that a compiled one takes, and again what it keeps while matching. RE2 has 8 MiB.
const LARGEST: usize = 1 << 20;

/// A compiled regular expression, of RE2's syntax. Cheap to clone. Takes time in proportion to the text that it
/// searches, whatever it is.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: String,
    flags: String,
    regex: Regex,
}

/// Why a text is no usable regular expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not between slashes, or with other flags.
    #[error("it is not written as `/.../`, with no flags but i, s, m and U")]
    Form,
    /// Not valid between the slashes.
    #[error("{0}")]
    Syntax(String),
    /// Longer or larger than is allowed here, if not in GitLab.
    #[error("it is too large")]
    Size,
}

impl Pattern {
    /// Reads `/re/flags`: in `only` and `except`, and from the value of a variable. If there are several lines, the
    /// first in that form counts, as Ruby's `^` and `$` have it.
    ///
    /// `/a/` is valid here. It is the lexer of expressions that takes no literal of one character.
    ///
    /// # Errors
    ///
    /// The text is in another form, or what is between the slashes is no regular expression, or too large a one.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (source, flags) = text.split('\n').find_map(halves).ok_or(PatternError::Form)?;
        if source.len() > LONGEST {
            return Err(PatternError::Size);
        }
        let regex = RegexBuilder::new(&re2::translate(&source)?)
            .case_insensitive(flags.contains('i'))
            .dot_matches_new_line(flags.contains('s'))
            .multi_line(flags.contains('m'))
            .swap_greed(flags.contains('U'))
            .size_limit(LARGEST)
            .dfa_size_limit(LARGEST)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => PatternError::Size,
                other => PatternError::Syntax(reason(&other.to_string())),
            })?;
        Ok(Self { source, flags, regex })
    }

    /// Whether it is found anywhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The first part of a text that it fits.
    pub fn find<'text>(&self, text: &'text str) -> Option<&'text str> {
        self.regex.find(text).map(|found| found.as_str())
    }
}

/// What is between the first and the last slash of a line, and the flags behind. `\/` becomes `/` before anything is
/// looked at (`expression/lexeme/pattern.rb`).
fn halves(line: &str) -> Option<(String, String)> {
    let line = line.replace(r"\/", "/");
    let (source, flags) = line.strip_prefix('/')?.rsplit_once('/')?;
    flags.chars().all(|flag| "ismU".contains(flag)).then(|| (source.to_owned(), flags.to_owned()))
}

/// The last line of the many in which the `regex` crate shows what is wrong.
fn reason(message: &str) -> String {
    let last = message.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// By text, as GitLab compares them.
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.source, &self.flags) == (&other.source, &other.flags)
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "/{}/{}", self.source.replace('/', r"\/"), self.flags)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    // Reference 2.3 and 2.6, and GitLab's `spec/lib/gitlab/untrusted_regexp/ruby_syntax_spec.rb`.
    #[rstest]
    #[case::anywhere("/release-/", "my-release-1", true)]
    #[case::anchored("/^release-/", "my-release-1", false)]
    #[case::one_character("/a/", "bab", true)]
    #[case::empty("//", "", true)]
    #[case::escaped_slash(r"/^feature\/a/", "feature/a", true)]
    #[case::bare_slash("/^feature/a/", "feature/a", true)]
    #[case::case_matters("/ab/", "AB", false)]
    #[case::flag_i("/ab/i", "AB", true)]
    #[case::a_dot_is_no_line_break("/a.b/", "a\nb", false)]
    #[case::flag_s("/a.b/s", "a\nb", true)]
    #[case::one_line("/^b$/", "a\nb\nc", false)]
    #[case::flag_m("/^b$/m", "a\nb\nc", true)]
    #[case::flag_u("/^a+?$/U", "aaa", true)]
    #[case::flags_twice("/AB/iimsU", "ab", true)]
    #[case::several_lines("x\n/ab/i\n/cd/", "AB", true)]
    #[case::an_at_sign(r"/^a\x40b$/", "a@b", true)]
    fn matches(#[case] pattern: &str, #[case] text: &str, #[case] expected: bool) {
        assert_eq!(Pattern::parse(pattern).unwrap().is_match(text), expected);
    }

    #[rstest]
    #[case::no_slashes("ab", PatternError::Form)]
    #[case::one_slash("/", PatternError::Form)]
    #[case::a_path("/a/full/path/variable/value", PatternError::Form)]
    #[case::other_flags("/ab/x", PatternError::Form)]
    #[case::over_two_lines("/a\nb/", PatternError::Form)]
    #[case::unclosed("/ some ( thin/i", PatternError::Syntax("unclosed group".into()))]
    #[case::look_around("/(?!a)/", PatternError::Syntax("RE2 has no groups with `(?!`".into()))]
    fn refuses(#[case] text: &str, #[case] expected: PatternError) {
        assert_eq!(Pattern::parse(text).unwrap_err(), expected);
    }

    #[rstest]
    #[case::long(&format!("/{}/", "a".repeat(1 << 20)))]
    #[case::deep(&format!("/{}/", "(".repeat(1 << 20)))]
    #[case::repeated("/((a{1000}){1000}){1000}/")]
    #[case::large_classes(&format!("/(?i){}/", r"\pL".repeat(1300)))]
    #[case::repeated_large_class(r"/(\pL{1000}){1000}/")]
    fn refuses_a_large_one_soon(#[case] text: &str) {
        let start = Instant::now();
        assert!(Pattern::parse(text).is_err());
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn does_not_backtrack() {
        let start = Instant::now();
        assert!(!Pattern::parse("/^(a+)+$/").unwrap().is_match(&format!("{}b", "a".repeat(10_000))));
        assert!(start.elapsed() < Duration::from_secs(5));
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
