//! `script`, `before_script`, `after_script`. `entry/commands.rb`

use super::reader::{Reader, Spanned, Text};
use crate::pipeline::document::node::{Node, Value};

/// How deep lists may be nested, mostly by references.
const DEEPEST: usize = 10;

/// The commands, flattened.
pub fn read(node: &Node, keyword: &str, reader: &mut Reader<'_>) -> Vec<Text> {
    let mut commands = Vec::new();
    if node.is_null() {
        reader.complain(node.span, "", &format!("{keyword} can't be blank"));
    } else if !flatten(node, 0, &mut commands) {
        reader.complain(
            node.span,
            keyword,
            "config should be a string or a nested array of strings up to 10 levels deep",
        );
    }
    commands
}

fn flatten(node: &Node, depth: usize, commands: &mut Vec<Text>) -> bool {
    match &node.value {
        Value::String(text) => {
            commands.push(Spanned { value: text.clone(), span: node.span });
            true
        }
        Value::Sequence(items) => depth < DEEPEST + 1 && items.iter().all(|item| flatten(item, depth + 1, commands)),
        _ => false,
    }
}
