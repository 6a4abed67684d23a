//! The keys of mappings, and merges: `<<`. `revive_hash` of Psych's `lib/psych/visitors/to_ruby.rb`

use std::sync::Arc;

use super::node::{Entry, KeyKind, Mapping, Node, Value};
use crate::source::Span;

/// The key of an entry that is being read.
pub(super) enum Key {
    Plain(Arc<str>, Span, KeyKind),
    Merge(Span),
}

impl Entry {
    /// Whether the key is written before `later` in the same file, and was not merged by `<<`.
    pub(super) fn is_own(&self, later: Span) -> bool {
        !self.is_merged && self.key_span.file == later.file
    }
}

/// Reads a node as a key.
pub(super) fn as_key(node: &Node) -> Key {
    match node.scalar() {
        Some("<<") => Key::Merge(node.span),
        Some(text) => {
            let kind = match node.value {
                Value::String(_) | Value::Symbol(_) => KeyKind::Text,
                Value::Integer(_) => KeyKind::Integer,
                _ => KeyKind::Other,
            };
            Key::Plain(text.into(), node.span, kind)
        }
        None if node.is_null() => Key::Plain("".into(), node.span, KeyKind::Other),
        // Ruby has arrays and hashes as keys. Where GitLab reads the key, it is an unknown one.
        None => Key::Plain(node.inspect().into(), node.span, KeyKind::Other),
    }
}

/// Merges `<<: *base`, or a list of such values, of which the first has precedence. As in Psych, merged entries replace
/// those written before the `<<` and are replaced by those written after it. Any other value is the value of a key `<<`.
/// `revive_hash` of Psych's `lib/psych/visitors/to_ruby.rb`
pub(super) fn merge(mapping: &mut Mapping, from: Node, at: Span) {
    let sources: Vec<&Node> = from.sequence().map_or_else(|| vec![&from], |items| items.iter().rev().collect());
    let hashes: Option<Vec<&Mapping>> = sources.into_iter().map(Node::mapping).collect();
    let Some(hashes) = hashes else {
        let entry = Entry { key_span: at, value: from, is_merged: false, key_kind: KeyKind::Text };
        mapping.insert("<<".into(), entry);
        return;
    };
    for (key, entry) in hashes.into_iter().flatten() {
        mapping.insert(Arc::clone(key), Entry { is_merged: true, ..entry.clone() });
    }
}
