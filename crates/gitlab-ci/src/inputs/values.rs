//! The values of inputs, and their text form.

use std::collections::BTreeMap;

use crate::yaml::node::{Node, Value};

/// The values of a file's inputs, by name.
pub type Inputs = BTreeMap<String, Node>;

/// The text form of a value: Ruby's `to_s`.
pub(super) fn text_of(value: &Node) -> String {
    match &value.value {
        Value::Null => String::new(),
        Value::Sequence(_) | Value::Mapping(_) => inspected(value),
        _ => value.scalar().unwrap_or_default().to_owned(),
    }
}

fn inspected(value: &Node) -> String {
    match &value.value {
        Value::Null | Value::Reference(_) => "nil".to_owned(),
        Value::String(text) => format!("{text:?}"),
        Value::Sequence(items) => format!("[{}]", items.iter().map(inspected).collect::<Vec<_>>().join(", ")),
        Value::Mapping(mapping) => {
            let entries = mapping.iter().map(|(key, entry)| format!(":{key}=>{}", inspected(&entry.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        _ => value.scalar().unwrap_or_default().to_owned(),
    }
}
