//! What all keywords share: reading nodes as types, and GitLab's words for what is wrong.

use std::sync::Arc;
use std::time::Duration;

use crate::pipeline::diagnostic::{Diagnostic, Diagnostics};
use crate::pipeline::document::node::{Mapping, Node};
use crate::pipeline::duration;
use crate::pipeline::source::Span;

/// A value with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it is written.
    pub span: Span,
}

/// Text with its place.
pub type Text = Spanned<Arc<str>>;

/// Reads the entries of one job, or of the top level.
#[derive(Debug)]
pub struct Reader<'diagnostics> {
    /// Where complaints go.
    pub diagnostics: &'diagnostics mut Diagnostics,
    /// What messages begin with: `jobs:build`. GitLab writes it in lower case.
    subject: String,
}

impl<'diagnostics> Reader<'diagnostics> {
    /// A reader of the job `name`.
    pub fn of_job(name: &str, diagnostics: &'diagnostics mut Diagnostics) -> Self {
        Self { diagnostics, subject: format!("jobs:{}", name.to_lowercase()) }
    }

    /// A reader of a keyword of the top level.
    pub fn of_root(keyword: &str, diagnostics: &'diagnostics mut Diagnostics) -> Self {
        Self { diagnostics, subject: keyword.to_owned() }
    }

    /// A complaint about the keyword `path` below what is read: `script` or `rules:rule`; about all of it if that is empty.
    pub fn complain(&mut self, span: Span, path: &str, message: &str) -> &mut Diagnostic {
        let subject = if path.is_empty() { self.subject.clone() } else { format!("{}:{path}", self.subject) };
        self.diagnostics.error(span, format!("{subject} {message}"))
    }

    /// The entries of a hash; anything else is complained about.
    pub fn hash<'node>(&mut self, node: &'node Node, path: &str) -> Option<&'node Mapping> {
        let mapping = node.mapping();
        if mapping.is_none() {
            self.complain(node.span, path, "config should be a hash");
        }
        mapping
    }

    /// Complains about every key that is not `known`.
    pub fn known_keys<'words>(&mut self, mapping: &Mapping, path: &str, known: impl IntoIterator<Item = &'words str>) {
        let known: Vec<&str> = known.into_iter().collect();
        for (key, entry) in mapping.iter().filter(|(key, _)| !known.contains(&&***key)) {
            let error = self.complain(entry.key_span, path, &format!("config contains unknown keys: {key}"));
            error.nearest(key, known.iter().copied());
        }
    }

    /// A string. GitLab takes no number for one.
    pub fn string(&mut self, node: &Node, path: &str) -> Option<Text> {
        let text = node.string().map(|text| Spanned { value: text.into(), span: node.span });
        if text.is_none() {
            self.complain(node.span, path, "config should be a string");
        }
        text
    }

    /// A length of time, at most `longest`; of a bare number, too.
    pub fn duration(&mut self, node: &Node, path: &str, longest: Option<Duration>) -> Option<Spanned<Duration>> {
        let text = node.scalar().unwrap_or_default();
        match duration::parse(text) {
            Ok(value) if longest.is_none_or(|longest| value <= longest) => Some(Spanned { value, span: node.span }),
            Ok(_) => {
                self.complain(node.span, path, "should not exceed the limit");
                None
            }
            Err(error) => {
                self.complain(node.span, path, "config should be a duration").help(error.to_string());
                None
            }
        }
    }

    /// A string or a list of strings.
    pub fn strings(&mut self, node: &Node, path: &str) -> Vec<Text> {
        let items = node.sequence().unwrap_or(std::slice::from_ref(node));
        let mut texts = Vec::new();
        for item in items {
            match item.string() {
                Some(text) => texts.push(Spanned { value: text.into(), span: item.span }),
                None => {
                    self.complain(item.span, path, "config should be an array of strings or a string");
                }
            }
        }
        texts
    }

    /// A list of strings.
    pub fn list(&mut self, node: &Node, path: &str) -> Vec<Text> {
        if node.sequence().is_none() {
            self.complain(node.span, path, "config should be an array of strings");
            return Vec::new();
        }
        self.strings(node, path)
    }

    /// Yes or no.
    pub fn boolean(&mut self, node: &Node, path: &str) -> Option<bool> {
        match node.scalar() {
            Some("true") if node.string().is_none() => Some(true),
            Some("false") if node.string().is_none() => Some(false),
            _ => {
                self.complain(node.span, path, "config should be a boolean value");
                None
            }
        }
    }

    /// One of a few words.
    pub fn word<T: Copy>(&mut self, node: &Node, path: &str, words: &[(&str, T)]) -> Option<T> {
        let found = node.string().and_then(|text| words.iter().find(|(word, _)| *word == text));
        if found.is_none() {
            let all = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
            // The keyword itself is part of the sentence: `jobs:a:artifacts when should be …`.
            let (above, keyword) = path.rsplit_once(':').unwrap_or(("", path));
            let error = self.complain(node.span, above, &format!("{keyword} should be one of: {all}"));
            error.nearest(node.scalar().unwrap_or_default(), words.iter().map(|(word, _)| *word));
        }
        found.map(|(_, value)| *value)
    }

    /// A whole number within a range.
    pub fn number(
        &mut self,
        node: &Node,
        path: &str,
        range: std::ops::RangeInclusive<i64>,
        message: &str,
    ) -> Option<i64> {
        let number = node.scalar().filter(|_| node.string().is_none()).and_then(|text| text.parse::<i64>().ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            self.complain(node.span, path, message);
        }
        number
    }
}
