//! `script`, `before_script`, `after_script`. `entry/commands.rb`

use super::reader::{Reader, Spanned, Text};
use crate::yaml::node::{Node, Value};

/// The maximum depth of nested lists, which mostly come from `!reference`. `validate_nested_array_recursively` of
/// `lib/gitlab/config/entry/validators/nested_array_helpers.rb`
const MAX_DEPTH: usize = 10;

/// Reads the commands of a script into a flat list.
pub fn read(node: &Node, path: &str, reader: &mut Reader<'_>) -> Vec<Text> {
    let mut commands = Vec::new();
    if let Err(wrong) = flatten(node, 0, &mut commands) {
        // A reference to an unknown path has been reported.
        if wrong.is_null() && reader.diagnostics.has_error_in(wrong.span) {
            return commands;
        }
        let message = "config should be a string or a nested array of strings up to 10 levels deep";
        let error = reader.complain(wrong.span, path, message);
        match &wrong.value {
            Value::Mapping(_) if wrong.span != node.span => {
                error.help("`: ` turns the command into a hash: put it in quotes");
            }
            _ if wrong.scalar().is_some() => {
                error.help("put it in quotes");
            }
            _ => {}
        }
    }
    commands
}

/// Adds all commands to `commands`. The error is the first node that is not a command.
pub(super) fn flatten<'node>(node: &'node Node, depth: usize, commands: &mut Vec<Text>) -> Result<(), &'node Node> {
    match &node.value {
        Value::String(text) | Value::Symbol(text) => {
            commands.push(Spanned { value: text.clone(), span: node.span });
            Ok(())
        }
        Value::Sequence(items) if depth < MAX_DEPTH => {
            items.iter().try_for_each(|item| flatten(item, depth + 1, commands))
        }
        _ => Err(node),
    }
}
