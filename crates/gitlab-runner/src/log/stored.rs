//! Reads a line of a log as the file has it.

/// Length in bytes of what the file has before each line: `2026-01-31T10:20:30.123456Z 00O `.
pub(super) const PREFIX_LENGTH: usize = 32;

/// The stream that output was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output, and the runner's own messages.
    Out,
    /// Standard error.
    Err,
}

/// A line of the file of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredLine<'line> {
    /// The stream that the text was written to.
    pub stream: Stream,
    /// Whether the text continues the previous line of this stream.
    pub continues: bool,
    /// The text.
    pub text: &'line str,
}

impl<'line> StoredLine<'line> {
    /// Parses a line. `None` if it has no prefix: the first line of the end of a file may be incomplete.
    ///
    /// ```
    /// use gitlab_runner::log::{StoredLine, Stream};
    ///
    /// let line = StoredLine::parse("2026-01-31T10:20:30.123456Z 00E+out of memory");
    /// assert_eq!(line, Some(StoredLine { stream: Stream::Err, continues: true, text: "out of memory" }));
    /// ```
    pub fn parse(line: &'line str) -> Option<Self> {
        let (prefix, text) = line.split_at_checked(PREFIX_LENGTH)?;
        let form = "0000-00-00T00:00:00.000000Z 00O ";
        let has_form = prefix.chars().zip(form.chars()).all(|(character, form)| match form {
            '0' => character.is_ascii_hexdigit(),
            'O' => matches!(character, 'O' | 'E'),
            ' ' => matches!(character, ' ' | '+'),
            other => character == other,
        });
        let stream = if prefix.contains('E') { Stream::Err } else { Stream::Out };
        has_form.then(|| Self { stream, continues: prefix.ends_with('+'), text })
    }
}
