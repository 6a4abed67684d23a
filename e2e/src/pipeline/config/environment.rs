//! `environment`. `entry/environment.rb`

use super::reader::{Reader, Text};
use crate::pipeline::document::node::Node;
use crate::pipeline::source::Span;

/// Where a job deploys to, or what it does with that place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Where it is written.
    pub span: Span,
    /// Its name, before expansion.
    pub name: Option<Text>,
    /// Where it is reached, before expansion.
    pub url: Option<Text>,
    /// What the job does with it.
    pub action: Action,
    /// The job that stops it.
    pub on_stop: Option<Text>,
    /// `production`, `staging`, …
    pub tier: Option<Text>,
}

/// What a job does with its environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Deploys to it.
    #[default]
    Start,
    /// Stops it.
    Stop,
    /// Prepares it.
    Prepare,
    /// Verifies it.
    Verify,
    /// Only has access to it.
    Access,
}

const ACTIONS: &[(&str, Action)] = &[
    ("start", Action::Start),
    ("stop", Action::Stop),
    ("prepare", Action::Prepare),
    ("verify", Action::Verify),
    ("access", Action::Access),
];

/// Reads it.
pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Environment> {
    let nothing =
        Environment { span: node.span, name: None, url: None, action: Action::Start, on_stop: None, tier: None };
    if node.string().is_some() {
        return Some(Environment { name: reader.string(node, "environment"), ..nothing });
    }
    let Some(mapping) = node.mapping() else {
        reader.complain(node.span, "environment", "config should be a hash or a string");
        return None;
    };
    let known =
        ["name", "url", "action", "on_stop", "kubernetes", "auto_stop_in", "deployment_tier", "flux_resource_path"];
    reader.known_keys(mapping, "environment", known);
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    if value("name").is_none() {
        reader.complain(node.span, "environment", "name can't be blank");
    }
    for key in ["kubernetes", "auto_stop_in"] {
        if let Some(entry) = mapping.get(key) {
            reader.diagnostics.warning(entry.key_span, format!("understood, not replayed: environment:{key}"));
        }
    }
    Some(Environment {
        name: value("name").and_then(|node| reader.string(node, "environment:name")),
        url: value("url").and_then(|node| reader.string(node, "environment:url")),
        action: value("action").and_then(|node| reader.word(node, "environment:action", ACTIONS)).unwrap_or_default(),
        on_stop: value("on_stop").and_then(|node| reader.string(node, "environment:on_stop")),
        tier: value("deployment_tier").and_then(|node| reader.string(node, "environment:deployment_tier")),
        ..nothing
    })
}
