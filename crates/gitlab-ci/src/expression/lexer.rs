//! Splits a text into tokens: GitLab's `expression/lexer.rb` and the patterns in `expression/lexeme/`.

use std::ops::Range;

use super::error::{Problem, SyntaxError, shortened};
use super::node::Operator;

/// GitLab's `MAX_TOKENS` is 100, but GitLab counts the end of the text as a token.
const MAX_TOKENS: usize = 99;

/// A token and its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token<'text> {
    pub(super) kind: Kind<'text>,
    pub(super) range: Range<usize>,
}

/// The kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'text> {
    Open,
    Close,
    Not,
    Operator(Operator),
    Null,
    Boolean(bool),
    /// The content without the quotes.
    Text(&'text str),
    /// The name without the `$`.
    Variable(&'text str),
    /// The name only.
    Input(&'text str),
    /// The literal with its slashes and flags.
    Pattern(&'text str),
}

/// The tokens with a fixed text. A text comes before its own prefixes.
const SYMBOLS: [(&str, Kind); 9] = [
    ("(", Kind::Open),
    (")", Kind::Close),
    ("==", Kind::Operator(Operator::Equal)),
    ("=~", Kind::Operator(Operator::Matching)),
    ("!=", Kind::Operator(Operator::Unequal)),
    ("!~", Kind::Operator(Operator::Unmatching)),
    ("&&", Kind::Operator(Operator::And)),
    ("||", Kind::Operator(Operator::Or)),
    ("!", Kind::Not),
];

/// A token and its length, or the problem, the length of the invalid part, and what would be valid.
type Scanned<'text> = Result<(Kind<'text>, usize), (Problem, usize, &'static str)>;

/// Splits `text` into tokens.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, SyntaxError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let start = text.len() - rest.len();
        if tokens.len() == MAX_TOKENS {
            let range = start..text.len();
            return Err(SyntaxError { range, problem: Problem::TooLong, expected: "at most 99 tokens" });
        }
        let (kind, length) = scan(rest).map_err(|(problem, length, expected)| SyntaxError {
            range: start..start + length,
            problem,
            expected,
        })?;
        tokens.push(Token { kind, range: start..start + length });
        rest = rest.get(length..).unwrap_or_default().trim_start_matches(is_space);
    }
    Ok(tokens)
}

/// Ruby's `\s`.
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

/// Ruby's `\w`.
fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Splits off the longest prefix whose characters satisfy `part`.
fn split(text: &str, part: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|character| !part(character)).unwrap_or(text.len()))
}

fn scan(text: &str) -> Scanned<'_> {
    if let Some((symbol, kind)) = SYMBOLS.iter().find(|(symbol, _)| text.starts_with(symbol)) {
        return Ok((*kind, symbol.len()));
    }
    match text.chars().next() {
        Some('$') => variable(text),
        Some(quote @ ('"' | '\'')) => quoted(text, quote),
        Some('/') => pattern(text),
        Some(first) if is_word(first) => word(text),
        first => unknown(text, first.map_or(0, char::len_utf8)),
    }
}

fn unknown(text: &str, length: usize) -> Scanned<'_> {
    let part = text.get(..length).unwrap_or(text);
    let expected = match part {
        "=" => "`==` or `=~`",
        "&" => "`&&`",
        "|" => "`||`",
        _ if part.starts_with(|first: char| first.is_ascii_digit()) => "a quoted number: expressions have no numbers",
        _ if part.starts_with(is_word) => "a quoted string, a variable with `$`, or null, true, false",
        _ => "a variable, a quoted string, a /regular expression/ or an operator",
    };
    Err((Problem::Unknown(shortened(part)), length, expected))
}

fn word(text: &str) -> Scanned<'_> {
    let (word, _) = split(text, is_word);
    match word {
        "null" => Ok((Kind::Null, word.len())),
        "true" => Ok((Kind::Boolean(true), word.len())),
        "false" => Ok((Kind::Boolean(false), word.len())),
        _ => unknown(text, word.len()),
    }
}

fn variable(text: &str) -> Scanned<'_> {
    let after = text.strip_prefix('$').unwrap_or_default();
    let (name, _) = split(after, is_word);
    if !name.is_empty() {
        return Ok((Kind::Variable(name), name.len() + 1));
    }
    if let Some((name, rest)) = input(after) {
        return Ok((Kind::Input(name), text.len() - rest.len()));
    }
    let Some(inner) = after.strip_prefix('{') else { return unknown(text, 1) };
    let (name, rest) = split(inner, is_word);
    let length = text.len() - rest.strip_prefix('}').unwrap_or(rest).len();
    let braces = text.get(..length).unwrap_or(text);
    let expected = if name.is_empty() { "`$NAME`" } else { "`$NAME`, without braces" };
    Err((Problem::Braces(shortened(braces)), length, expected))
}

