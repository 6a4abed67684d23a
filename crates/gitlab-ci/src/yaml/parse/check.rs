//! Reports texts that libyaml refuses, and the parser of this crate does not.

use std::ops::Range;

use granit_parser::{Event, ScalarStyle};

use super::{Composer, Content, Frame};
use crate::source::Span;
use crate::yaml::libyaml;

impl Composer<'_> {
    /// Reports a scalar that libyaml refuses, and returns `None` for it.
    pub(super) fn check_scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, span: Span) -> Option<()> {
        let Range { start, end } = self.range(span);
        self.enclose_scalar(style, span);
        let is_flow = self.frames.last().is_some_and(|frame| frame.is_flow);
        let rest = self.text.get(end..).unwrap_or_default();
        let is_plain = style == ScalarStyle::Plain;
        if is_plain
            && is_flow
            && start < end
            && let Some((message, help)) = libyaml::refused_in_brackets(text, rest)
        {
            self.syntax_error(start..end, message).help(help);
            return None;
        }
        let is_key = matches!(self.frames.last(), Some(Frame { content: Content::Mapping { key: None, .. }, .. }));
        let source = self.text.get(start..end).unwrap_or_default();
        let gap = rest.get(..rest.len() - rest.trim_start().len()).unwrap_or_default();
        let is_on_two_lines = source.contains('\n') || gap.contains('\n');
        let is_before_colon = rest.get(gap.len()..).is_some_and(|rest| rest.starts_with(':'));
        if is_flow && is_key && is_on_two_lines && is_before_colon && !self.is_explicit_key(start) {
            let error = self.syntax_error(start..end, "did not find expected ',' or '}'");
            error.help("write the key and its colon on one line");
            return None;
        }
        if is_plain && is_key && anchor == 0 && start == end && rest.starts_with(':') && !self.is_explicit_key(start) {
            let error = self.syntax_error(start..start + 1, "did not find expected key");
            error.help("write a key before the colon");
            return None;
        }
        if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded)
            && let Some(range) = libyaml::tab_in_indentation(self.text, start)
        {
            let error = self.syntax_error(range, "found a tab character where an indentation space is expected");
            error.help("write the number of spaces after the indicator: `|2`, for example");
            return None;
        }
        if style == ScalarStyle::DoubleQuoted
            && let Some(range) = libyaml::surrogate(source)
        {
            let range = start + range.start..start + range.end;
            let error = self.syntax_error(range, "found invalid Unicode character escape code");
            error.help("write the character itself, or `\\U` and eight digits");
            return None;
        }
        Some(())
    }

    /// Whether `?` precedes the key at `start`.
    fn is_explicit_key(&self, start: usize) -> bool {
        self.text.get(..start).is_some_and(|before| before.trim_end().ends_with('?'))
    }

    /// Reports the name of an anchor or an alias with a character that libyaml does not allow, and returns `None` for it.
    pub(super) fn check_anchor(&mut self, event: &Event<'_>, span: Span) -> Option<()> {
        let Range { start, end } = self.range(span);
        let name = match event {
            Event::Alias(_) => start + 1..end,
            Event::Scalar(_, _, anchor, _) | Event::SequenceStart(_, anchor, _) | Event::MappingStart(_, anchor, _)
                if *anchor != 0 =>
            {
                libyaml::anchor(self.text, self.read_until, start).unwrap_or_default()
            }
            _ => return Some(()),
        };
        let text = self.text.get(name.clone()).unwrap_or_default();
        if text.chars().all(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_')) {
            return Some(());
        }
        let error = self.syntax_error(name, "did not find expected alphabetic or numeric character");
        error.help("the name of an anchor has only the letters A to Z, digits, `-` and `_`");
        None
    }

    /// Removes the tabs that are a part of a scalar. Within a plain scalar and in the blank lines after it,
    /// a tab must not be in the indentation of the block.
    fn enclose_scalar(&mut self, style: ScalarStyle, span: Span) {
        let Range { start, end } = self.range(span);
        self.read_until = end;
        if self.tabs.is_empty() {
            return;
        }
        match style {
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => self.enclose(span),
            ScalarStyle::Literal | ScalarStyle::Folded => {
                let header = self.text.get(..start).unwrap_or_default().trim_end().len();
                self.tabs.retain(|at| !(header..end).contains(at));
            }
            ScalarStyle::Plain => {
                let (text, indentation) = (self.text, self.indentation());
                let rest = text.get(end..).unwrap_or_default();
                let next = end + rest.len() - rest.trim_start().len();
                self.tabs.retain(|at| !(start..next).contains(at) || column(text, *at) <= indentation);
            }
        }
    }

    /// The column of the innermost block.
    fn indentation(&self) -> usize {
        let block = self.frames.iter().rev().find(|frame| !frame.is_flow);
        block.map_or(0, |frame| column(self.text, self.range(frame.start).start))
    }

    /// Tabs within quotes and brackets are white space.
    pub(super) fn enclose(&mut self, span: Span) {
        let range = self.range(span);
        self.read_until = range.end;
        self.tabs.retain(|at| !range.contains(at));
    }
}

/// The distance from the beginning of the line, in bytes.
fn column(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    before.len() - before.rfind('\n').map_or(0, |end| end + 1)
}
