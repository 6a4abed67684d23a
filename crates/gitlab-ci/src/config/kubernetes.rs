//! `environment:kubernetes`. `entry/kubernetes.rb`, `entry/schemas/kubernetes/*.json`

use super::reader::Reader;
use crate::yaml::node::{Mapping, Node, Value};

const PATH: &str = "environment:kubernetes";

/// The keys of `dashboard`, and the maximum lengths of their values.
const DASHBOARD: [(&str, usize); 2] = [("namespace", 63), ("flux_resource_path", 255)];

/// Checks the keyword. No agent connects to a cluster here.
pub(super) fn check(node: &Node, reader: &mut Reader<'_>) {
    let Some(mapping) = reader.hash(node, PATH) else { return };
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
    let path = format!("{PATH} managed_resources");
    let Some(mapping) = object(node, &path, reader) else { return };
    disallow_others(mapping, &path, &["enabled"], reader);
    if let Some(enabled) = mapping.get("enabled").filter(|it| !matches!(it.value.value, Value::Boolean(_))) {
        reader.complain(enabled.value.span, &path, "value at `/enabled` is not a boolean");
    }
}

fn check_dashboard(node: &Node, kubernetes: &Mapping, reader: &mut Reader<'_>) {
    let path = format!("{PATH} dashboard");
    let Some(mapping) = object(node, &path, reader) else { return };
    disallow_others(mapping, &path, &DASHBOARD.map(|(key, _)| key), reader);
    if !mapping.contains_key("namespace") {
        reader.complain(node.span, &path, "object at root is missing required properties: namespace");
    }
    for (key, max) in DASHBOARD {
        let Some(entry) = mapping.get(key) else { continue };
        let span = entry.value.span;
        let message = match entry.value.text().map(|text| text.chars().count()) {
            None => format!("value at `/{key}` is not a string"),
            Some(0) => format!("string length at `/{key}` is less than: 1"),
            Some(length) if length > max => format!("string length at `/{key}` is greater than: {max}"),
            Some(_) if kubernetes.get(key).is_some_and(|other| !other.value.is_blank()) => {
                let message = format!("cannot be specified when dashboard.{key} is set");
                reader.complain(span, &format!("{PATH} {key}"), &message);
                continue;
            }
            Some(_) => continue,
        };
        reader.complain(span, &path, &message);
    }
}

fn object<'node>(node: &'node Node, path: &str, reader: &mut Reader<'_>) -> Option<&'node Mapping> {
    let mapping = node.mapping();
    if mapping.is_none() {
        reader.complain(node.span, path, "value at root is not an object");
    }
    mapping
}

fn disallow_others(mapping: &Mapping, path: &str, known: &[&str], reader: &mut Reader<'_>) {
    for (key, entry) in mapping.iter().filter(|(key, _)| !known.contains(&&***key)) {
        let message = format!("object property at `/{}` is a disallowed additional property", key.to_lowercase());
        reader.complain(entry.key_span, path, &message).nearest(key, known.iter().copied());
    }
}
