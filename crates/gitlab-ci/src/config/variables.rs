//! `variables`. `entry/variables.rb`, `entry/variable.rb`

use std::sync::Arc;

use super::reader::{self, Reader};
use super::runner_settings;
use crate::source::Span;
use crate::yaml::node::{KeyKind, Mapping, Node, unknown_keys};

/// A variable in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlVariable {
    /// The name.
    pub key: Arc<str>,
    /// The value as written.
    pub value: Arc<str>,
    /// Whether variables in the value are expanded.
    pub expand: bool,
    /// Where it is written.
    pub span: Span,
}

/// The position of `variables` in the file, which decides the keys of the hash form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableScope {
    /// The top level.
    Root,
    /// A job.
    Job,
    /// A rule of a job or of `workflow`, or a service. Only plain values are allowed.
    Plain,
}

/// Reads all variables. Those with invalid names or values are reported and left out.
pub fn read(node: &Node, scope: VariableScope, path: &str, reader: &mut Reader<'_>) -> Vec<YamlVariable> {
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
            (None, Some(hash)) => hash_form(hash, node.span, scope, &below(path, key), reader),
            // `VAR:` without a value is an empty hash. `lib/gitlab/config/entry/composable_hash.rb`
            (None, None) if node.is_null() => {
                hash_form(&Mapping::default(), entry.key_span, scope, &below(path, key), reader)
            }
            (None, None) => {
                let message = "variable definition must be either a string or a hash";
                reader.diagnostics.error(node.span, message);
                (None, true)
            }
        };
        if entry.key_kind == KeyKind::Other {
            // `validates :key, alphanumeric: true` of `entry/variable.rb`
            let path = format!("{} key", below(path, key));
            let error = reader.complain(entry.key_span, &path, "must be an alphanumeric string");
            error.help("put the name in quotes");
            continue;
        }
        if !is_shell_name(key) {
            // GitLab accepts any string as a name, but neither `$` nor a shell can refer to such a variable.
            let warning =
                reader.diagnostics.warning(entry.key_span, format!("`{key}` is not a valid name for a shell variable"));
            warning.help(
                "the job fails, because no shell can export it; use letters, digits and `_`, and no digit at the start",
            );
        }
        if let Some(value) = value {
            let value: Arc<str> = value;
            if runner_settings::is_unsupported(key, &value) {
                reader.diagnostics.unsupported(entry.key_span, &format!("variables:{key}"));
            }
            variables.push(YamlVariable { key: Arc::clone(key), value, expand, span: entry.key_span });
        }
    }
    variables
}

/// Whether a shell can export a variable with this name.
pub fn is_shell_name(key: &str) -> bool {
    let starts = key.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    starts && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { reader::as_name(key) } else { format!("{path}:{}", reader::as_name(key)) }
}

fn hash_form(
    hash: &Mapping,
    span: Span,
    scope: VariableScope,
    path: &str,
    reader: &mut Reader<'_>,
) -> (Option<Arc<str>>, bool) {
    let known: &[&str] = match scope {
        VariableScope::Root => &["value", "description", "expand", "options"],
        VariableScope::Job => &["value", "expand"],
        VariableScope::Plain => {
            reader.complain(span, path, "config must be a string");
            return (None, true);
        }
    };
    let (unknown, names) = unknown_keys(hash, known);
    let message = format!("config uses invalid data keys: {names}");
    for (key, entry) in unknown {
        reader.complain(entry.key_span, path, &message).nearest(key, known.iter().copied());
    }
    let part = |key: &str| hash.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    let expand = part("expand").and_then(|node| reader.boolean(node, &format!("{path} config_expand")));
    let value = part("value");
    if let Some(node) = value.filter(|node| node.scalar().is_none()) {
        reader.complain(node.span, &format!("{path} config_value"), "must be a scalar");
    }
    if let Some(node) = part("description").filter(|node| !node.is_alphanumeric()) {
        reader.complain(node.span, &format!("{path} config_description"), "must be an alphanumeric string");
    }
    if let Some(node) = part("options") {
        let options = reader.list(node, &format!("{path} config_options"));
        // A number is not equal to its text form.
        let text = value.and_then(Node::string);
        if !options.is_empty() && !options.iter().any(|option| Some(&*option.value) == text) {
            reader.complain(node.span, path, "config value must be present in options");
        }
    }
    // The key counts, even without a value: `!nil` of `value_with_data`.
    let expand = expand.unwrap_or_else(|| !hash.get("expand").is_some_and(|entry| entry.value.is_null()));
    (Some(value.and_then(Node::scalar).unwrap_or_default().into()), expand)
}
