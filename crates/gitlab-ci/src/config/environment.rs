//! `environment`. `entry/environment.rb`

use super::kubernetes;
use super::reader::{Reader, Text};
use crate::source::Span;
use crate::yaml::node::Node;

/// The environment of a job, before expansion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Where it is written.
    pub span: Span,
    /// The name.
    pub name: Option<Text>,
    /// The URL.
    pub url: Option<Text>,
    /// The effect of the job on the environment.
    pub action: Action,
    /// The name of the job that stops the environment.
    pub on_stop: Option<Text>,
    /// The deployment tier: `production`, `staging` and others.
    pub tier: Option<Text>,
}

/// The effect of a job on its environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Deploys to the environment.
    #[default]
    Start,
    /// Stops the environment.
    Stop,
    /// Prepares the environment.
    Prepare,
    /// Verifies the environment.
    Verify,
    /// Accesses the environment.
    Access,
}

const ACTIONS: &[(&str, Action)] = &[
    ("start", Action::Start),
    ("stop", Action::Stop),
    ("prepare", Action::Prepare),
    ("verify", Action::Verify),
    ("access", Action::Access),
];

/// The maximum length of the URL before expansion, in characters.
const MAX_URL_LENGTH: usize = 255;

/// Reads the keyword. Returns `None` if the value is neither a string nor a hash.
pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Environment> {
    let empty =
        Environment { span: node.span, name: None, url: None, action: Action::Start, on_stop: None, tier: None };
    if node.string().is_some() {
        return Some(Environment { name: read_name(node, reader), ..empty });
    }
    let Some(mapping) = node.mapping() else {
        reader.complain(node.span, "environment", "config should be a hash or a string");
        return None;
    };
    let known = ["name", "url", "action", "on_stop", "kubernetes", "auto_stop_in", "deployment_tier"];
    reader.known_keys(mapping, "environment", known);
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    if value("name").is_none() {
        reader.complain(node.span, "environment", "name can't be blank");
    }
    if let Some(node) = value("auto_stop_in") {
        reader.string(node, "environment auto_stop_in");
    }
    if let Some(node) = value("kubernetes") {
        kubernetes::check(node, reader);
    }
    // `auto_stop_in` changes nothing about a pipeline: GitLab's server starts the job `on_stop` later.
    if let Some(entry) = mapping.get("kubernetes") {
        reader.diagnostics.unsupported(entry.key_span, "environment:kubernetes");
    }
    Some(Environment {
        name: value("name").and_then(|node| read_name(node, reader)),
        url: value("url").and_then(|node| read_url(node, reader)),
        action: value("action").and_then(|node| read_action(node, reader)).unwrap_or_default(),
        on_stop: value("on_stop").and_then(|node| reader.string(node, "environment on_stop")),
        tier: value("deployment_tier").and_then(|node| reader.string(node, "environment deployment_tier")),
        ..empty
    })
}

/// The maximum length of the name of an environment, and of the key of a resource group, in characters: `app/models/environment.rb`
const MAX_NAME_LENGTH: usize = 255;

/// Whether an environment can have this name, and a resource group this key, after its variables were expanded.
pub(crate) fn is_valid_name(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= MAX_NAME_LENGTH && has_valid_characters(text)
}

/// `environment_name_regex` of `lib/gitlab/regex.rb`
fn has_valid_characters(text: &str) -> bool {
    let is_good = |character: char| {
        character.is_ascii_alphanumeric() || matches!(character, '_' | '/' | '$' | '{' | '}' | '.' | ' ' | '-')
    };
    !text.is_empty() && text.chars().all(is_good) && !text.starts_with('/') && !text.ends_with('/')
}

fn read_name(node: &Node, reader: &mut Reader<'_>) -> Option<Text> {
    let path = "environment name";
    let text = node.string().unwrap_or_default();
    if node.string().is_some() && text.trim().is_empty() {
        reader.complain(node.span, path, "can't be blank");
        return None;
    }
    // The length counts only after the expansion.
    if !has_valid_characters(text) {
        let message = "can contain only letters, digits, '-', '_', '/', '$', '{', '}', '.', and spaces, but it cannot \
                       start or end with '/'";
        reader.complain(node.span, path, message);
        return None;
    }
    Some(Text { value: text.into(), span: node.span })
}

fn read_url(node: &Node, reader: &mut Reader<'_>) -> Option<Text> {
    let url = reader.string(node, "environment url")?;
    if url.value.chars().count() > MAX_URL_LENGTH {
        let message = format!("is too long (maximum is {MAX_URL_LENGTH} characters)");
        reader.complain(node.span, "environment url", &message);
    }
    Some(url)
}

fn read_action(node: &Node, reader: &mut Reader<'_>) -> Option<Action> {
    let found = ACTIONS.iter().find(|(word, _)| node.string() == Some(*word)).map(|(_, action)| *action);
    if found.is_none() {
        let message = "should be start, stop, prepare, verify, or access";
        reader.unknown_word(node, "environment action", message, ACTIONS.iter().map(|(word, _)| *word));
    }
    found
}
