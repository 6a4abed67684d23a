//! `hooks`. `entry/hooks.rb`

use super::reader::{Reader, Text};
use super::script;
use crate::yaml::node::Node;

/// Reads `pre_get_sources_script`, the commands that run before a job gets its sources.
pub fn read(node: &Node, reader: &mut Reader<'_>) -> Vec<Text> {
    let Some(mapping) = reader.hash(node, "hooks") else { return Vec::new() };
    reader.known_keys(mapping, "hooks", ["pre_get_sources_script"]);
    match mapping.get("pre_get_sources_script").filter(|entry| !entry.value.is_null()) {
        Some(entry) => script::read(&entry.value, "hooks:pre_get_sources_script", reader),
        None => Vec::new(),
    }
}
