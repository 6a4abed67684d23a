//! The size of a tree in memory. A shared value counts each time it is used, so that a few lines cannot become a tree
//! of billions of nodes.
//!
//! GitLab adds up the memory of Ruby's objects (`lib/gitlab/utils/deep_size.rb`). The sizes here are not greater than GitLab's.

use super::node::{Mapping, Node, Value};

/// GitLab's default of `max_yaml_size_bytes`, the maximum size of a file in bytes. An administrator can change it.
pub const GITLAB_MAX_FILE: usize = 2 << 20;

/// The maximum size of a file here, in bytes.
pub use crate::files::MAX_FILE;

/// The maximum size, in bytes, of a file with all its includes, and of each of the results of `extends`, references and
/// defaults. GitLab accepts 150 files of the maximum size and does not limit these results, but a server has more memory
/// than this program may use.
pub const MAX_TOTAL: usize = 32 << 20;

/// The size of an object, and the maximum length of a string that needs no more than that.
const OBJECT: usize = 40;
const MAX_SHORT_STRING: usize = 23;

/// The size of a slot in a list or a hash.
const SLOT: usize = 8;

/// The size of a scalar in its slot. For a list or a mapping, the size without its content.
pub fn without_content(value: &Value) -> usize {
    SLOT + match value {
        Value::Null | Value::Boolean(_) => 0,
        Value::Integer(text) | Value::Float(text) | Value::String(text) | Value::Symbol(text) => string(text),
        Value::Sequence(_) | Value::Mapping(_) => OBJECT,
        Value::Reference(path) => OBJECT + path.iter().map(|part| SLOT + string(part)).sum::<usize>(),
    }
}

fn string(text: &str) -> usize {
    if text.len() > MAX_SHORT_STRING { OBJECT + text.len() } else { OBJECT }
}

/// The size of a tree.
pub fn tree(node: &Node) -> usize {
    without_content(&node.value)
        + match &node.value {
            Value::Sequence(items) => items.iter().map(tree).sum(),
            Value::Mapping(mapping) => entries(mapping),
            _ => 0,
        }
}

/// The size of the entries of a mapping.
pub fn entries(mapping: &Mapping) -> usize {
    mapping.iter().map(|(key, entry)| SLOT + string(key) + tree(&entry.value)).sum()
}
