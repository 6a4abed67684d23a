//! `(...)`, and what can follow `(?`.

use std::sync::LazyLock;

use regex::Regex;

use super::error::Mistake;
use super::{Level, Part, Translation};

/// The letters of RE2's flags, which are those of the `regex` crate, too. It has more, which RE2 refuses.
const FLAGS: &str = "imsU";

/// `IsValidCaptureName`
static NAME: LazyLock<Result<Regex, regex::Error>> =
    LazyLock::new(|| Regex::new(r"^[\p{Lu}\p{Ll}\p{Lt}\p{Lm}\p{Lo}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]+$"));

impl<'text> Translation<'text> {
    /// Reads what follows the `(` with which `start` begins.
    pub(super) fn open(&mut self, start: &'text str) -> Result<(), Mistake> {
        if !self.take("?") {
            self.push_level("(");
            return Ok(());
        }
        if self.rest.starts_with("<=") || self.rest.starts_with("<!") {
            return Err(Mistake::Operator(start.chars().take("(?<=".len()).collect()));
        }
        if self.take("P<") || self.take("<") {
            self.name(start)?;
            // Without the name, because the `regex` crate does not permit the same name twice.
            self.push_level("(");
            return Ok(());
        }
        self.read_flags(start)
    }

    fn name(&mut self, start: &'text str) -> Result<(), Mistake> {
        let Some((name, rest)) = self.rest.split_once('>') else { return Err(Mistake::Name(start.into())) };
        self.rest = rest;
        if NAME.as_ref().is_ok_and(|valid| valid.is_match(name)) {
            Ok(())
        } else {
            Err(Mistake::Name(self.read_since(start).into()))
        }
    }

    /// Reads `i)` or `i-s:`, after `(?`: `ParsePerlFlags`
    fn read_flags(&mut self, start: &'text str) -> Result<(), Mistake> {
        // The `regex` crate permits each flag only once. The last one counts.
        let (mut on, mut off) = (String::new(), String::new());
        let mut is_negated = false;
        let mut has_flag_since_sign = true;
        let end = loop {
            match self.next() {
                Some(flag) if FLAGS.contains(flag) => {
                    for flags in [&mut on, &mut off] {
                        flags.retain(|other| other != flag);
                    }
                    if is_negated {
                        off.push(flag);
                    } else {
                        on.push(flag);
                    }
                    has_flag_since_sign = true;
                }
                Some('-') if !is_negated => (is_negated, has_flag_since_sign) = (true, false),
                Some(end @ (':' | ')')) if has_flag_since_sign => break end,
                _ => return Err(Mistake::Operator(self.read_since(start).into())),
            }
        };
        let flags = if off.is_empty() { format!("(?{on}") } else { format!("(?{on}-{off}") };
        if end == ':' {
            self.push_level(&format!("{flags}:"));
        } else if flags.len() > "(?".len() {
            self.flags.push_str(&flags);
            self.flags.push(')');
        }
        Ok(())
    }

    fn push_level(&mut self, opening: &str) {
        self.write_flags();
        let level = Level { start: self.output.len(), ..Level::default() };
        self.outer.push(std::mem::replace(&mut self.level, level));
        self.output.push_str(opening);
    }

    /// Reads a `)`, which has already been skipped.
    pub(super) fn close(&mut self) -> Result<(), Mistake> {
        let outer = self.outer.pop().ok_or(Mistake::Closed)?;
        self.write_flags();
        self.output.push(')');
        let mut group = std::mem::replace(&mut self.level, outer);
        group.end_part();
        self.level.end_part();
        self.level.last = Some(Part { start: group.start, times: group.times, is_repeated: false });
        Ok(())
    }
}
