//! `variables`. `entry/variables.rb`, `entry/variable.rb`

use std::sync::Arc;

use super::reader::{self, Reader};
use crate::source::Span;
use crate::yaml::node::Mapping;
use crate::yaml::node::Node;

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
            reader.complain(node.span, path, "config should be a hash");
        }
        return Vec::new();
    };
    let mut variables = Vec::new();
    for (key, entry) in mapping {
        let node = &entry.value;
        let (value, expand) = match (node.scalar(), node.mapping()) {
            (Some(text), _) => (Some(text.into()), true),
            (None, Some(hash)) => hash_form(hash, node.span, place, &below(path, key), reader),
            // `VAR:` with nothing behind it is empty.
            (None, None) if node.is_null() => (Some("".into()), true),
            (None, None) => {
                let message = "variable definition must be either a string or a hash";
                reader.diagnostics.error(node.span, message);
                (None, true)
            }
        };
        let is_name = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            // GitLab takes any string; `$` cannot name it, and no shell can have it.
            let warning = reader.diagnostics.warning(entry.key_span, format!("no shell has a variable `{key}`"));
            warning.help("it is left out here; a name has letters, digits and `_`");
            continue;
        }
        if let Some(value) = value {
            variables.push(YamlVariable { key: Arc::clone(key), value, expand, span: entry.key_span });
        }
    }
    variables
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { reader::as_name(key) } else { format!("{path}:{}", reader::as_name(key)) }
}

fn hash_form(
    hash: &Mapping,
    span: Span,
    place: Place,
    path: &str,
    reader: &mut Reader<'_>,
) -> (Option<Arc<str>>, bool) {
    let known: &[&str] = match place {
        Place::Root => &["value", "description", "expand", "options"],
        Place::Job => &["value", "expand"],
        Place::Plain => {
            reader.complain(span, path, "config must be a string");
            return (None, true);
        }
    };
    for (key, entry) in hash.iter().filter(|(key, _)| !known.contains(&&***key)) {
        let error = reader.complain(entry.key_span, path, &format!("config uses invalid data keys: {key}"));
        error.nearest(key, known.iter().copied());
    }
    let part = |key: &str| hash.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    let expand = part("expand").and_then(|node| reader.boolean(node, &format!("{path} config_expand")));
    let value = part("value");
    if let Some(node) = value.filter(|node| node.scalar().is_none()) {
        reader.complain(node.span, &format!("{path} config_value"), "must be a scalar");
    }
    if let Some(node) = part("description").filter(|node| node.scalar().is_none()) {
        reader.complain(node.span, &format!("{path} config_description"), "must be an alphanumeric string");
    }
    if let Some(node) = part("options") {
        let options = reader.list(node, &format!("{path} config_options"));
        // A number is not the text of it.
        let text = value.and_then(Node::string);
        if !options.is_empty() && !options.iter().any(|option| Some(&*option.value) == text) {
            reader.complain(node.span, path, "config value must be present in options");
        }
    }
    (Some(value.and_then(Node::scalar).unwrap_or_default().into()), expand.unwrap_or(true))
}
