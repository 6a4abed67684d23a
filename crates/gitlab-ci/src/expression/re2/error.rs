//! The sentences with which RE2 refuses a regular expression: `RegexpStatus::CodeText` of `parse.cc`.

use std::fmt;

/// Why RE2 refuses a regular expression. Most contain the text that is wrong.
#[derive(Debug)]
pub(super) enum Mistake {
    Escape(String),
    TrailingBackslash,
    Range(String),
    OpenClass(String),
    OpenGroup,
    /// A `)` without its `(`.
    Closed,
    NothingToRepeat(String),
    /// `{3,2}`
    Count(String),
    TooOften(String),
    RepeatedTwice(String),
    Operator(String),
    Name(String),
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let shown = |text: &str| crate::expression::error::shortened(text);
        match self {
            Self::Escape(text) => write!(formatter, "invalid escape sequence: {}", shown(text))?,
            Self::TrailingBackslash => write!(formatter, "trailing \\")?,
            Self::Range(text) => write!(formatter, "invalid character class range: {}", shown(text))?,
            Self::OpenClass(text) => write!(formatter, "missing ]: {}", shown(text))?,
            Self::OpenGroup => write!(formatter, "missing )")?,
            Self::Closed => write!(formatter, "unexpected )")?,
            Self::NothingToRepeat(text) => {
                write!(formatter, "no argument for repetition operator: {}", shown(text))?;
            }
            Self::Count(text) | Self::TooOften(text) => write!(formatter, "invalid repetition size: {}", shown(text))?,
            Self::RepeatedTwice(text) => write!(formatter, "bad repetition operator: {}", shown(text))?,
            Self::Operator(text) => write!(formatter, "invalid perl operator: {}", shown(text))?,
            Self::Name(text) => write!(formatter, "invalid named capture group: {}", shown(text))?,
        }
        match self.reason() {
            Some(reason) => write!(formatter, "; {reason}"),
            None => Ok(()),
        }
    }
}

impl Mistake {
    /// What other libraries support and RE2 does not.
    fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Escape(text) if text.len() == 2 && text.ends_with(|last: char| last.is_ascii_digit()) => {
                Some("RE2 has no back references")
            }
            Self::Escape(text) if text == r"\Z" => Some("the end of the text is `\\z`"),
            Self::Operator(text) if matches!(text.as_str(), "(?=" | "(?!") => Some("RE2 has no look-ahead"),
            Self::Operator(text) if matches!(text.as_str(), "(?<=" | "(?<!") => Some("RE2 has no look-behind"),
            Self::Operator(text) if text == "(?>" => Some("RE2 has no atomic groups"),
            Self::RepeatedTwice(text) if text.ends_with('+') => Some("RE2 has no possessive repetition"),
            Self::TooOften(_) => Some("a part can be repeated 1000 times at most, also by nested counts"),
            _ => None,
        }
    }
}
