//! What is wrong with an expression.

use std::ops::Range;

/// Why a text is no expression, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}, at byte {}; expected {expected}", place.start)]
pub struct SyntaxError {
    /// Bytes of the text. Empty at its end.
    pub place: Range<usize>,
    /// What is wrong.
    pub problem: Problem,
    /// What could stand there instead.
    pub expected: &'static str,
}

/// What is wrong. Parts of the text are shortened and without line breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is nothing but space.
    #[error("the expression is empty")]
    Empty,
    /// Something is missing at the end.
    #[error("the expression ends too early")]
    End,
    /// A parenthesis is never closed.
    #[error("`(` is never closed")]
    Unclosed,
    /// Understood, but not in this place.
    #[error("`{0}` cannot stand here")]
    Misplaced(String),
    /// Not a part of the language.
    #[error("`{0}` is unknown")]
    Unknown(String),
    /// Looks like something of the shell.
    #[error("`{0}` is no way to name a variable here")]
    Braces(String),
    /// A text without its end.
    #[error("the text {0} has no closing quote on its line")]
    OpenText(String),
    /// A regular expression without its end.
    #[error("the regular expression {0} has no closing `/`")]
    OpenPattern(String),
    /// `//`, which is none, or `/a/`, which GitLab's lexer does not see.
    #[error("the regular expression {0} is too short: GitLab takes none of less than two characters")]
    ShortPattern(String),
    /// A regular expression that cannot be used.
    #[error("the regular expression {0} is invalid: {1}")]
    Pattern(String, PatternError),
    /// `MAX_TOKENS`.
    #[error("the expression has more than 99 parts")]
    TooLong,
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

/// So much of a text as fits into a message of one line.
pub(super) fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut short: String = text.chars().take(LONGEST).flat_map(plain).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

fn plain(character: char) -> impl Iterator<Item = char> {
    let escaped = character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
    let escape = escaped.then(|| character.escape_default()).into_iter().flatten();
    escape.chain((!escaped).then_some(character))
}
