//! Makes control characters visible, so that a terminal shows them instead of interpreting them.

use std::borrow::Cow;

/// A text without control characters, except for line breaks, tabs and colors. Names of jobs, messages of commits and lines of files
/// come from the repository, and may be hostile: a terminal would set its title, write to the clipboard or clear the screen. Each control
/// character is shown as `cat -v` shows it: `^[` for escape.
///
/// ```
/// use e2e::report::printable::printable;
///
/// assert_eq!(printable("job\x1b]0;title\x07 \x1b[31mred\x1b[0m"), "job^[]0;title^G \x1b[31mred\x1b[0m");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let color = color(rest);
        let (first, after) = rest.split_at(color.unwrap_or(character.len_utf8()));
        if color.is_some() || !is_obeyed(character) {
            shown.push_str(first);
        } else {
            match u8::try_from(character) {
                Ok(byte) if byte.is_ascii() => shown.extend(['^', char::from(byte ^ 0x40)]),
                _ => shown.push(char::REPLACEMENT_CHARACTER),
            }
        }
        rest = after;
    }
    Cow::Owned(shown)
}

fn is_obeyed(character: char) -> bool {
    character.is_control() && !matches!(character, '\n' | '\t')
}

/// The length of the sequence that sets colors with which the text starts: `ESC [ 1 ; 31 m`.
fn color(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.find(|character: char| !matches!(character, '0'..='9' | ';' | ':'))?;
    parameters.get(end..)?.starts_with('m').then_some("\x1b[".len() + end + 1)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("a ä\n\tb", "a ä\n\tb")]
    #[case::colors("\x1b[38;5;1mred\x1b[0;m", "\x1b[38;5;1mred\x1b[0;m")]
    #[case::title("\x1b]0;x\x07y", "^[]0;x^Gy")]
    #[case::clear("a\x1b[2Jb", "a^[[2Jb")]
    #[case::forged_line("a\rb", "a^Mb")]
    #[case::delete("a\x7fb", "a^?b")]
    #[case::c1("a\u{9b}2Jb", "a\u{fffd}2Jb")]
    #[case::incomplete("\x1b[31", "^[[31")]
    fn only_color_sequences_are_kept(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(printable(text), expected);
    }
}
