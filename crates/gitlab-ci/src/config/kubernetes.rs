//! `environment:kubernetes`. `entry/kubernetes.rb`, `entry/schemas/kubernetes/*.json`

use super::reader::Reader;
use super::schema::Schema;
use crate::yaml::node::{Mapping, Node, Value};

const PATH: &str = "environment:kubernetes";

/// The keys of `dashboard`, and the maximum lengths of their values.
const DASHBOARD: [(&str, usize); 2] = [("namespace", 63), ("flux_resource_path", 255)];

/// Checks the keyword. No agent connects to a cluster here.
pub(super) fn check(node: &Node, reader: &mut Reader<'_>) {
    let Some(mapping) = node.mapping() else {
        // `entry/environment.rb` checks it, before there is an entry for it.
        reader.complain(node.span, "environment kubernetes", "should be a hash");
        return;
    };
    if mapping.is_empty() {
        reader.complain(node.span, PATH, "config can't be blank");
        return;
    }
    reader.known_keys(mapping, PATH, ["namespace", "agent", "flux_resource_path", "managed_resources", "dashboard"]);
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    for key in ["namespace", "agent", "flux_resource_path"] {
        if let Some(node) = value(key) {
            reader.string(node, &format!("{PATH} {key}"));
        }
    }
    let is_present = |key: &str| value(key).is_some_and(|node| !node.is_blank());
    if is_present("flux_resource_path") && !is_present("namespace") {
        reader.complain(node.span, &format!("{PATH} namespace"), "can't be blank");
    }
    let resources = value("managed_resources");
    let is_managed =
        resources.and_then(|node| node.get("enabled")).is_some_and(|node| matches!(node.value, Value::Boolean(true)));
    if (is_present("flux_resource_path") || is_present("dashboard") || is_managed) && !is_present("agent") {
        reader.complain(node.span, &format!("{PATH} agent"), "can't be blank");
    }
    if let Some(node) = resources {
        check_resources(node, reader);
    }
    if let Some(dashboard) = value("dashboard").filter(|node| !node.is_blank()) {
        check_dashboard(dashboard, mapping, reader);
    }
}

fn check_resources(node: &Node, reader: &mut Reader<'_>) {
    let mut schema = Schema { reader, path: &format!("{PATH} managed_resources") };
    let Some(mapping) = schema.object(node, "") else { return };
    schema.known_properties(mapping, "", &["enabled"]);
    if let Some(enabled) = mapping.get("enabled").filter(|it| !matches!(it.value.value, Value::Boolean(_))) {
        schema.complain(enabled.value.span, "value at `/enabled` is not a boolean");
    }
}

fn check_dashboard(node: &Node, kubernetes: &Mapping, reader: &mut Reader<'_>) {
    let mut schema = Schema { reader, path: &format!("{PATH} dashboard") };
    let Some(mapping) = schema.object(node, "") else { return };
    schema.known_properties(mapping, "", &DASHBOARD.map(|(key, _)| key));
    schema.required(node, mapping, "", &["namespace"]);
    for (key, max) in DASHBOARD {
        let Some(entry) = mapping.get(key) else { continue };
        let (at, span) = (format!("/{key}"), entry.value.span);
        let Some(text) = schema.non_empty(&entry.value, &at) else { continue };
        if text.chars().count() > max {
            schema.complain(span, &format!("string length at `{at}` is greater than: {max}"));
        } else if kubernetes.get(key).is_some_and(|other| !other.value.is_blank()) {
            let message = format!("cannot be specified when dashboard.{key} is set");
            schema.reader.complain(span, &format!("{PATH} {key}"), &message);
        }
    }
}
