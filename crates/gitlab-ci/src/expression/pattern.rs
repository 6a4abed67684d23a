//! `/regular expressions/`: GitLab's `lib/gitlab/untrusted_regexp/ruby_syntax.rb`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

use regex::{Regex, RegexBuilder};

use super::error::PatternError;
use super::re2;

/// The longest text of a regular expression, in bytes: reading one takes far more space than it has itself.
const LONGEST: usize = 4096;
/// The most space that a compiled one takes, and again what it keeps while matching. RE2 has 8 MiB, and makes nobody wait
/// for hundreds of them.
const LARGEST: usize = 1 << 18;
/// How many compiled ones are kept.
const MOST_KEPT: usize = 128;

/// A regular expression, of RE2's syntax. Takes time in proportion to the text that it searches, whatever it is.
///
/// It keeps its text only, and is compiled, unless that has just been done, where it is used: a compiled one takes a thousand
/// times as much space, and a file may have a hundred thousand of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    source: String,
    flags: String,
}

thread_local! {
    /// What has been compiled lately. Jobs share rules, so most of their patterns are the same few.
    static KEPT: RefCell<HashMap<Pattern, Result<Regex, PatternError>>> = RefCell::default();
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
        let pattern = Self { source, flags };
        pattern.compiled().map(|_| pattern)
    }

    /// Whether it is found anywhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.compiled().is_ok_and(|regex| regex.is_match(text))
    }

    /// What its last group has of the last part of a text that it fits; without groups, that part.
    pub fn last_group<'text>(&self, text: &'text str) -> Option<&'text str> {
        let captures = self.compiled().ok()?.captures_iter(text).last()?;
        captures.get(captures.len() - 1).map(|found| found.as_str())
    }

    /// As expressions have it. One of less than two characters is none there, unless it is on the second line of a literal; one that
    /// ends with a backslash is none, unless a literal has it on its first line and ends on another.
    pub(super) fn literal(&self) -> String {
        if self.source.ends_with('\\') {
            return format!("{self}\nx/");
        }
        let is_short = self.source.chars().nth(1).is_none() && self.source != "/";
        if is_short { format!("/\n\\/{}/{}", self.source, self.flags) } else { self.to_string() }
    }

    fn compiled(&self) -> Result<Regex, PatternError> {
        KEPT.with_borrow_mut(|kept| {
            if let Some(known) = kept.get(self) {
                return known.clone();
            }
            let compiled = self.compile();
            if kept.len() >= MOST_KEPT {
                kept.clear();
            }
            kept.insert(self.clone(), compiled.clone());
            compiled
        })
    }

    fn compile(&self) -> Result<Regex, PatternError> {
        let has = |flag| self.flags.contains(flag);
        RegexBuilder::new(&re2::translate(&self.source)?)
            .case_insensitive(has('i'))
            .dot_matches_new_line(has('s'))
            .multi_line(has('m'))
            .swap_greed(has('U'))
            .size_limit(LARGEST)
            .dfa_size_limit(LARGEST)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => PatternError::Size,
                other => PatternError::Syntax(reason(&other.to_string())),
            })
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

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        // A backslash at its end would be taken for a part of `\/`, which is a slash as well.
        let end = if self.source.ends_with('\\') { r"\/" } else { "/" };
        write!(formatter, "/{}{end}{}", self.source.replace('/', r"\/"), self.flags)
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
    // A hang is what this is about: a second on an idle machine, and tests have company.
    fn refuses_a_large_one_soon(#[case] text: &str) {
        let start = Instant::now();
        assert!(Pattern::parse(text).is_err());
        assert!(start.elapsed() < Duration::from_mins(1));
    }

    #[rstest]
    #[case::plain("/ab/i")]
    #[case::a_slash(r"/a\/b/")]
    #[case::one_character("/a/")]
    #[case::one_slash(r"/\//")]
    #[case::a_backslash_at_its_end(r"/ab\\\/i")]
    #[case::two_backslashes(r"/\\\/")]
    fn is_the_same_when_it_is_printed(#[case] text: &str) {
        let pattern = Pattern::parse(text).unwrap();
        assert_eq!(Pattern::parse(&pattern.to_string()).unwrap(), pattern);
        let expression = format!("$A =~ {}", pattern.literal());
        let read = crate::expression::Expression::parse(&expression).unwrap();
        assert_eq!(read.to_string(), expression);
    }

    #[test]
    fn more_than_are_kept_mean_what_they_say() {
        let patterns: Vec<_> =
            (0..2 * MOST_KEPT).map(|number| Pattern::parse(&format!("/^{number}$/")).unwrap()).collect();
        for (number, pattern) in patterns.iter().enumerate() {
            assert!(pattern.is_match(&number.to_string()) && !pattern.is_match("x"), "{pattern}");
        }
        assert!(Pattern::parse("/(/").is_err() && Pattern::parse("/(/").is_err());
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
