//! `run`: steps instead of a script. `app/validators/json_schemas/run_steps.json`
//!
//! A step runs a `script`, or refers to a `step` or `func`. GitLab reports the errors against both forms. This check
//! reports only those of the form that the step resembles.

use super::reader::Reader;
use super::schema::Schema;
use crate::yaml::node::{Mapping, Node};

/// Checks the keyword. This program does not run steps.
pub(super) fn check(node: &Node, reader: &mut Reader<'_>) {
    let mut schema = Schema { reader, path: " run" };
    for (index, step) in schema.array(node, "").unwrap_or_default().iter().enumerate() {
        schema.check_step(step, &format!("/{index}"));
    }
}

impl Schema<'_, '_> {
    fn check_step(&mut self, step: &Node, at: &str) {
        let Some(mapping) = self.object(step, at) else { return };
        let has = |key: &str| mapping.contains_key(key);
        let refers = has("step") || has("func");
        let has_script = has("script") && !refers;
        let known: &[&str] =
            if has_script { &["name", "env", "script"] } else { &["name", "env", "inputs", "step", "func"] };
        self.known_properties(mapping, at, known);
        self.required(step, mapping, at, &["name"]);
        if has("step") && has("func") {
            self.complain(step.span, &format!("value at `{at}` matches `not` schema"));
        } else if !refers && !has_script {
            let message = format!("object at `{at}` is missing required properties: step");
            self.complain(step.span, &message).help("a step has `script`, `step` or `func`");
        }
        for (key, entry) in mapping {
            let (value, at) = (&entry.value, format!("{at}/{key}"));
            match &**key {
                "name" => self.check_name(value, &at),
                "env" => {
                    for (key, entry) in self.named(value, &at).into_iter().flatten() {
                        self.string(&entry.value, &format!("{at}/{key}"));
                    }
                }
                "script" if has_script => drop(self.non_empty(value, &at)),
                "inputs" if !has_script => drop(self.named(value, &at)),
                "step" | "func" => self.check_reference(value, &at),
                _ => {}
            }
        }
    }

    fn check_name(&mut self, node: &Node, at: &str) {
        if self.string(node, at).is_some_and(|name| !is_name(name)) {
            let message = format!("string at `{at}` does not match pattern: ^[a-zA-Z_][a-zA-Z0-9_]*$");
            self.complain(node.span, &message).help("a name has letters, digits and `_`, and no digit first");
        }
    }

    /// Checks the reference to a step or function: a string, or a hash with `git` or `oci`.
    fn check_reference(&mut self, node: &Node, at: &str) {
        let Some(mapping) = node.mapping() else {
            self.string(node, at);
            return;
        };
        let (kind, required, optional): (_, &[&str], &[&str]) = if mapping.contains_key("oci") {
            ("oci", &["registry", "repository", "tag"], &["dir", "file"])
        } else {
            ("git", &["url", "rev"], &["dir", "file"])
        };
        self.known_properties(mapping, at, &[kind]);
        self.required(node, mapping, at, &[kind]);
        let Some(entry) = mapping.get(kind) else { return };
        let at = format!("{at}/{kind}");
        let Some(source) = self.object(&entry.value, &at) else { return };
        self.known_properties(source, &at, &[required, optional].concat());
        self.required(&entry.value, source, &at, required);
        for (key, entry) in source.iter().filter(|(key, _)| required.contains(&&***key) || optional.contains(&&***key))
        {
            self.string(&entry.value, &format!("{at}/{key}"));
        }
    }

    /// An object whose keys are names.
    fn named<'node>(&mut self, node: &'node Node, at: &str) -> Option<&'node Mapping> {
        let mapping = self.object(node, at)?;
        for (key, entry) in mapping.iter().filter(|(key, _)| !is_name(key)) {
            self.disallowed(entry.key_span, &format!("{at}/{key}"));
        }
        Some(mapping)
    }
}

/// `^[a-zA-Z_][a-zA-Z0-9_]*$`, which Ruby applies to each line.
fn is_name(text: &str) -> bool {
    text.lines().any(|line| {
        !line.starts_with(|first: char| first.is_ascii_digit())
            && !line.is_empty()
            && line.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
    })
}
