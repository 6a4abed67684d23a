//! Checks `spec`, the header document that precedes a file's content. `lib/gitlab/ci/config/header/`

use super::node::{Entry, KeyKind, Mapping, Node, unknown_keys};
use crate::diagnostic::{self, Diagnostics};
use crate::gitlab_version::GitlabVersion;
use crate::source::Span;

/// The types of inputs. `lib/gitlab/ci/config/entry/base_input.rb`
pub const TYPES: [&str; 4] = ["string", "number", "boolean", "array"];

/// `ALLOWED_OPTIONS_LIMIT` of `lib/gitlab/ci/config/header/input.rb`
pub const MAX_OPTIONS: usize = 50;

/// Reports everything in a header that GitLab would refuse.
pub fn check(header: &Node, diagnostics: &mut Diagnostics) {
    let Some(mapping) = header.mapping() else { return };
    known_keys(mapping, "header", &["spec"], diagnostics);
    let Some(spec) = mapping.get("spec").and_then(|entry| hash(&entry.value, "header:spec", diagnostics)) else {
        return;
    };
    if let Some(include) = spec.get("include") {
        // <https://docs.gitlab.com/ci/yaml/#specinclude>
        diagnostics.since(GitlabVersion::new(18, 9), include.key_span, "spec:include");
    }
    known_keys(spec, "header:spec", &["inputs", "include", "component", "description"], diagnostics);
    let inputs = spec.get("inputs").and_then(|entry| hash(&entry.value, "header:spec:inputs", diagnostics));
    if let Some(node) = spec.get("component").map(|entry| &entry.value).filter(|node| !node.is_null()) {
        check_component(node, diagnostics);
    }
    if let Some(node) = spec.get("description").map(|entry| &entry.value).filter(|node| !node.is_null()) {
        check_description(node, diagnostics);
    }
    for (name, entry) in inputs.into_iter().flatten() {
        let path = format!("header:spec:inputs:{}", name.to_lowercase());
        if let Some(input) = hash(&entry.value, &path, diagnostics) {
            check_definition(entry, &path, &KEYS_OF_INPUTS, diagnostics);
            check_rules(input, &path, diagnostics);
        }
    }
}

/// The maximum length of a description, in characters. `lib/gitlab/ci/config/header/spec.rb`
const MAX_DESCRIPTION: usize = 256;

/// The data about itself that a component may use. `lib/gitlab/ci/config/header/component.rb`
const COMPONENT_DATA: [&str; 4] = ["name", "sha", "version", "reference"];

fn check_component(node: &Node, diagnostics: &mut Diagnostics) {
    let path = "header:spec:component config";
    let Some(items) = node.sequence().filter(|items| items.iter().all(|item| item.text().is_some())) else {
        let message = if node.sequence().is_some() { "should be an array of strings" } else { "should be an array" };
        diagnostics.error(node.span, format!("{path} {message}"));
        return;
    };
    let unknown = items.iter().filter(|item| !item.string().is_some_and(|text| COMPONENT_DATA.contains(&text)));
    let names = diagnostic::joined(unknown.clone().filter_map(Node::text));
    let message = format!("{path} contains unknown values: {names}").to_lowercase();
    for item in unknown {
        diagnostics.error(item.span, message.as_str()).nearest(item.text().unwrap_or_default(), COMPONENT_DATA);
    }
}

fn check_description(node: &Node, diagnostics: &mut Diagnostics) {
    let path = "header:spec config description";
    match node.string() {
        None => drop(diagnostics.error(node.span, format!("{path} should be a string"))),
        Some(text) if text.chars().count() > MAX_DESCRIPTION => {
            diagnostics.error(node.span, format!("{path} is too long (maximum is {MAX_DESCRIPTION} characters)"));
        }
        Some(_) => {}
    }
}

/// The keys of an input of a file. `lib/gitlab/ci/config/header/input.rb`
const KEYS_OF_INPUTS: [&str; 6] = ["default", "description", "options", "regex", "type", "rules"];

