//! `*`, `+`, `?` and `{2,4}`.

use super::Translation;
use super::error::Mistake;

/// The maximum count, and the maximum product of nested counts: `maximum_repeat_count`
const MAX_TIMES: u32 = 1000;

/// How often a part is repeated.
#[derive(Clone, Copy)]
pub(super) enum Count {
    /// `*`, `+` or `?`
    Any,
    Between(u32, Option<u32>),
}

impl<'text> Translation<'text> {
    /// Reads a repetition, and its text. Otherwise, the rest stays as it is.
    pub(super) fn repetition(&mut self) -> Option<(Count, &'text str)> {
        let start = self.rest;
        let count = match self.next() {
            Some('*' | '+' | '?') => Some(Count::Any),
            Some('{') => self.between(),
            _ => None,
        };
        if count.is_none() {
            self.rest = start;
        }
        let count = count?;
        self.take("?");
        Some((count, self.read_since(start)))
    }

    /// Reads `2}`, `2,}` or `2,4}`. Before anything else, the `{` is a literal.
    fn between(&mut self) -> Option<Count> {
        let least = self.count()?;
        let most = match (self.take(","), self.rest.starts_with('}')) {
            (false, _) => Some(least),
            (true, true) => None,
            (true, false) => Some(self.count()?),
        };
        self.take("}").then_some(Count::Between(least, most))
    }

    /// Reads a number without a leading zero: `ParseInteger`
    fn count(&mut self) -> Option<u32> {
        let digits = self.rest.len() - self.rest.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let has_leading_zero = number.len() > 1 && number.starts_with('0');
        // A number that is too large for the type is also too large for RE2.
        (!number.is_empty() && !has_leading_zero).then(|| number.parse().unwrap_or(u32::MAX))
    }

    /// Repeats the last part: `PushRepeatOp`, `PushRepetition`
    pub(super) fn repeat(&mut self, count: Count, text: &str) -> Result<(), Mistake> {
        if let Count::Between(least, most) = count {
            if least.max(most.unwrap_or(0)) > MAX_TIMES {
                return Err(Mistake::TooOften(text.into()));
            }
            if most.is_some_and(|most| most < least) {
                return Err(Mistake::Count(text.into()));
            }
        }
        let Some(mut part) = self.level.last else { return Err(Mistake::NothingToRepeat(text.into())) };
        if let Count::Between(least, most) = count {
            part.times *= most.unwrap_or(least).max(1);
            if part.times > MAX_TIMES && (least > 1 || most.is_some_and(|most| most > 1)) {
                return Err(Mistake::TooOften(text.into()));
            }
        }
        // `a*` and `?`, which flags separated in RE2, would be `a*?`.
        if part.is_repeated {
            self.output.insert_str(part.start, "(?:");
            self.output.push(')');
        }
        part.is_repeated = true;
        self.level.last = Some(part);
        self.output.push_str(text);
        Ok(())
    }
}