/// Parses `[[ inputs.name ]]`. Returns the name and the rest of the text.
fn input(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix("[[")?.trim_start_matches(is_space).strip_prefix("inputs.")?;
    let (name, rest) = split(inner, |character| is_word(character) || character == '-');
    let rest = rest.trim_start_matches(is_space).strip_prefix("]]")?;
    (!name.is_empty()).then_some((name, rest))
}

/// Parses a string. It has no escape sequences and ends on the same line.
fn quoted(text: &str, quote: char) -> Scanned<'_> {
    let inner = text.strip_prefix(quote).unwrap_or_default();
    let (content, rest) = split(inner, |character| character != quote && character != '\n');
    if rest.starts_with(quote) {
        return Ok((Kind::Text(content), content.len() + 2));
    }
    let length = content.len() + 1;
    let expected = if quote == '"' { "`\"`" } else { "`'`" };
    Err((Problem::OpenText(shortened(text.get(..length).unwrap_or(text))), length, expected))
}

fn pattern(text: &str) -> Scanned<'_> {
    match pattern_end(text) {
        Ok(end) => {
            let (body, rest) = text.split_at_checked(end).unwrap_or((text, ""));
            let end = body.len() + split(rest, |flag| "ismU".contains(flag)).0.len();
            Ok((Kind::Pattern(text.get(..end).unwrap_or(text)), end))
        }
        Err(Some(end)) => {
            let part = shortened(text.get(..end).unwrap_or(text));
            Err((Problem::ShortPattern(part), end, "an equivalent of at least two characters, such as `/[a]/`"))
        }
        Err(None) => Err((Problem::OpenPattern(shortened(text)), text.len(), "`/`")),
    }
}

