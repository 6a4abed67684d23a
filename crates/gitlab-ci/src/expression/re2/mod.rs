//! Reads RE2 syntax and writes it for the `regex` crate, so that the meaning stays the same.
//!
//! The rules are those of RE2's `parse.cc`; see also `https://github.com/google/re2/wiki/Syntax`. Two things differ: `\C` matches
//! a character here, and a byte in RE2; and a `(?U)` between a part and its repetition counts only after the repetition.

mod class;
mod error;
mod escape;
mod group;
mod repeat;
#[cfg(test)]
mod tests;

use error::Mistake;

use super::error::PatternError;

/// Rewrites a regular expression in RE2 syntax for the `regex` crate.
pub(super) fn translate(pattern: &str) -> Result<String, PatternError> {
    Translation::new(pattern).run().map_err(|mistake| PatternError::Syntax(mistake.to_string()))
}

struct Translation<'text> {
    /// What was not yet read.
    rest: &'text str,
    output: String,
    /// The innermost open group, or the whole pattern.
    level: Level,
    /// What that group is in, from the outside to the inside.
    outer: Vec<Level>,
    /// `(?i)` and the like, which are written before the next part: in RE2, a `*` behind them repeats the part before them.
    flags: String,
}

/// A group, or the whole pattern.
#[derive(Default)]
struct Level {
    /// Where the group starts in the output, in bytes.
    start: usize,
    /// What a following `*`, `+`, `?` or `{...}` would repeat.
    last: Option<Part>,
    /// The greatest [`Part::times`] of the parts before the last one.
    times: u32,
}

/// A character, a class, a group, or such a part with its repetitions.
#[derive(Clone, Copy)]
struct Part {
    /// Where it starts in the output, in bytes.
    start: usize,
    /// How often counts in `{...}` repeat its innermost part.
    times: u32,
    is_repeated: bool,
}

impl<'text> Translation<'text> {
    fn new(pattern: &'text str) -> Self {
        let output = String::with_capacity(pattern.len());
        Self { rest: pattern, output, level: Level::default(), outer: vec![], flags: String::new() }
    }

    fn run(mut self) -> Result<String, Mistake> {
        // The repetition that ends where the rest starts.
        let mut before: Option<&str> = None;
        loop {
            let start = self.rest;
            if let Some((count, text)) = self.repetition() {
                if let Some(before) = before {
                    return Err(Mistake::RepeatedTwice(format!("{before}{text}")));
                }
                self.repeat(count, text)?;
                before = Some(text);
                continue;
            }
            before = None;
            let Some(character) = self.next() else { break };
            match character {
                '\\' => self.escape(start)?,
                '[' => self.class(start)?,
                '(' => self.open(start)?,
                ')' => self.close()?,
                '|' => self.alternative(),
                '^' => self.part("^"),
                '$' => self.part("$"),
                '.' => self.part("."),
                other => self.literal(other),
            }
        }
        if self.outer.is_empty() { Ok(self.output) } else { Err(Mistake::OpenGroup) }
    }

    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    /// Skips `prefix` if the rest of the pattern starts with it.
    fn take(&mut self, prefix: &str) -> bool {
        let after = self.rest.strip_prefix(prefix);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    /// What was read since the rest was `start`.
    fn read_since(&self, start: &'text str) -> &'text str {
        start.strip_suffix(self.rest).unwrap_or(start)
    }

    /// Begins a new part. The caller writes it.
    fn begin_part(&mut self) {
        self.write_flags();
        self.level.end_part();
        self.level.last = Some(Part { start: self.output.len(), times: 1, is_repeated: false });
    }

    fn write_flags(&mut self) {
        self.output.push_str(&std::mem::take(&mut self.flags));
    }

    fn part(&mut self, text: &str) {
        self.begin_part();
        self.output.push_str(text);
    }

    fn literal(&mut self, character: char) {
        self.begin_part();
        push_literal(&mut self.output, character);
    }

    fn alternative(&mut self) {
        self.write_flags();
        self.output.push('|');
        self.level.end_part();
    }
}

impl Level {
    fn end_part(&mut self) {
        self.times = self.times.max(self.last.take().map_or(1, |part| part.times));
    }
}

/// Writes a character that has no other meaning, neither in a class nor outside.
fn push_literal(output: &mut String, character: char) {
    if character.is_alphanumeric() {
        output.push(character);
    } else {
        output.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
    }
}
