//! Splits texts at their references to variables.

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'text> {
    /// Literal text.
    Text(&'text str),
    /// A reference: the name of the variable, and the reference as written.
    Reference(&'text str, &'text str),
}

/// Splits a text as the GitLab server does: at `$NAME`, `${NAME}` and `%NAME%`.
pub(super) struct Pieces<'text> {
    rest: &'text str,
    /// Whether `$$` and `%%` are literal text, as in values of variables. In other texts, the second character may start
    /// a reference.
    treats_doubled_as_literal: bool,
}

impl<'text> Pieces<'text> {
    /// Splits the value of a variable, as in `lib/gitlab/ci/variables/collection/item.rb`.
    pub(super) fn from_value(text: &'text str) -> Self {
        Self { rest: text, treats_doubled_as_literal: true }
    }

    /// Splits a text that is not the value of a variable, such as a path in `exists`. `lib/expand_variables.rb`
    pub(super) fn from_text(text: &'text str) -> Self {
        Self { rest: text, treats_doubled_as_literal: false }
    }

    fn take(&mut self, length: usize) -> Option<&'text str> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

impl<'text> Iterator for Pieces<'text> {
    type Item = Piece<'text>;

    fn next(&mut self) -> Option<Piece<'text>> {
        if self.rest.is_empty() {
            return None;
        }
        if let Some((name, length)) = server_reference(self.rest) {
            return self.take(length).map(|written| Piece::Reference(name, written));
        }
        let literal = match self.rest.as_bytes() {
            [b'$', b'$', ..] | [b'%', b'%', ..] if self.treats_doubled_as_literal => 2,
            [b'$' | b'%', ..] => 1,
            _ => 0,
        };
        let until = if literal > 0 { literal } else { self.rest.find(['$', '%']).unwrap_or(self.rest.len()) };
        self.take(until).map(Piece::Text)
    }
}

/// Whether a text matches GitLab's `VARIABLES_REGEXP` of `lib/expand_variables.rb`: it has a reference, `$$` or `%%`.
pub fn has_reference(text: &str) -> bool {
    text.contains("$$")
        || text.contains("%%")
        || Pieces::from_text(text).any(|piece| matches!(piece, Piece::Reference(..)))
}

/// Parses a reference at the start of a text. Returns the name, and the length of the reference in bytes.
fn server_reference(text: &str) -> Option<(&str, usize)> {
    let (open, close) = match text.as_bytes() {
        [b'$', b'{', ..] => ("${", "}"),
        [b'$', ..] => ("$", ""),
        [b'%', ..] => ("%", "%"),
        _ => return None,
    };
    let inner = text.strip_prefix(open)?;
    let length = inner.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    let (name, after) = inner.split_at_checked(length)?;
    let is_name = name.starts_with(|first: char| !first.is_ascii_digit());
    (is_name && after.starts_with(close)).then_some((name, open.len() + length + close.len()))
}

/// Splits a text as the runner does, with Go's `os.Expand`.
pub(super) struct RunnerPieces<'text> {
    rest: &'text str,
    /// Whether the rest may contain a `}`. Once a search has failed, it is not repeated.
    has_brace: bool,
}

impl<'text> RunnerPieces<'text> {
    pub(super) fn new(text: &'text str) -> Self {
        Self { rest: text, has_brace: true }
    }

    /// Parses the reference that follows a `$`. Returns the name, or `None` if it is not valid, and the length of the
    /// reference in bytes, without the `$`.
    fn name(&mut self, text: &'text str) -> (Option<&'text str>, usize) {
        if let Some(inner) = text.strip_prefix('{') {
            let end = if self.has_brace { inner.find('}') } else { None };
            self.has_brace = end.is_some();
            // Go drops `${` without an end, and `${}`.
            return end.map_or((None, 1), |end| (inner.get(..end).filter(|name| !name.is_empty()), end + 2));
        }
        let special = text.starts_with(|first: char| first.is_ascii_digit() || "*#$@!?-".contains(first));
        let word = || text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let length = if special { 1 } else { word() };
        (text.get(..length).filter(|name| !name.is_empty()), length)
    }
}

