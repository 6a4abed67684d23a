//! `variables`. `entry/variables.rb`, `entry/variable.rb`

use std::sync::Arc;

use super::reader::Reader;
use crate::pipeline::document::node::{Mapping, Node};
use crate::pipeline::source::Span;

/// A variable of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlVariable {
    /// Its name.
    pub key: Arc<str>,
    /// Its value as written.
    pub value: Arc<str>,
    /// Whether `$` in it is a variable.
    pub expand: bool,
    /// Where it is written.
    pub span: Span,
}

/// Where variables stand, which decides what their hash form may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The top level.
    Root,
    /// A job.
    Job,
    /// A rule, a workflow's rule or a service: plain values only.
    Plain,
}

/// Reads them all.
pub fn read(node: &Node, place: Place, path: &str, reader: &mut Reader<'_>) -> Vec<YamlVariable> {
    let Some(mapping) = node.mapping() else {
        if !node.is_null() {
            reader.complain(node.span, path, "config should be a hash of key value pairs");
        }
        return Vec::new();
    };
    let mut variables = Vec::new();
    for (key, entry) in mapping {
        let is_name = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            let error = reader.complain(entry.key_span, path, &format!("config: `{key}` is no name of a variable"));
            error.help("letters, digits and `_`");
        }
        let (value, expand) = match entry.value.mapping() {
            Some(hash) if place != Place::Plain => hash_form(hash, place, &format!("{path}:{key}"), reader),
            _ => (plain(&entry.value, path, reader), true),
        };
        if let Some(value) = value {
            variables.push(YamlVariable { key: Arc::clone(key), value, expand, span: entry.key_span });
        }
    }
    variables
}

fn plain(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Arc<str>> {
    // `VAR:` with nothing behind it is empty.
    if node.is_null() {
        return Some("".into());
    }
    let text = node.scalar().map(Into::into);
    if text.is_none() {
        reader.complain(node.span, path, "config should be a hash of key value pairs");
    }
    text
}

fn hash_form(hash: &Mapping, place: Place, path: &str, reader: &mut Reader<'_>) -> (Option<Arc<str>>, bool) {
    let known: &[&str] =
        if place == Place::Root { &["value", "description", "expand", "options"] } else { &["value", "expand"] };
    reader.known_keys(hash, path, known.iter().copied());
    let expand = hash.get("expand").and_then(|entry| reader.boolean(&entry.value, &format!("{path}:expand")));
    let value = match hash.get("value") {
        Some(entry) => plain(&entry.value, path, reader),
        None => Some("".into()),
    };
    if let Some(options) = hash.get("options") {
        let allowed = reader.list(&options.value, &format!("{path}:options"));
        let is_allowed = value.as_ref().is_some_and(|value| allowed.iter().any(|option| option.value == *value));
        if !allowed.is_empty() && !is_allowed {
            reader.complain(options.value.span, path, "config should contain the default value in its options");
        }
    }
    (value, expand.unwrap_or(true))
}
