//! The checks that GitLab makes with a JSON schema, with the messages of the library `json_schemer`.

use super::reader::Reader;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::yaml::node::{Mapping, Node};

/// The value of a keyword that a schema describes. Positions in it are JSON pointers: `/0/name`, and empty for the value itself.
pub(super) struct Schema<'reader, 'diagnostics> {
    pub(super) reader: &'reader mut Reader<'diagnostics>,
    /// The keyword, as messages name it.
    pub(super) path: &'reader str,
}

impl Schema<'_, '_> {
    pub(super) fn complain(&mut self, span: Span, message: &str) -> &mut Diagnostic {
        // GitLab writes the whole message in lower case, even patterns: `lib/gitlab/config/entry/validator.rb`
        self.reader.complain(span, self.path, &message.to_lowercase())
    }

    pub(super) fn object<'node>(&mut self, node: &'node Node, at: &str) -> Option<&'node Mapping> {
        let mapping = node.mapping();
        if mapping.is_none() {
            self.complain(node.span, &format!("value at {} is not an object", place(at)));
        }
        mapping
    }

    pub(super) fn array<'node>(&mut self, node: &'node Node, at: &str) -> Option<&'node [Node]> {
        let items = node.sequence();
        if items.is_none() {
            self.complain(node.span, &format!("value at {} is not an array", place(at)));
        }
        items
    }

    pub(super) fn string<'node>(&mut self, node: &'node Node, at: &str) -> Option<&'node str> {
        let text = node.text();
        if text.is_none() {
            self.complain(node.span, &format!("value at {} is not a string", place(at)));
        }
        text
    }

    /// A string of at least one character.
    pub(super) fn non_empty<'node>(&mut self, node: &'node Node, at: &str) -> Option<&'node str> {
        let text = self.string(node, at)?;
        if text.is_empty() {
            self.complain(node.span, &format!("string length at {} is less than: 1", place(at)));
            return None;
        }
        Some(text)
    }

    pub(super) fn known_properties(&mut self, mapping: &Mapping, at: &str, known: &[&str]) {
        for (key, entry) in mapping.iter().filter(|(key, _)| !known.contains(&&***key)) {
            self.disallowed(entry.key_span, &format!("{at}/{key}")).nearest(key, known.iter().copied());
        }
    }

    pub(super) fn disallowed(&mut self, span: Span, at: &str) -> &mut Diagnostic {
        self.complain(span, &format!("object property at {} is a disallowed additional property", place(at)))
    }

    pub(super) fn required(&mut self, node: &Node, mapping: &Mapping, at: &str, keys: &[&str]) {
        let missing: Vec<&str> = keys.iter().copied().filter(|key| !mapping.contains_key(*key)).collect();
        if !missing.is_empty() {
            let (place, names) = (place(at), missing.join(", "));
            self.complain(node.span, &format!("object at {place} is missing required properties: {names}"));
        }
    }
}

fn place(at: &str) -> String {
    if at.is_empty() { "root".to_owned() } else { format!("`{at}`") }
}
