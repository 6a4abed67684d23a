//! The texts from which a pipeline is read, and positions in them.

use std::fmt;
use std::sync::Arc;

/// The number of a text, in the order of reading: the pipeline file first, then the files that it includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// A range of bytes in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The text.
    pub file: FileId,
    /// The offset of the first byte.
    pub start: u32,
    /// The offset after the last byte.
    pub end: u32,
}

/// Every text that was read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<File>,
}

/// A text with its name.
#[derive(Clone, Debug)]
pub struct File {
    /// The name shown to users: the path in the project, or the path of an included file.
    pub name: Arc<str>,
    /// The complete text.
    pub text: Arc<str>,
    /// The offset of the first byte of each line.
    lines: Vec<u32>,
}

/// A position as editors and compilers print it. Lines and columns start at 1. A column is a character, not a byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The name of the file.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Sources {
    /// Adds a text and returns its number. Positions after the first 4 GiB cannot be addressed.
    pub fn add(&mut self, name: &str, text: &str) -> FileId {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(breaks.filter_map(|(at, _)| u32::try_from(at + 1).ok())).collect();
        self.files.push(File { name: name.into(), text: text.into(), lines });
        FileId(u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX))
    }

    /// Returns the text with this number.
    pub fn file(&self, id: FileId) -> Option<&File> {
        self.files.get(id.0 as usize)
    }

    /// Returns all texts, in the order of reading.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    /// Returns the line and column at which `span` starts.
    pub fn location(&self, span: Span) -> Location {
        let Some(file) = self.file(span.file) else {
            return Location { file: "?".into(), line: 0, column: 0 };
        };
        let line = file.lines.partition_point(|start| *start <= span.start).saturating_sub(1);
        let start = file.lines.get(line).copied().unwrap_or_default() as usize;
        let before = file.text.get(start..span.start as usize).unwrap_or_default();
        Location { file: Arc::clone(&file.name), line: line + 1, column: before.chars().count() + 1 }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.file, self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::first(0, "a.yml:1:1")]
    #[case::within_a_line(2, "a.yml:1:3")]
    #[case::the_line_break(3, "a.yml:1:4")]
    #[case::next_line(4, "a.yml:2:1")]
    #[case::after_two_bytes_of_one_character(6, "a.yml:2:2")]
    #[case::after_the_end(7, "a.yml:2:3")]
    fn spans_are_located(#[case] start: u32, #[case] expected: &str) {
        let mut sources = Sources::default();
        let file = sources.add("a.yml", "one\nä2");
        assert_eq!(sources.location(Span { file, start, end: start }).to_string(), expected);
    }
}
