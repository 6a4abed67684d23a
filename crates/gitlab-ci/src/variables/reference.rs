//! Where texts refer to variables.

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'text> {
    /// What stays as it is.
    Text(&'text str),
    /// A variable: its name, and all that stands for it.
    Reference(&'text str, &'text str),
}

/// How the server splits a text: `$NAME`, `${NAME}` and `%NAME%`.
pub(super) struct Pieces<'text> {
    rest: &'text str,
    /// Whether `$$` and `%%` are one thing. The one-shot expander takes the second for a beginning.
    knows_doubled: bool,
}

impl<'text> Pieces<'text> {
    /// As `lib/gitlab/ci/variables/collection/item.rb` splits.
    pub(super) fn of_value(text: &'text str) -> Self {
        Self { rest: text, knows_doubled: true }
    }

    /// As `lib/expand_variables.rb` splits.
    pub(super) fn of_text(text: &'text str) -> Self {
        Self { rest: text, knows_doubled: false }
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
        let own = match self.rest.as_bytes() {
            [b'$', b'$', ..] | [b'%', b'%', ..] if self.knows_doubled => 2,
            [b'$' | b'%', ..] => 1,
            _ => 0,
        };
        let until = if own > 0 { own } else { self.rest.find(['$', '%']).unwrap_or(self.rest.len()) };
        self.take(until).map(Piece::Text)
    }
}

/// The name of the variable that a text begins with, and how many bytes that is.
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

/// How the runner splits a text: as Go's `os.Expand` does.
pub(super) struct RunnerPieces<'text> {
    rest: &'text str,
    /// Whether a `}` comes: looked for once in vain, it is not looked for again.
    has_brace: bool,
}

impl<'text> RunnerPieces<'text> {
    pub(super) fn new(text: &'text str) -> Self {
        Self { rest: text, has_brace: true }
    }

    /// The name after a `$`, none for what is no name, and how many bytes that is.
    fn name(&mut self, text: &'text str) -> (Option<&'text str>, usize) {
        if let Some(inner) = text.strip_prefix('{') {
            let end = if self.has_brace { inner.find('}') } else { None };
            self.has_brace = end.is_some();
            // `${` without an end and `${}` are swallowed.
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
            // A `$` before anything else stays.
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

    /// Each reference as `<name>`, all else as it is.
    fn shown<'text>(pieces: impl Iterator<Item = Piece<'text>>) -> String {
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
    #[case::no_name("5$ $(date) 100%", "5$ $(date) 100%", "5$ $(date) 100%")]
    #[case::open("${A", "${A", "${A")]
    #[case::empty_braces("${}", "${}", "${}")]
    #[case::default("${A:-b}", "${A:-b}", "${A:-b}")]
    #[case::digit("$1 $1A %1%", "$1 $1A %1%", "$1 $1A %1%")]
    #[case::open_percent("%A", "%A", "%A")]
    #[case::other_letters("$Aä", "<A>ä", "<A>ä")]
    fn server(#[case] text: &str, #[case] value: &str, #[case] one_shot: &str) {
        assert_eq!(shown(Pieces::of_value(text)), value);
        assert_eq!(shown(Pieces::of_text(text)), one_shot);
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
    #[case::open("a${A", "aA")]
    #[case::no_name("$(date) $", "$(date) $")]
    fn runner(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(shown(RunnerPieces::new(text)), expected);
    }

    #[test]
    fn hostile_texts_end() {
        let text = "${".repeat(1 << 19);
        assert_eq!(RunnerPieces::new(&text).filter(|piece| matches!(piece, Piece::Reference(..))).count(), 0);
        assert_eq!(Pieces::of_value(&text).filter(|piece| matches!(piece, Piece::Reference(..))).count(), 0);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in "[$%{}A1_ä ]*") {
            for pieces in [Pieces::of_value(&text), Pieces::of_text(&text)] {
                let written: String =
                    pieces.map(|piece| match piece { Piece::Text(text) | Piece::Reference(_, text) => text }).collect();
                prop_assert_eq!(&written, &text);
            }
            RunnerPieces::new(&text).for_each(drop);
        }
    }
}