impl<'text> Iterator for RunnerPieces<'text> {
    type Item = Piece<'text>;

    fn next(&mut self) -> Option<Piece<'text>> {
        let after = match self.rest.strip_prefix('$') {
            _ if self.rest.is_empty() => return None,
            Some(after) if !after.is_empty() => after,
            Some(_) => return Some(Piece::Text(std::mem::take(&mut self.rest))),
            None => {
                let (text, rest) = self.rest.split_at_checked(self.rest.find('$').unwrap_or(self.rest.len()))?;
                self.rest = rest;
                return Some(Piece::Text(text));
            }
        };
        let (name, length) = self.name(after);
        let (written, rest) = self.rest.split_at_checked(length + 1)?;
        self.rest = rest;
        Some(match name {
            Some(name) => Piece::Reference(name, written),
            // A `$` before any other character is literal.
            None if length == 0 => Piece::Text(written),
            None => Piece::Text(""),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// Writes each reference as `<name>` and the other pieces unchanged.
    fn marked<'text>(pieces: impl Iterator<Item = Piece<'text>>) -> String {
        pieces
            .map(|piece| match piece {
                Piece::Text(text) => text.to_owned(),
                Piece::Reference(name, _) => format!("<{name}>"),
            })
            .collect()
    }

    #[rstest]
    #[case::plain("a $A b", "a <A> b", "a <A> b")]
    #[case::braces("${A}b", "<A>b", "<A>b")]
    #[case::percent("%A%%B%", "<A><B>", "<A><B>")]
    #[case::doubled("$$A", "$$A", "$<A>")]
    #[case::doubled_twice("$$$A", "$$<A>", "$$<A>")]
    #[case::doubled_percent("%%A%", "%%A%", "%<A>")]
    #[case::not_a_reference("5$ $(date) 100%", "5$ $(date) 100%", "5$ $(date) 100%")]
    #[case::unclosed("${A", "${A", "${A")]
    #[case::empty_braces("${}", "${}", "${}")]
    #[case::default("${A:-b}", "${A:-b}", "${A:-b}")]
    #[case::digit("$1 $1A %1%", "$1 $1A %1%", "$1 $1A %1%")]
    #[case::unclosed_percent("%A", "%A", "%A")]
    #[case::non_ascii_letter("$Aä", "<A>ä", "<A>ä")]
    fn splits_like_the_server(#[case] text: &str, #[case] value_pieces: &str, #[case] text_pieces: &str) {
        assert_eq!(marked(Pieces::from_value(text)), value_pieces);
        assert_eq!(marked(Pieces::from_text(text)), text_pieces);
    }

    // https://pkg.go.dev/os#Expand
    #[rstest]
    #[case::plain("a $A b", "a <A> b")]
    #[case::braces("${A}b", "<A>b")]
    #[case::percent("%A%", "%A%")]
    #[case::doubled("$$A", "<$>A")]
    #[case::special("$1$*$-${#}", "<1><*><-><#>")]
    #[case::one_digit("$12", "<1>2")]
    #[case::any_text_in_braces("${A:-b}", "<A:-b>")]
    #[case::empty_braces("a${}b", "ab")]
    #[case::unclosed("a${A", "aA")]
    #[case::not_a_reference("$(date) $", "$(date) $")]
    fn splits_like_the_runner(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(marked(RunnerPieces::new(text)), expected);
    }

    #[test]
    fn hostile_texts_terminate() {
        let text = "${".repeat(1 << 19);
        assert_eq!(RunnerPieces::new(&text).filter(|piece| matches!(piece, Piece::Reference(..))).count(), 0);
        assert_eq!(Pieces::from_value(&text).filter(|piece| matches!(piece, Piece::Reference(..))).count(), 0);
    }

    proptest! {
        #[test]
        fn pieces_add_up_to_the_text(text in "[$%{}A1_ä ]*") {
            for pieces in [Pieces::from_value(&text), Pieces::from_text(&text)] {
                let written: String =
                    pieces.map(|piece| match piece { Piece::Text(text) | Piece::Reference(_, text) => text }).collect();
                prop_assert_eq!(&written, &text);
            }
            RunnerPieces::new(&text).for_each(drop);
        }
    }
}
