//! Why an expression or a regular expression is invalid.

use std::ops::Range;

/// The first error in an expression, and its position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}, at byte {}; expected {expected}", range.start)]
pub struct SyntaxError {
    /// The range of bytes in the text. Empty if the error is at the end of the text.
    pub range: Range<usize>,
    /// The kind of problem.
    pub problem: Problem,
    /// The valid alternatives at that position.
    pub expected: &'static str,
}

/// The kinds of errors. Quoted parts of the text are shortened and contain no line breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The text is empty or consists of white space.
    #[error("the expression is empty")]
    Empty,
    /// The text ends where an operand is required.
    #[error("the expression is incomplete")]
    End,
    /// A parenthesis is not closed.
    #[error("`(` is never closed")]
    Unclosed,
    /// A valid token, but not at this position.
    #[error("`{0}` is not allowed here")]
    Misplaced(String),
    /// Not a token of the language.
    #[error("unknown token `{0}`")]
    Unknown(String),
    /// A variable in the notation of a shell.
    #[error("`{0}` is not a valid reference to a variable")]
    Braces(String),
    /// A string without a closing quote.
    #[error("the string {0} has no closing quote on the same line")]
    OpenText(String),
    /// A regular expression without a closing slash.
    #[error("the regular expression {0} has no closing `/`")]
    OpenPattern(String),
    /// `//`, or a regular expression of one character such as `/a/`: GitLab's lexer recognizes neither.
    #[error("the regular expression {0} is too short: GitLab requires at least two characters")]
    ShortPattern(String),
    /// A regular expression that cannot be compiled.
    #[error("the regular expression {0} is invalid: {1}")]
    Pattern(String, PatternError),
    /// More tokens than GitLab's `MAX_TOKENS` allows.
    #[error("the expression has more than 99 tokens")]
    TooLong,
}

/// Why a text is not a usable regular expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The text is not between slashes, or has unknown flags.
    #[error("it must have the form `/.../`, with no flags other than i, s, m and U")]
    Form,
    /// The part between the slashes is not valid RE2 syntax.
    #[error("{0}")]
    Syntax(String),
    /// The text or the compiled expression exceeds a limit that exists here, but not in GitLab.
    #[error("it is larger than this program supports; GitLab may accept it")]
    Size,
}

/// Cuts a text to the length that fits into a message of one line, and escapes control characters.
pub(super) fn shortened(text: &str) -> String {
    const MAX_LENGTH: usize = 40;
    let mut short: String = text.chars().take(MAX_LENGTH).flat_map(plain).collect();
    if text.chars().nth(MAX_LENGTH).is_some() {
        short.push('…');
    }
    short
}

fn plain(character: char) -> impl Iterator<Item = char> {
    let escaped = character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
    let escape = escaped.then(|| character.escape_default()).into_iter().flatten();
    escape.chain((!escaped).then_some(character))
}
