//! `hooks`. `entry/hooks.rb`

use super::reader::Reader;
use super::script;
use crate::yaml::node::Node;

/// Checks the keyword. GitLab Runner executes hooks before it fetches the sources; here, they are not executed.
pub fn check(node: &Node, reader: &mut Reader<'_>) {
    let Some(mapping) = reader.hash(node, "hooks") else { return };
    reader.known_keys(mapping, "hooks", ["pre_get_sources_script"]);
    if let Some(entry) = mapping.get("pre_get_sources_script").filter(|entry| !entry.value.is_null()) {
        script::read(&entry.value, "hooks:pre_get_sources_script", reader);
    }
}
