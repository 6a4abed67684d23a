//! `[...]`

use super::error::Mistake;
use super::escape::NOTHING;
use super::{Translation, push_literal};

/// `posix_groups.cc`, each also with a `^` before its name
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

impl<'text> Translation<'text> {
    /// Reads a class. Its `[`, with which `start` begins, has already been skipped: `ParseCharClass`
    pub(super) fn class(&mut self, start: &'text str) -> Result<(), Mistake> {
        let is_negated = self.take("^");
        self.part(if is_negated { "[^" } else { "[" });
        let mut is_first = true;
        while is_first || !self.take("]") {
            is_first = false;
            if self.rest.is_empty() {
                return Err(Mistake::OpenClass(start.into()));
            }
            if let Some(class) = self.posix_class()? {
                self.output.push_str(class);
                continue;
            }
            let item = self.rest;
            if self.take("\\") {
                if let Some(class) = self.escaped_class(item)? {
                    self.output.push_str(&class);
                    continue;
                }
                self.rest = item;
            }
            self.range()?;
        }
        self.output.push(']');
        Ok(())
    }

    /// Reads `[:alpha:]` or `[:^alpha:]`. Without a `:]` in the rest of the pattern, the `[` is a literal.
    fn posix_class(&mut self) -> Result<Option<&'text str>, Mistake> {
        let Some(end) = self.rest.strip_prefix("[:").and_then(|inner| inner.find(":]")) else { return Ok(None) };
        let (class, rest) = self.rest.split_at("[:".len() + end + ":]".len());
        self.rest = rest;
        let name = class.trim_start_matches("[:").trim_end_matches(":]");
        if POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
            Ok(Some(class))
        } else {
            Err(Mistake::Range(class.into()))
        }
    }

    /// Reads a character, or a range such as `a-z`: `ParseCCRange`
    fn range(&mut self) -> Result<(), Mistake> {
        let start = self.rest;
        let first = self.code()?;
        let mut last = first;
        if self.rest.starts_with('-') && self.rest.len() > 1 && !self.rest.starts_with("-]") {
            self.next();
            last = self.code()?;
        }
        if last < first {
            return Err(Mistake::Range(self.read_since(start).into()));
        }
        let first = char::from_u32(first).unwrap_or('\u{E000}');
        let last = char::from_u32(last).unwrap_or('\u{D7FF}');
        if first <= last {
            push_literal(&mut self.output, first);
            self.output.push('-');
            push_literal(&mut self.output, last);
        } else {
            self.output.push_str(NOTHING);
        }
        Ok(())
    }

    fn code(&mut self) -> Result<u32, Mistake> {
        let start = self.rest;
        if self.take("\\") {
            return self.escaped_code(start);
        }
        Ok(self.next().map_or(0, u32::from))
    }
}
