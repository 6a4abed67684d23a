//! The tree.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::source::Span;

/// A value with its place. Cloning one is cheap: an anchor's value is the same one wherever it is used.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it is written: for an alias, where its anchor is.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing.
    Null,
    /// Yes or no.
    Boolean(bool),
    /// A whole number, as text in base 10: they may be of any size.
    Integer(Arc<str>),
    /// Another number, as Ruby prints it.
    Float(Arc<str>),
    /// Anything else that is written without structure.
    String(Arc<str>),
    /// A list.
    Sequence(Arc<[Node]>),
    /// Keys and their values, in the order of writing.
    Mapping(Arc<Mapping>),
    /// `!reference [a, b]`, until it is resolved.
    Reference(Arc<[Arc<str>]>),
}

/// Keys and their values.
pub type Mapping = IndexMap<Arc<str>, Entry>;

/// A value of a mapping.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where its key is written.
    pub key_span: Span,
    /// It.
    pub value: Node,
    /// Whether it came by `<<`.
    pub is_merged: bool,
}

impl Node {
    /// A node of that place.
    pub fn new(span: Span, value: Value) -> Self {
        Self { span, value }
    }

    /// Its entries, if it is a mapping.
    pub fn mapping(&self) -> Option<&Mapping> {
        if let Value::Mapping(mapping) = &self.value { Some(mapping) } else { None }
    }

    /// Its items, if it is a list.
    pub fn sequence(&self) -> Option<&[Node]> {
        if let Value::Sequence(items) = &self.value { Some(items) } else { None }
    }

    /// It, if it is a string.
    pub fn string(&self) -> Option<&str> {
        if let Value::String(text) = &self.value { Some(text) } else { None }
    }

    /// Its items that are no lists, and those of the lists in it; or itself.
    pub fn flatten<'node>(&'node self, flat: &mut Vec<&'node Self>) {
        match self.sequence() {
            Some(items) => items.iter().for_each(|item| item.flatten(flat)),
            None => flat.push(self),
        }
    }

    /// The value of a key, if it is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.mapping()?.get(key).map(|entry| &entry.value)
    }

    /// Whether there is nothing.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Whether there is nothing in it: what Ruby's `blank?` says.
    pub fn is_blank(&self) -> bool {
        match &self.value {
            Value::Null | Value::Boolean(false) => true,
            Value::String(text) => text.trim().is_empty(),
            Value::Sequence(items) => items.is_empty(),
            Value::Mapping(mapping) => mapping.is_empty(),
            _ => false,
        }
    }

    /// Its text, if it is no structure: what GitLab's `to_s` gives.
    pub fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Boolean(true) => Some("true"),
            Value::Boolean(false) => Some("false"),
            Value::Integer(text) | Value::Float(text) | Value::String(text) => Some(text),
            Value::Null | Value::Sequence(_) | Value::Mapping(_) | Value::Reference(_) => None,
        }
    }

    /// What it is, in the words of messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Boolean(_) => "a boolean",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::String(_) => "a string",
            Value::Sequence(_) => "an array",
            Value::Mapping(_) => "a hash",
            Value::Reference(_) => "a reference",
        }
    }

    /// The same as JSON, for tests and for people.
    pub fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Boolean(value) => (*value).into(),
            Value::Integer(text) => text.parse::<i64>().map_or_else(|_| (&**text).into(), Into::into),
            Value::Float(text) => text.parse::<f64>().map_or_else(|_| (&**text).into(), Into::into),
            Value::String(text) => (&**text).into(),
            Value::Sequence(items) => items.iter().map(Self::json).collect(),
            Value::Mapping(mapping) => {
                mapping.iter().map(|(key, entry)| (key.to_string(), entry.value.json())).collect()
            }
            Value::Reference(path) => format!("!reference {path:?}").into(),
        }
    }
}
