//! Texts for which the YAML parser of this crate and libyaml, which Ruby uses, differ.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// Maximum number of positions of a text that are rewritten. The text is parsed again after each.
const MAX_REWRITTEN: usize = 20;

/// A text that libyaml accepts, rewritten for the parser of this crate. The positions in it stay the same.
pub(super) struct Accepted<'text> {
    pub(super) text: Cow<'text, str>,
    /// The positions of single dashes, which are written as [`DASH`].
    pub(super) dashes: Vec<usize>,
    count: usize,
}

/// Replaces a dash that is a value in brackets: `{V: -}`.
pub(super) const DASH: &str = "_";

impl<'text> Accepted<'text> {
    pub(super) fn new(text: &'text str) -> Self {
        Self { text: Cow::Borrowed(text), dashes: Vec::new(), count: 0 }
    }

    /// Rewrites the text at the position where the parser fails. Returns whether it is worth parsing again.
    pub(super) fn accept(&mut self, at: usize) -> bool {
        let (before, rest) = self.text.split_at_checked(at).unwrap_or_default();
        let replacement = if rest.starts_with("-,") || rest.starts_with("-]") || rest.starts_with("-}") {
            self.dashes.push(at);
            DASH.to_owned()
        } else if rest.starts_with('#') && before.ends_with(['"', '\'', ']', '}', '[', '{', ',']) {
            // libyaml needs no space between these and a comment.
            " ".repeat(rest.lines().next().unwrap_or_default().len())
        } else {
            return false;
        };
        let end = at + replacement.len();
        self.text.to_mut().replace_range(at..end, &replacement);
        self.count += 1;
        self.count <= MAX_REWRITTEN
    }
}

/// libyaml's message for a plain scalar in brackets that it refuses, and the remedy. `rest` is the text after the scalar.
pub(super) fn refused_in_brackets(text: &str, rest: &str) -> Option<(&'static str, &'static str)> {
    if text.starts_with(':') {
        return Some((
            "did not find expected node content",
            "a value in brackets cannot start with a colon; put it in quotes",
        ));
    }
    if text.starts_with('?') {
        return Some((
            "did not find expected node content",
            "a value in brackets cannot start with `?`; put it in quotes",
        ));
    }
    let is_colon =
        rest.trim_start().strip_prefix(':').is_some_and(|rest| rest.starts_with([',', '?', '[', ']', '{', '}']));
    let is_inside = [":,", ":?", ":[", ":]", ":{", ":}"].iter().any(|pair| text.contains(pair));
    (is_colon || is_inside)
        .then_some(("found unexpected ':'", "write a space after the colon, or put the value in quotes"))
}

/// Maximum number of parts of a text: `MAX_DOCUMENTS` of `lib/gitlab/ci/config/yaml/loader.rb`, and one that may be empty before a
/// leading `---`.
const MAX_PARTS: usize = 3;

/// Cuts a text at lines that begin with `---`, and returns the position and the content of each part. The white space after `---` is
/// dropped, and with it the indentation of the next line. GitLab does the same: `documents` of
/// `lib/gitlab/config/loader/multi_doc_yaml.rb`.
pub(super) fn parts(text: &str) -> impl Iterator<Item = (usize, &str)> {
    static DIVIDER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?m)^---[ \t\r\n\x0B\x0C]+").ok());
    let dividers = DIVIDER.as_ref().into_iter().flat_map(|divider| divider.find_iter(text)).take(MAX_PARTS - 1);
    let mut ends: Vec<(usize, usize)> = dividers.map(|found| (found.start(), found.end())).collect();
    ends.push((text.len(), text.len()));
    ends.into_iter().scan(0, |start, (end, next)| {
        let part = (*start, text.get(*start..end).unwrap_or_default());
        *start = next;
        Some(part)
    })
}

