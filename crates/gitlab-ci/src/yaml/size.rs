//! How large a tree is: what is used in many places counts there, so that a few lines do not become a tree of billions.
//!
//! GitLab sums up the memory of Ruby's objects (`lib/gitlab/utils/deep_size.rb`). Counted here is what they take at least.

use super::node::{Mapping, Node, Value};

/// How large a file may be by GitLab's default of `max_yaml_size_bytes`. Who runs a GitLab may set it otherwise.
pub const LARGEST: usize = 2 << 20;

/// How large a file may be here.
pub const LARGEST_HERE: usize = 16 << 20;

/// How large a file may be with all that it includes, and what `extends`, references and defaults make of it, each. GitLab
/// takes 150 files of the largest size, and has no limit for the rest: a server has more memory than this.
pub const LARGEST_IN_ALL: usize = 32 << 20;

/// An object, and how long a text may be that needs no more than that.
const OBJECT: usize = 40;
const SHORT: usize = 23;

/// A place in a list or a hash.
const PLACE: usize = 8;

/// A value that is not a structure, or the structure alone, in its place.
pub fn of_value(value: &Value) -> usize {
    PLACE
        + match value {
            Value::Null | Value::Boolean(_) => 0,
            Value::Integer(text) | Value::Float(text) | Value::String(text) => of_text(text),
            Value::Sequence(_) | Value::Mapping(_) => OBJECT,
            Value::Reference(path) => OBJECT + path.iter().map(|part| PLACE + of_text(part)).sum::<usize>(),
        }
}

fn of_text(text: &str) -> usize {
    if text.len() > SHORT { OBJECT + text.len() } else { OBJECT }
}

/// All of a tree.
pub fn of(node: &Node) -> usize {
    of_value(&node.value)
        + match &node.value {
            Value::Sequence(items) => items.iter().map(of).sum(),
            Value::Mapping(mapping) => of_entries(mapping),
            _ => 0,
        }
}

/// The entries of a mapping.
pub fn of_entries(mapping: &Mapping) -> usize {
    mapping.iter().map(|(key, entry)| PLACE + of_text(key) + of(&entry.value)).sum()
}
