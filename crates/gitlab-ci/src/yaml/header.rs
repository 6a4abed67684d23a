//! Checks `spec`, the header document that precedes a file's content. `lib/gitlab/ci/config/header/`

use super::node::{Mapping, Node};
use crate::diagnostic::Diagnostics;
use crate::gitlab_version::GitlabVersion;
use crate::source::Span;

/// The types of inputs. `lib/gitlab/ci/config/entry/base_input.rb`
pub const TYPES: [&str; 4] = ["string", "number", "boolean", "array"];

/// `ALLOWED_OPTIONS_LIMIT` of `lib/gitlab/ci/config/header/input.rb`
const MAX_OPTIONS: usize = 50;

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
    for (name, entry) in inputs.into_iter().flatten() {
        let path = format!("header:spec:inputs:{}", name.to_lowercase());
        if let Some(input) = hash(&entry.value, &path, diagnostics) {
            check_input(input, &path, diagnostics);
        }
    }
}

fn check_input(input: &Mapping, path: &str, diagnostics: &mut Diagnostics) {
    known_keys(input, path, &["default", "description", "options", "regex", "type", "rules"], diagnostics);
    for other in ["options", "default"] {
        let has_rules = input.get("rules").is_some_and(|rules| !rules.value.is_null());
        if let Some(second) = input.get(other).filter(|_| has_rules) {
            let names: Vec<_> = input.keys().map(|key| &**key).filter(|key| [other, "rules"].contains(key)).collect();
            let message = format!("{path} config these keys cannot be used together: {}", names.join(", "));
            diagnostics.error(second.key_span, message);
        }
    }
    if let Some(rules) = input.get("rules") {
        // <https://docs.gitlab.com/ci/yaml/#specinputsrules>
        diagnostics.since(GitlabVersion::new(18, 7), rules.key_span, "spec:inputs:rules");
    }
    let value = |key: &str| input.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    if let Some(node) = value("type").filter(|node| !node.scalar().is_some_and(|it| TYPES.contains(&it))) {
        let word = node.scalar().unwrap_or_default();
        diagnostics.error(node.span, format!("{path} input type unknown value: {word}")).nearest(word, TYPES);
    }
    let mut wrong = |span: Span, message: &str| {
        diagnostics.error(span, format!("{path} {message}"));
    };
    if let Some(node) = value("regex").filter(|node| node.string().is_none()) {
        wrong(node.span, "input regex should be a string");
    }
    if let Some(node) = value("options").filter(|node| node.sequence().is_none()) {
        wrong(node.span, "input options should be an array");
    }
    if let Some(node) = value("options").filter(|node| node.sequence().is_some_and(|it| it.len() > MAX_OPTIONS)) {
        wrong(node.span, &format!("config cannot define more than {MAX_OPTIONS} options"));
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
    for (key, entry) in mapping.iter().filter(|(key, _)| !known.contains(&&***key)) {
        let error = diagnostics.error(entry.key_span, format!("{path} config contains unknown keys: {key}"));
        error.nearest(key, known.iter().copied());
    }
}
