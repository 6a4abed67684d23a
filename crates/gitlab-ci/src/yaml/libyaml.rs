//! Texts that the YAML parser of this crate accepts and libyaml, which Ruby uses, refuses.

use std::ops::Range;

/// Finds a directive before the first document. GitLab cuts a file into documents at `---` before it parses them, so the
/// directive is alone. `lib/gitlab/config/loader/multi_doc_yaml.rb`
pub(super) fn directive(text: &str) -> Option<Range<usize>> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with('%') {
            return Some(start..start + line.trim_end().len());
        }
        if !line.trim().is_empty() && !line.starts_with('#') {
            return None;
        }
        start += line.len();
    }
    None
}

/// Finds the lines that begin with a tab and are blank or a comment. They are valid only within quotes and brackets.
pub(super) fn tabs(text: &str) -> Vec<usize> {
    if !text.contains('\t') {
        return Vec::new();
    }
    let starts = text.match_indices("\n\t").map(|(at, _)| at + 1);
    let starts = starts.chain(text.starts_with('\t').then_some(0));
    let is_blank = |start: &usize| {
        let line = text.get(*start..).and_then(|rest| rest.lines().next()).unwrap_or_default().trim();
        line.is_empty() || line.starts_with('#')
    };
    starts.filter(is_blank).collect()
}

/// Finds the first half of a surrogate pair among the escapes of a double-quoted scalar. `source` includes the quotes.
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
