//! `inherit`. `entry/inherit.rb`, `entry/inherit/default.rb`, `entry/inherit/variables.rb`

use std::sync::Arc;

use super::keywords::DEFAULT;
use super::reader::{Reader, Text};
use crate::diagnostic;
use crate::yaml::node::{Node, Value};

/// The keywords or variables that a job inherits from the top level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inherit {
    /// All or none.
    All(bool),
    /// Those with these names.
    Names(Vec<Arc<str>>),
}

impl Inherit {
    /// Whether the job inherits `name`.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::All(all) => *all,
            Self::Names(names) => names.iter().any(|it| &**it == name),
        }
    }
}

/// Reads the keyword. Returns what the job inherits from `default`, and from `variables`.
pub fn read(node: Option<&Node>, reader: &mut Reader<'_>) -> (Inherit, Inherit) {
    let everything = (Inherit::All(true), Inherit::All(true));
    let Some(mapping) = node.and_then(|node| reader.hash(node, "inherit")) else { return everything };
    reader.known_keys(mapping, "inherit", ["default", "variables"]);
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    let mut one = |key: &str| value(key).map(|node| read_one(node, &format!("inherit:{key}"), reader));
    let (default, variables) = (one("default"), one("variables"));
    let unknown = default.iter().flat_map(|(_, names)| names).filter(|name| !DEFAULT.contains(&&*name.value));
    let names = diagnostic::joined(unknown.clone().map(|name| &*name.value));
    let message = format!("config contains unknown values: {names}");
    for name in unknown {
        reader.complain(name.span, "inherit:default", &message).nearest(&name.value, DEFAULT.iter().copied());
    }
    let inherit = |read: Option<(Inherit, _)>| read.map_or(Inherit::All(true), |(inherit, _)| inherit);
    (inherit(default), inherit(variables))
}

fn read_one(node: &Node, path: &str, reader: &mut Reader<'_>) -> (Inherit, Vec<Text>) {
    match node.value {
        Value::Boolean(all) => (Inherit::All(all), Vec::new()),
        Value::Sequence(_) => {
            let names = reader.list(node, path);
            (Inherit::Names(names.iter().map(|name| Arc::clone(&name.value)).collect()), names)
        }
        _ => {
            reader.misfit(node.span, path, "should be a bool or array of strings");
            (Inherit::All(true), Vec::new())
        }
    }
}
