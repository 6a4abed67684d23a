//! `tags`: which runners may run a job. `entry/tags.rb`

use std::collections::HashSet;

use super::reader::{Reader, Text};
use crate::yaml::node::Node;

/// The number of tags must be below this limit.
const LIMIT: usize = 50;

/// Reads the keyword. A local runner executes every job, regardless of its tags.
pub fn read(node: &Node, reader: &mut Reader<'_>) -> Vec<Text> {
    let tags = reader.list(node, "tags");
    let different: HashSet<_> = tags.iter().map(|tag| &tag.value).collect();
    if different.len() >= LIMIT {
        reader.complain(node.span, "tags", &format!("config must be less than the limit of {LIMIT} tags"));
    }
    tags
}