/// Finds the line before the first document because of which libyaml refuses the text, and returns libyaml's message.
pub(super) fn no_document(text: &str) -> Option<(Range<usize>, &'static str)> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let range = start..start + line.trim_end().len();
        if line.starts_with('%') {
            return Some((range, "found a directive, but expected <document start>"));
        }
        if line.strip_prefix("...").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace)) {
            return Some((range, "did not find expected node content"));
        }
        if !line.trim().is_empty() && !line.starts_with('#') {
            return None;
        }
        start += line.len();
    }
    None
}

/// Returns the position of the first line that is neither blank, nor a comment, nor a single `---` or `...`, after its indentation.
pub(super) fn content(text: &str) -> Option<usize> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim();
        if !content.is_empty() && !content.starts_with('#') && content != "..." && content != "---" {
            return Some(start + line.len() - line.trim_start().len());
        }
        start += line.len();
    }
    None
}

/// Finds the first tab in the indentation of each line, which includes `-`, `?` and `:`. It is valid only within scalars and brackets.
pub(super) fn tabs(text: &str) -> Vec<usize> {
    static INDENTATION: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?m)^ *(?:[-?:] *)*\t").ok());
    if !text.contains('\t') {
        return Vec::new();
    }
    INDENTATION.as_ref().into_iter().flat_map(|tabs| tabs.find_iter(text)).map(|found| found.end() - 1).collect()
}

/// Finds the name of an anchor between the positions `from` and `to`, or directly after `to`.
pub(super) fn anchor(text: &str, from: usize, to: usize) -> Option<Range<usize>> {
    let before = text.get(from..to)?;
    let comment = |line: &str| if line.starts_with('#') { Some(0) } else { line.find(" #") };
    let mut start = from;
    let mut found = text.get(to..)?.starts_with('&').then_some(to + 1);
    for line in before.split_inclusive('\n') {
        let content = line.get(..comment(line).unwrap_or(line.len()))?;
        let is_first =
            |at: &usize| *at == 0 || content.get(..*at).is_some_and(|it| it.ends_with([' ', '\t', ',', ':', '[', '{']));
        found = content.match_indices('&').map(|(at, _)| at).rfind(is_first).map(|at| start + at + 1).or(found);
        start += line.len();
    }
    let start = found?;
    let length = text.get(start..)?.find([' ', '\t', '\r', '\n', ',', '[', ']', '{', '}'])?;
    Some(start..start + length)
}

/// Finds a tab in the indentation of a block scalar, before its first character at `start`. An indicator with a digit, `|2`,
/// defines the indentation.
pub(super) fn tab_in_indentation(text: &str, start: usize) -> Option<Range<usize>> {
    let before = text.get(..start)?.trim_end();
    let header = before.lines().next_back()?.split(" #").next()?;
    let indicator = header.get(header.rfind(['|', '>'])?..)?;
    if indicator.contains(|digit: char| digit.is_ascii_digit()) {
        return None;
    }
    let mut at = before.len() + text.get(before.len()..)?.find('\n')? + 1;
    for line in text.get(at..)?.split_inclusive('\n') {
        let content = line.trim_start_matches(' ');
        if content.starts_with('\t') {
            let start = at + line.len() - content.len();
            return Some(start..start + 1);
        }
        if !content.trim().is_empty() {
            return None;
        }
        at += line.len();
    }
    None
}

/// Finds the first escape in a double-quoted scalar that is half of a surrogate pair. `source` includes the quotes.
pub(super) fn surrogate(source: &str) -> Option<Range<usize>> {
    let mut rest = source;
    let mut at = 0;
    while let Some(found) = rest.find('\\') {
        let escape = rest.get(found..)?;
        let digits = escape.strip_prefix("\\u").and_then(|rest| rest.get(..4)).unwrap_or_default();
        if u32::from_str_radix(digits, 16).is_ok_and(|code| (0xD800..0xE000).contains(&code)) {
            return Some(at + found..at + found + 6);
        }
        let length = 1 + escape.chars().nth(1).map_or(0, char::len_utf8);
        rest = escape.get(length..)?;
        at += found + length;
    }
    None
}
