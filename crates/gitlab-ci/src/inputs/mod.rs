//! `spec:inputs`: what a file is given, and what it takes if it is given nothing. `lib/ci/inputs/`
//!
//! Where it is put into the file: `interpolate.rs`.

mod block;
mod interpolate;
mod rules;
mod values;

use std::sync::Arc;

pub use self::interpolate::interpolate;
pub use self::values::Inputs;
use self::values::text_of;
use crate::diagnostic::Diagnostics;
use crate::source::Sources;
use crate::source::Span;
use crate::yaml::header::TYPES;
use crate::yaml::node::Entry;
use crate::yaml::node::Mapping;
use crate::yaml::node::Node;
use crate::yaml::node::Value;

/// The longest regular expression, in bytes: reading one takes far more space than it has itself.
const LONGEST_PATTERN: usize = 4096;

/// Who gives values to a file.
#[derive(Clone, Copy)]
pub enum GivenBy {
    /// The include at that place.
    Include(Span),
    /// Whoever starts the pipeline.
    Pipeline,
}

/// What the pipeline itself is given, each as text: as a file, so that what is wrong with it has a place.
pub fn of_pipeline(given: &[(String, String)], sources: &mut Sources) -> Mapping {
    if given.is_empty() {
        return Mapping::default();
    }
    let lines: Vec<String> = given.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let file = sources.add("--input", &lines.concat());
    let mut start = 0;
    let mut mapping = Mapping::default();
    for ((name, value), line) in given.iter().zip(&lines) {
        let byte = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let key_span = Span { file, start: byte(start), end: byte(start + name.len()) };
        let span = Span { file, start: byte(start + name.len() + 1), end: byte(start + line.len() - 1) };
        let value = Node::new(span, Value::String(value.as_str().into()));
        mapping.insert(name.as_str().into(), Entry { key_span, value, is_merged: false });
        start += line.len();
    }
    mapping
}

/// The values for the header `spec`, of what is `given` and else of its defaults. One that is wrong, and told, is empty.
pub fn values(spec: &Node, given: &Mapping, by: GivenBy, diagnostics: &mut Diagnostics) -> Inputs {
    let mut inputs = Inputs::new();
    let declared = spec.get("inputs").and_then(Node::mapping);
    if let Some(include) = spec.mapping().and_then(|spec| spec.get("include")) {
        diagnostics.warning(include.key_span, "understood, not replayed: spec:include");
    }
    for (name, entry) in declared.into_iter().flatten() {
        let input = Input { name, entry, by };
        let empty = || Node::new(entry.key_span, Value::String("".into()));
        let value = input.value(given, &inputs, diagnostics).unwrap_or_else(empty);
        inputs.insert(name.to_string(), value);
    }
    for (name, entry) in given.iter().filter(|(name, _)| declared.is_none_or(|declared| !declared.contains_key(*name)))
    {
        let error = diagnostics.error(entry.key_span, format!("unknown input arguments: {name}"));
        error.nearest(name, declared.into_iter().flat_map(|declared| declared.keys().map(|key| &**key)));
    }
    inputs
}

/// One that the header declares.
struct Input<'header> {
    name: &'header str,
    entry: &'header Entry,
    by: GivenBy,
}