/// Finds the end of a regular expression literal, where its flags start. The error is the apparent end of a literal
/// that is too short, or `None` if there is no end.
///
/// GitLab's pattern is `^\/([^\/]|\\\/)+[^\\]\/[ismU]*`. It requires two parts before the closing slash, where `\/` is
/// one part. But its `[^\\]` may match a slash as well: both in `/ab//` and in `/ab\//` the very last slash closes the
/// literal, and this match has precedence over all others.
fn pattern_end(text: &str) -> Result<usize, Option<usize>> {
    let mut rest = text.strip_prefix('/').ok_or(None)?;
    let mut parts = 0;
    loop {
        if let Some(after) = rest.strip_prefix(r"\/") {
            if let Some(end) = after.strip_prefix('/') {
                return Ok(text.len() - end.len());
            }
            rest = after;
        } else if let Some(after) = rest.strip_prefix('/') {
            return match (parts, after.strip_prefix('/')) {
                (0, _) | (1, None) => Err(Some(text.len() - after.len())),
                (_, Some(end)) => Ok(text.len() - end.len()),
                (_, None) => Ok(text.len() - after.len()),
            };
        } else {
            let mut characters = rest.chars();
            characters.next().ok_or(None)?;
            rest = characters.as_str();
        }
        parts += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn kinds(text: &str) -> Vec<Kind<'_>> {
        tokens(text).unwrap().into_iter().map(|token| token.kind).collect()
    }

    // From GitLab's `spec/lib/gitlab/ci/pipeline/expression/lexer_spec.rb` and `lexeme/*_spec.rb`.
    #[rstest]
    #[case::one_variable("$VARIABLE", &[Kind::Variable("VARIABLE")])]
    #[case::white_space_is_skipped("\t$VARIABLE \r\n\u{b}\u{c}", &[Kind::Variable("VARIABLE")])]
    #[case::without_space("$A==$B", &[Kind::Variable("A"), Kind::Operator(Operator::Equal), Kind::Variable("B")])]
    #[case::a_name_of_digits("$1", &[Kind::Variable("1")])]
    #[case::strings("\"some string\" 'and another one'", &[Kind::Text("some string"), Kind::Text("and another one")])]
    #[case::the_other_quotes("\"some ' string\" 'some \" string'", &[Kind::Text("some ' string"), Kind::Text("some \" string")])]
    #[case::empty_strings("''\"\"", &[Kind::Text(""), Kind::Text("")])]
    #[case::no_variables_in_strings("\"$A\"", &[Kind::Text("$A")])]
    #[case::no_escapes_in_strings(r#""a\""#, &[Kind::Text(r"a\")])]
    #[case::words("null true false", &[Kind::Null, Kind::Boolean(true), Kind::Boolean(false)])]
    #[case::not_and_unequal("!!=!~", &[Kind::Not, Kind::Operator(Operator::Unequal), Kind::Operator(Operator::Unmatching)])]
    #[case::inputs("$[[ inputs.cloud-provider ]]$[[inputs.a]]", &[Kind::Input("cloud-provider"), Kind::Input("a")])]
    #[case::pattern("/pattern/", &[Kind::Pattern("/pattern/")])]
    #[case::flags("/pattern/im", &[Kind::Pattern("/pattern/im")])]
    #[case::escaped_slash(r"/some .* \/ pattern/", &[Kind::Pattern(r"/some .* \/ pattern/")])]
    #[case::escaped_slash_at_the_end(r"/^feature\// && /b\//", &[Kind::Pattern(r"/^feature\//"), Kind::Operator(Operator::And), Kind::Pattern(r"/b\//")])]
    #[case::only_an_escaped_slash(r"/\//", &[Kind::Pattern(r"/\//")])]
    #[case::two_slashes_at_the_end("/ab// ", &[Kind::Pattern("/ab//")])]
    #[case::two_patterns("/ab//cd/", &[Kind::Pattern("/ab//")])]
    fn splits_into_tokens(#[case] text: &str, #[case] expected: &[Kind]) {
        let found = match tokens(text) {
            Ok(tokens) => tokens.into_iter().map(|token| token.kind).collect(),
            // `two_patterns`: only the first token matters, the rest is invalid.
            Err(error) => kinds(text.get(..error.range.start).unwrap()),
        };
        assert_eq!(found, expected);
    }

    #[rstest]
    #[case::number("$V1 123 $V2", 4..7, Problem::Unknown("123".into()))]
    #[case::assignment("$INVALID = 1", 9..10, Problem::Unknown("=".into()))]
    #[case::half_an_operator("$A & $B", 3..4, Problem::Unknown("&".into()))]
    #[case::word("$A == main", 6..10, Problem::Unknown("main".into()))]
    #[case::word_that_starts_with_null("nullable", 0..8, Problem::Unknown("nullable".into()))]
    #[case::letter_of_another_script("ä", 0..2, Problem::Unknown("ä".into()))]
    #[case::braces("${VAR} == 'a'", 0..6, Problem::Braces("${VAR}".into()))]
    #[case::lone_dollar("$ A", 0..1, Problem::Unknown("$".into()))]
    #[case::not_an_input("$[[ a ]]", 0..1, Problem::Unknown("$".into()))]
    #[case::unclosed_string("$A == 'a", 6..8, Problem::OpenText("'a".into()))]
    #[case::string_over_two_lines("'a\nb'", 0..2, Problem::OpenText("'a".into()))]
    #[case::unclosed_pattern(r"/ab\/", 0..5, Problem::OpenPattern(r"/ab\/".into()))]
    #[case::short_pattern("$A =~ /a/ && $B =~ /b/", 6..9, Problem::ShortPattern("/a/".into()))]
    #[case::short_pattern_of_two_bytes("/ä/", 0..4, Problem::ShortPattern("/ä/".into()))]
    #[case::empty_pattern("//", 0..2, Problem::ShortPattern("//".into()))]
    #[case::unknown_flag("/pattern/x", 9..10, Problem::Unknown("x".into()))]
    fn rejects_invalid_tokens(#[case] text: &str, #[case] range: Range<usize>, #[case] problem: Problem) {
        let error = tokens(text).unwrap_err();
        assert_eq!((error.range, error.problem), (range, problem));
    }

    #[test]
    fn the_hundredth_token_is_rejected() {
        assert_eq!(tokens(&"$A ".repeat(99)).unwrap().len(), 99);
        let error = tokens(&"$A ".repeat(100)).unwrap_err();
        assert_eq!((error.range, error.problem), (297..300, Problem::TooLong));
    }

    proptest! {
        #[test]
        fn literals_end_where_gitlabs_pattern_ends(text in "/[a/\\\\ i\nä]{0,10}") {
            let reference = regex::Regex::new(r"\A/([^/]|\\/)+[^\\]/[ismU]*").unwrap();
            let expected = reference.find(&text).map(|found| found.as_str());
            let found = pattern(&text).ok().map(|(_, length)| &text[..length]);
            prop_assert_eq!(found, expected);
        }
    }
}
