//! `pages` and `publish`. `entry/pages.rb`, `entry/publish.rb`, `entry/job.rb`

use super::reader::Reader;
use crate::pipeline::document::node::{Mapping, Node, Value};
use crate::pipeline::duration;

/// Checks both: only a GitLab has pages.
pub fn check(name: &str, own: &Mapping, reader: &mut Reader<'_>) {
    let value = |key: &str| own.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    let pages = value("pages");
    if let Some(node) = pages {
        check_pages(node, reader);
    }
    let Some(publish) = value("publish") else { return };
    reader.string(publish, "publish");
    // A job of that name is one unless it says no.
    let is_by_name = name == "pages" && !matches!(pages.map(|node| &node.value), Some(Value::Boolean(false)));
    if !is_by_name && pages.is_none_or(Node::is_blank) && !publish.is_blank() {
        reader.complain(publish.span, " publish", "can only be used within a `pages` job");
    }
    if let Some(of_pages) = pages.and_then(|node| node.get("publish")) {
        // `validate_job_pages_publish!` of `lib/gitlab/ci/yaml_processor.rb`
        reader
            .diagnostics
            .error(of_pages.span, format!("{name} job: use either {name}:publish or {name}:pages:publish"));
    }
}

fn check_pages(node: &Node, reader: &mut Reader<'_>) {
    let Some(mapping) = node.mapping() else {
        if !matches!(node.value, Value::Boolean(_)) {
            reader.complain(node.span, "pages", "config should be a hash or a boolean value");
        }
        return;
    };
    reader.known_keys(mapping, "pages", ["path_prefix", "expire_in", "publish"]);
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    for key in ["path_prefix", "publish"] {
        if let Some(node) = value(key) {
            reader.string(node, &format!("pages {key}"));
        }
    }
    if let Some(node) = value("expire_in") {
        reader.duration_by(node, "pages expire_in", duration::parse_expiry);
    }
}
