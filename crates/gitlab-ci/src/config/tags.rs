//! `tags`: which runners may run a job. `entry/tags.rb`

use std::collections::HashSet;

use super::reader::Reader;
use crate::yaml::node::Node;

/// The number of tags must be below this limit.
const LIMIT: usize = 50;

/// Checks the keyword. A local runner executes every job, regardless of its tags.
pub fn check(node: &Node, reader: &mut Reader<'_>) {
    let tags: HashSet<_> = reader.list(node, "tags").into_iter().map(|tag| tag.value).collect();
    if tags.len() >= LIMIT {
        reader.complain(node.span, "tags", &format!("config must be less than the limit of {LIMIT} tags"));
    }
}
