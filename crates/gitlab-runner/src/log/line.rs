//! A line of a log: its section markers, its visible text, and the coverage in it.

use std::borrow::Cow;

/// A piece of a line of a log. <https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'line> {
    /// Text, with its control sequences.
    Text(&'line str),
    /// The marker at which a section starts. Times are in seconds since 1970.
    SectionStart {
        /// The section's name, without its settings.
        name: &'line str,
        /// The start.
        time: u64,
    },
    /// The marker at which a section ends.
    SectionEnd {
        /// The section's name.
        name: &'line str,
        /// The end.
        time: u64,
    },
}

impl Piece<'_> {
    /// Whether this is a section marker.
    pub fn is_marker(&self) -> bool {
        !matches!(self, Self::Text(_))
    }
}

/// The texts and section markers of a line, in order.
///
/// ```
/// use gitlab_runner::log::{Piece, pieces};
///
/// let start = Piece::SectionStart { name: "test", time: 7 };
/// assert_eq!(pieces("section_start:7:test[collapsed=true]\r\x1b[0KTests"), [start, Piece::Text("Tests")]);
/// ```
pub fn pieces(line: &str) -> Vec<Piece<'_>> {
    const BEGINNING: &str = "section_";
    let (mut pieces, mut rest, mut from) = (Vec::new(), line, 0);
    while let Some(at) = rest.get(from..).and_then(|after| after.find(BEGINNING)).map(|at| from + at) {
        let after = at + BEGINNING.len();
        match rest.get(after..).and_then(marker) {
            Some((marker, next)) => {
                pieces.extend(rest.get(..at).filter(|text| !text.is_empty()).map(Piece::Text));
                pieces.push(marker);
                (rest, from) = (next, 0);
            }
            None => from = after,
        }
    }
    pieces.extend(Some(rest).filter(|text| !text.is_empty()).map(Piece::Text));
    pieces
}

/// Removes the section markers from a line. Borrows a line without control characters. Returns `None` if the line contains nothing but
/// markers. If the line contains carriage returns, only the last text between them is kept, because a terminal overwrites the earlier ones.
/// `lib/gitlab/regex.rb` (`build_trace_section_regex`)
pub(super) fn without_section_markers(line: &str) -> Option<Cow<'_, str>> {
    // A marker contains control characters.
    if is_plain(line) {
        return Some(Cow::Borrowed(line));
    }
    let pieces = pieces(line);
    let texts = pieces.iter().filter_map(|piece| if let Piece::Text(text) = piece { Some(*text) } else { None });
    let mut kept: String = texts.collect();
    let has_marker = pieces.iter().any(Piece::is_marker);
    if has_marker {
        // The sequence that clears the line is part of the markers.
        kept = kept.replace("\x1b[0K", "");
    }
    let last = kept.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
    (!has_marker || !last.is_empty()).then(|| Cow::Owned(last.to_owned()))
}

/// A section marker, and what follows it. `text` starts after the word `section_`. The rest of the marker is `start:TIME:NAME` or
/// `end:TIME:NAME`, optional settings in brackets, a carriage return and the sequence that clears the line.
fn marker(text: &str) -> Option<(Piece<'_>, &str)> {
    let (is_start, rest) = match text.strip_prefix("start:") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("end:")?),
    };
    let (marker, rest) = rest.split_once("\r\x1b[0K")?;
    let (time, name) = marker.split_once(':')?;
    if time.is_empty() || !time.bytes().all(|byte| byte.is_ascii_digit()) || name.is_empty() {
        return None;
    }
    // A job may write a time that is too large.
    let time = time.parse().unwrap_or(u64::MAX);
    let name = name.split('[').next().unwrap_or_default();
    Some((if is_start { Piece::SectionStart { name, time } } else { Piece::SectionEnd { name, time } }, rest))
}

/// A text without ANSI control sequences and control characters, except for tabs.
///
/// ```
/// assert_eq!(gitlab_runner::log::without_colors("\x1b[32;1mpassed\x1b[0m"), "passed");
/// ```
pub fn without_colors(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let after = from.get(1..).unwrap_or_default();
        rest = match after.strip_prefix('[') {
            // The first character from `@` to `~` ends the sequence.
            Some(sequence) => {
                let end = sequence.find(|last: char| ('@'..='~').contains(&last));
                end.and_then(|end| sequence.get(end + 1..)).unwrap_or_default()
            }
            None => after,
        };
    }
    plain.push_str(rest);
    plain.retain(|character| character == '\t' || !character.is_control());
    Cow::Owned(plain)
}

/// Whether a text has only printable ASCII characters and tabs, as most lines of most logs.
fn is_plain(text: &str) -> bool {
    // Without a branch for each byte, the compiler compares many at once.
    text.bytes().fold(true, |is_plain, byte| is_plain & matches!(byte, b' '..=b'~' | b'\t'))
}

/// The first number in a text, as `/\d+(\.\d+)?/` finds it.
pub(super) fn number(text: &str) -> Option<f64> {
    let is_not_digit = |character: char| !character.is_ascii_digit();
    let from = text.find(|first: char| first.is_ascii_digit()).and_then(|at| text.get(at..))?;
    let end = from.find(is_not_digit).unwrap_or(from.len());
    let (whole, rest) = from.split_at_checked(end)?;
    let fraction = rest.strip_prefix('.').unwrap_or_default();
    let fraction = fraction.get(..fraction.find(is_not_digit).unwrap_or(fraction.len())).unwrap_or_default();
    format!("{whole}.{fraction}").parse().ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::none("a b", Some("a b"))]
    #[case::start("section_start:1:x\r\x1b[0K", None)]
    #[case::with_a_title("section_start:1:x[collapsed=true]\r\x1b[0KTitle", Some("Title"))]
    #[case::cleared_before("\x1b[0Ksection_end:1:x\r\x1b[0K", None)]
    #[case::one_after_another("section_end:1:x\r\x1b[0Ksection_start:2:y\r\x1b[0KTitle", Some("Title"))]
    #[case::not_a_marker("section_start: is a word", Some("section_start: is a word"))]
    #[case::marker_without_a_time("section_start::x\r\x1b[0Ky", Some("\x1b[0Ky"))]
    #[case::overwritten("10 %\r20 %", Some("20 %"))]
    #[case::carriage_return_at_the_end("text\r", Some("text"))]
    fn section_markers_are_removed(#[case] line: &str, #[case] expected: Option<&str>) {
        assert_eq!(without_section_markers(line).as_deref(), expected);
    }

    #[rstest]
    #[case::whole("a 92 b", Some(92.0))]
    #[case::fraction("92.5%", Some(92.5))]
    #[case::two_points("1..2", Some(1.0))]
    #[case::version("1.2.3", Some(1.2))]
    #[case::none("a.b", None)]
    fn the_first_number_is_found(#[case] text: &str, #[case] expected: Option<f64>) {
        assert_eq!(number(text), expected);
    }

    #[rstest]
    #[case::colors("\x1b[32;1mgreen\x1b[0;m x", "green x")]
    #[case::clear("\x1b[0Kx", "x")]
    #[case::other("a\x07b\tc", "ab\tc")]
    #[case::incomplete_sequence("a\x1b[3", "a")]
    fn control_sequences_are_removed(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(without_colors(text), expected);
    }
}
