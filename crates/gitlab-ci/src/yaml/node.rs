//! The nodes of the tree.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::diagnostic;
use crate::source::Span;

/// A value with its position. Cloning is cheap: all aliases of an anchor share its value.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where the value is written. For an alias, the position of its anchor.
    pub span: Span,
    /// The value.
    pub value: Value,
}

/// The kinds of values.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing: `~` or an empty value.
    Null,
    /// A boolean.
    Boolean(bool),
    /// An integer of any size, as text in base 10.
    Integer(Arc<str>),
    /// A floating-point number, as Ruby prints it.
    Float(Arc<str>),
    /// A string.
    String(Arc<str>),
    /// A Ruby symbol: `:b`. Some keywords accept it as a string.
    Symbol(Arc<str>),
    /// A list.
    Sequence(Arc<[Node]>),
    /// Keys and their values, in the order in which they are written.
    Mapping(Arc<Mapping>),
    /// `!reference [a, b]`, until it is resolved.
    Reference(Arc<[Arc<str>]>),
}

/// Keys and their values.
pub type Mapping = IndexMap<Arc<str>, Entry>;

/// A value of a mapping, with the position of its key.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where the key is written.
    pub key_span: Span,
    /// The value.
    pub value: Node,
    /// Whether the entry was merged by `<<`.
    pub is_merged: bool,
    /// The Ruby type of the key.
    pub key_kind: KeyKind,
}

/// The Ruby type of a key. For example, the key `on` is `true`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// A string or a symbol.
    Text,
    /// An integer.
    Integer,
    /// A floating-point number, a boolean, null, an array or a hash.
    Other,
}

impl Node {
    /// Creates a node.
    pub fn new(span: Span, value: Value) -> Self {
        Self { span, value }
    }

    /// Returns the entries of a mapping.
    pub fn mapping(&self) -> Option<&Mapping> {
        if let Value::Mapping(mapping) = &self.value { Some(mapping) } else { None }
    }

    /// Returns the items of a list.
    pub fn sequence(&self) -> Option<&[Node]> {
        if let Value::Sequence(items) = &self.value { Some(items) } else { None }
    }

    /// Returns the text of a string.
    pub fn string(&self) -> Option<&str> {
        if let Value::String(text) = &self.value { Some(text) } else { None }
    }

    /// Returns the text of a string or of a symbol. `validate_string` of
    /// `lib/gitlab/config/entry/legacy_validation_helpers.rb`
    pub fn text(&self) -> Option<&str> {
        if let Value::String(text) | Value::Symbol(text) = &self.value { Some(text) } else { None }
    }

    /// Whether the value is a string, a symbol or an integer. `AlphanumericValidator` of `lib/gitlab/config/entry/validators.rb`
    pub fn is_alphanumeric(&self) -> bool {
        matches!(self.value, Value::String(_) | Value::Symbol(_) | Value::Integer(_))
    }

    /// Adds all items of a list to `flat`, including those of nested lists. A node that is not a list is added itself.
    pub fn flatten<'node>(&'node self, flat: &mut Vec<&'node Self>) {
        match self.sequence() {
            Some(items) => items.iter().for_each(|item| item.flatten(flat)),
            None => flat.push(self),
        }
    }

    /// Returns the value of a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.mapping()?.get(key).map(|entry| &entry.value)
    }

    /// Whether the value is null.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Whether Ruby's `blank?` is true: for null, `false`, empty lists and hashes, and strings and symbols that contain only white space.
    pub fn is_blank(&self) -> bool {
        match &self.value {
            Value::Null | Value::Boolean(false) => true,
            Value::String(text) | Value::Symbol(text) => text.trim().is_empty(),
            Value::Sequence(items) => items.is_empty(),
            Value::Mapping(mapping) => mapping.is_empty(),
            _ => false,
        }
    }

    /// Returns the text of a scalar other than null, as GitLab's `to_s` does.
    pub fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Boolean(true) => Some("true"),
            Value::Boolean(false) => Some("false"),
            Value::Integer(text) | Value::Float(text) | Value::String(text) | Value::Symbol(text) => Some(text),
            Value::Null | Value::Sequence(_) | Value::Mapping(_) | Value::Reference(_) => None,
        }
    }

    /// Returns the value roughly as `inspect` of Ruby 3.3 writes it. Control characters, `#{` and symbols with spaces differ.
    pub fn inspect(&self) -> String {
        match &self.value {
            Value::Null => "nil".to_owned(),
            Value::Sequence(items) => format!("[{}]", items.iter().map(Self::inspect).collect::<Vec<_>>().join(", ")),
            Value::Mapping(mapping) => {
                let entry = |(key, entry): (&Arc<str>, &Entry)| {
                    let key = if entry.key_kind == KeyKind::Text { format!("{key:?}") } else { key.to_string() };
                    format!("{key}=>{}", entry.value.inspect())
                };
                format!("{{{}}}", mapping.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
            Value::String(text) => format!("{text:?}"),
            Value::Symbol(text) => format!(":{text}"),
            Value::Reference(path) => format!("!reference {path:?}"),
            _ => self.scalar().unwrap_or_default().to_owned(),
        }
    }

    /// The name of the kind in error messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Boolean(_) => "a boolean",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::String(_) => "a string",
            Value::Symbol(_) => "a symbol",
            Value::Sequence(_) => "an array",
            Value::Mapping(_) => "a hash",
            Value::Reference(_) => "a reference",
        }
    }

    /// Converts the node to JSON, for tests and debugging.
    pub fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Boolean(value) => (*value).into(),
            Value::Integer(text) => text.parse::<i64>().map_or_else(|_| (&**text).into(), Into::into),
            Value::Float(text) => text.parse::<f64>().map_or_else(|_| (&**text).into(), Into::into),
            Value::String(text) | Value::Symbol(text) => (&**text).into(),
            Value::Sequence(items) => items.iter().map(Self::json).collect(),
            Value::Mapping(mapping) => {
                mapping.iter().map(|(key, entry)| (key.to_string(), entry.value.json())).collect()
            }
            Value::Reference(path) => format!("!reference {path:?}").into(),
        }
    }
}

/// The keys of a hash that are not in `known`, and the names of all of them. GitLab's sentence about one has them all:
/// `AllowedKeysValidator` of `lib/gitlab/config/entry/validators.rb`
pub fn unknown_keys<'mapping>(
    mapping: &'mapping Mapping,
    known: &[&str],
) -> (Vec<(&'mapping str, &'mapping Entry)>, String) {
    let keys = mapping.iter().map(|(key, entry)| (&**key, entry));
    let unknown: Vec<_> = keys.filter(|(key, _)| !known.contains(key)).collect();
    let names = diagnostic::joined(unknown.iter().map(|(key, _)| *key));
    (unknown, names)
}