/// The keys of an input of a job. `COMMON_ALLOWED_KEYS` of `lib/gitlab/ci/config/entry/base_input.rb`
pub const KEYS_OF_JOB_INPUTS: [&str; 5] = ["default", "description", "options", "regex", "type"];

fn check_rules(input: &Mapping, path: &str, diagnostics: &mut Diagnostics) {
    // `MutuallyExclusiveKeysValidator` looks at the keys only.
    for other in ["options", "default"] {
        if let Some(second) = input.get(other).filter(|_| input.contains_key("rules")) {
            let names: Vec<_> = input.keys().map(|key| &**key).filter(|key| [other, "rules"].contains(key)).collect();
            let message = format!("{path} config these keys cannot be used together: {}", names.join(", "));
            diagnostics.error(second.key_span, message);
        }
    }
    if let Some(rules) = input.get("rules") {
        // <https://docs.gitlab.com/ci/yaml/#specinputsrules>
        diagnostics.since(GitlabVersion::new(18, 7), rules.key_span, "spec:inputs:rules");
    }
}

/// Checks the definition of an input with these keys. `lib/gitlab/ci/config/entry/base_input.rb`
pub fn check_definition(entry: &Entry, path: &str, keys: &[&str], diagnostics: &mut Diagnostics) {
    if entry.key_kind == KeyKind::Other {
        let error = diagnostics.error(entry.key_span, format!("{path} key must be an alphanumeric string"));
        error.help("put the name in quotes");
    }
    let Some(input) = entry.value.mapping() else { return };
    known_keys(input, path, keys, diagnostics);
    let value = |key: &str| input.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    if let Some(node) = value("type").filter(|node| !node.scalar().is_some_and(|it| TYPES.contains(&it))) {
        let word = node.scalar().unwrap_or_default();
        let message = format!("{path} input type unknown value: {word}").to_lowercase();
        diagnostics.error(node.span, message).nearest(word, TYPES);
    }
    let mut wrong = |span: Span, message: &str| {
        diagnostics.error(span, format!("{path} {message}"));
    };
    if let Some(node) = value("description").filter(|node| !node.is_alphanumeric()) {
        wrong(node.span, "input description must be an alphanumeric string");
    }
    if let Some(node) = value("regex").filter(|node| node.string().is_none()) {
        wrong(node.span, "input regex should be a string");
    }
    if let Some(node) = value("options").filter(|node| node.sequence().is_none()) {
        wrong(node.span, "input options should be an array");
    }
    let options = value("options").and_then(|node| Some((node.span, node.sequence()?)));
    if let Some((span, _)) = options.filter(|(_, options)| options.len() > MAX_OPTIONS) {
        wrong(span, &format!("config cannot define more than {MAX_OPTIONS} options"));
    }
    if let Some(nothing) = options.and_then(|(_, options)| options.iter().find(|option| option.is_null())) {
        wrong(nothing.span, "config options array cannot contain null values");
    }
}

/// Returns the entries of a hash. A null value counts as an empty hash.
fn hash<'node>(node: &'node Node, path: &str, diagnostics: &mut Diagnostics) -> Option<&'node Mapping> {
    if node.mapping().is_none() && !node.is_null() {
        diagnostics.error(node.span, format!("{path} config should be a hash"));
    }
    node.mapping()
}

fn known_keys(mapping: &Mapping, path: &str, known: &[&str], diagnostics: &mut Diagnostics) {
    let (unknown, names) = unknown_keys(mapping, known);
    // GitLab writes the sentence in lower case: `lib/gitlab/config/entry/validator.rb`
    let message = format!("{path} config contains unknown keys: {names}").to_lowercase();
    for (key, entry) in unknown {
        diagnostics.error(entry.key_span, message.as_str()).nearest(key, known.iter().copied());
    }
}