impl Input<'_> {
    fn definition(&self) -> &Node {
        &self.entry.value
    }

    fn complain(&self, span: Span, message: &str, diagnostics: &mut Diagnostics) {
        diagnostics.error(span, format!("`{}` input: {message}", self.name));
    }

    /// Its value. Where it has none that can be used, that is told. `resolved` are those before it.
    fn value(&self, given: &Mapping, resolved: &Inputs, diagnostics: &mut Diagnostics) -> Option<Node> {
        let kind = self.kind()?;
        let rules = self.definition().get("rules");
        let rule = rules.and_then(|rules| rules::first(rules, self.name, given, resolved, diagnostics));
        // `lib/ci/inputs/base_input.rb`: an empty text is nothing to an input with rules.
        let is_nothing = |value: &Node| value.is_null() || rules.is_some() && value.string() == Some("");
        let own = given.get(self.name).map(|entry| &entry.value).filter(|value| !is_nothing(value));
        let of_rule = rule.and_then(|rule| rule.get("default")).filter(|default| !default.is_null());
        let default = of_rule.or_else(|| self.definition().get("default"));
        if own.is_none() && default.is_none() && !rules.is_some_and(rules::have_default) {
            self.tell_missing(diagnostics);
            return None;
        }
        let options = rule.and_then(|rule| rule.get("options")).or_else(|| self.definition().get("options"));
        // A default that is wrong is wrong even where it is not taken.
        for (value, whose) in [(default.filter(|default| !default.is_null()), "default"), (own, "provided")] {
            if let Some(value) = value {
                self.check(&coerced(value, kind), kind, options, whose, diagnostics)?;
            }
        }
        let nothing =
            Node::new(self.entry.key_span, if kind == "string" { Value::String("".into()) } else { Value::Null });
        Some(own.or(default).filter(|value| !value.is_null()).map_or(nothing, |value| coerced(value, kind)))
    }

    /// Its type; nothing where it is none, which is told with the rest of the header.
    fn kind(&self) -> Option<&'static str> {
        let Some(kind) = self.definition().get("type").filter(|kind| !kind.is_null()) else { return Some("string") };
        TYPES.into_iter().find(|known| kind.scalar() == Some(known))
    }

    fn tell_missing(&self, diagnostics: &mut Diagnostics) {
        let message = format!("`{}` input: required value has not been provided", self.name);
        match self.by {
            GivenBy::Include(span) => {
                let help = "give it under `inputs:` of the include, or give it a default";
                diagnostics.error(span, message).help(help);
            }
            GivenBy::Pipeline => {
                let help = format!("give it by --input {}=VALUE, or give it a default", self.name);
                diagnostics.error(self.entry.key_span, message).help(help);
            }
        }
    }

    /// Nothing if the value cannot be used at all.
    fn check(
        &self,
        value: &Node,
        kind: &str,
        options: Option<&Node>,
        whose: &str,
        diagnostics: &mut Diagnostics,
    ) -> Option<()> {
        let (fits, word) = match kind {
            "number" => (value.kind() == "a number", "a number"),
            "boolean" => (value.kind() == "a boolean", "a boolean"),
            "array" => (value.sequence().is_some(), "an array"),
            _ => (value.string().is_some(), "a string"),
        };
        if !fits {
            self.complain(value.span, &format!("{whose} value is not {word}"), diagnostics);
            return None;
        }
        let text = text_of(value);
        let options = options.and_then(Node::sequence);
        if options.is_some_and(|options| !options.iter().any(|option| text_of(option) == text)) {
            let message = format!("`{text}` cannot be used because it is not in the list of allowed options");
            self.complain(value.span, &message, diagnostics);
        }
        if let Some(pattern) = self.definition().get("regex").and_then(Node::string) {
            self.check_pattern(pattern, &text, value.span, whose, diagnostics);
        }
        Some(())
    }

    fn check_pattern(&self, pattern: &str, text: &str, span: Span, whose: &str, diagnostics: &mut Diagnostics) {
        // With or without slashes around it.
        let bare = pattern.strip_prefix('/').and_then(|it| it.strip_suffix('/')).unwrap_or(pattern);
        if bare.len() > LONGEST_PATTERN {
            let message = format!("its RegEx pattern is longer than {LONGEST_PATTERN} bytes");
            self.complain(span, &message, diagnostics);
            return;
        }
        let message = match regex::RegexBuilder::new(bare).size_limit(1 << 20).build() {
            Ok(compiled) if compiled.is_match(text) => return,
            Ok(_) => format!("{whose} value does not match required RegEx pattern"),
            Err(error) => format!("its RegEx pattern cannot be used: {error}"),
        };
        self.complain(span, &message, diagnostics);
    }
}

/// A value as its input has it: a string of whatever is no structure, anything else of the JSON in a text, which is all that
/// whoever starts a pipeline can write. `coerced_value` of `lib/ci/inputs/base_input.rb`
fn coerced(value: &Node, kind: &str) -> Node {
    let coerced = match (kind, &value.value) {
        ("string", other) => value.scalar().map_or_else(|| other.clone(), |text| Value::String(text.into())),
        (_, Value::String(text)) => {
            // Deep ones are refused by the reader of JSON.
            serde_json::from_str(text).map_or_else(|_| value.value.clone(), |json| of_json(json, value.span))
        }
        (_, other) => other.clone(),
    };
    Node::new(value.span, coerced)
}

fn of_json(json: serde_json::Value, span: Span) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Boolean(value),
        serde_json::Value::Number(number) if number.is_f64() => Value::Float(number.to_string().into()),
        serde_json::Value::Number(number) => Value::Integer(number.to_string().into()),
        serde_json::Value::String(text) => Value::String(text.into()),
        serde_json::Value::Array(items) => {
            Value::Sequence(items.into_iter().map(|item| Node::new(span, of_json(item, span))).collect())
        }
        serde_json::Value::Object(entries) => {
            let entry =
                |value| Entry { key_span: span, value: Node::new(span, of_json(value, span)), is_merged: false };
            Value::Mapping(Arc::new(entries.into_iter().map(|(key, value)| (key.into(), entry(value))).collect()))
        }
    }
}

#[cfg(test)]
mod tests;
