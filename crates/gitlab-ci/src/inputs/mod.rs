//! `spec:inputs`: the values that a file is given, and their defaults. `lib/ci/inputs/`
//!
//! `interpolate.rs` inserts the values into the file.

mod block;
mod interpolate;
mod rules;
mod values;

use std::sync::Arc;

pub use self::interpolate::interpolate;
pub use self::values::Inputs;
use self::values::text_of;
use crate::diagnostic::{self, Diagnostic, Diagnostics};
use crate::expression::pattern;
use crate::source::{Sources, Span};
use crate::yaml::header::TYPES;
use crate::yaml::node::{Entry, KeyKind, Mapping, Node, Value};

/// The maximum length of a regular expression, in bytes. Parsing one takes far more memory than its text.
const MAX_PATTERN_LENGTH: usize = 4096;

/// The source of the values of a file's inputs.
#[derive(Clone, Copy)]
pub enum GivenBy {
    /// The include at this position.
    Include(Span),
    /// The user who starts the pipeline.
    Pipeline,
}

/// The inputs of the pipeline itself, all of them strings. They are added to `sources` as a text `--input`, so that
/// errors in them have a position.
pub fn pipeline_inputs(given: &[(String, String)], sources: &mut Sources) -> Mapping {
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
        mapping.insert(name.as_str().into(), Entry { key_span, value, is_merged: false, key_kind: KeyKind::Text });
        start += line.len();
    }
    mapping
}

/// Returns the values of the inputs that the header `spec` declares: the `given` ones, otherwise the defaults. An input
/// without a valid value is reported and gets an empty string.
pub fn values(spec: &Node, given: &Mapping, by: GivenBy, diagnostics: &mut Diagnostics) -> Inputs {
    let mut inputs = Inputs::new();
    let declared = spec.get("inputs").and_then(Node::mapping);
    if let Some(include) = spec.mapping().and_then(|spec| spec.get("include")) {
        diagnostics.unsupported(include.key_span, "spec:include");
    }
    for (name, entry) in declared.into_iter().flatten() {
        let input = Input { name, entry, by, subject: "" };
        let empty = || Node::new(entry.key_span, Value::String("".into()));
        let value = input.value(given, &inputs, diagnostics).unwrap_or_else(empty);
        inputs.insert(name.to_string(), value);
    }
    let unknown = given.iter().filter(|(name, _)| declared.is_none_or(|declared| !declared.contains_key(*name)));
    let names = diagnostic::joined(unknown.clone().map(|(name, _)| &**name));
    let message = format!("unknown input arguments: {names}");
    for (name, entry) in unknown {
        let error = diagnostics.error(entry.key_span, message.as_str());
        error.nearest(name, declared.into_iter().flat_map(|declared| declared.keys().map(|key| &**key)));
    }
    inputs
}

/// An input that the header declares.
struct Input<'header> {
    name: &'header str,
    entry: &'header Entry,
    by: GivenBy,
    /// The job and the keyword that define the input. Empty for an input of a file.
    subject: &'header str,
}

/// Checks the default of an input of a job, whose messages begin with `subject`. `builder.validate_input_params!` in
/// `lib/gitlab/ci/config/entry/job.rb`
pub fn check_default(subject: &str, name: &str, entry: &Entry, diagnostics: &mut Diagnostics) {
    let input = Input { name, entry, by: GivenBy::Pipeline, subject };
    input.value(&Mapping::default(), &Inputs::new(), diagnostics);
}

impl Input<'_> {
    fn definition(&self) -> &Node {
        &self.entry.value
    }

    fn complain<'list>(&self, span: Span, message: &str, diagnostics: &'list mut Diagnostics) -> &'list mut Diagnostic {
        let name = self.name;
        let sentence = match self.subject {
            "" => format!("`{name}` input: {message}"),
            // An entry's sentence is in lower case: `lib/gitlab/config/entry/validator.rb`
            subject => format!("{subject} `{name}`: {message}").to_lowercase(),
        };
        diagnostics.error(span, sentence)
    }

    /// Returns the value of the input, or `None` if it has no valid one, which is reported. `resolved` contains the
    /// inputs declared before it.
    fn value(&self, given: &Mapping, resolved: &Inputs, diagnostics: &mut Diagnostics) -> Option<Node> {
        let Some(kind) = self.kind() else {
            self.report_unknown_kind(diagnostics);
            return None;
        };
        self.check_definition(kind, diagnostics);
        let rules = self.definition().get("rules").filter(|rules| !rules.is_null());
        let rule = rules.and_then(|rules| rules::first(rules, self.name, given, resolved, diagnostics));
        // `lib/ci/inputs/base_input.rb`: for an input with rules, an empty string counts as no value.
        let is_nothing = |value: &Node| value.is_null() || rules.is_some() && value.string() == Some("");
        let own = given.get(self.name).map(|entry| &entry.value).filter(|value| !is_nothing(value));
        let rule_default = rule.and_then(|rule| rule.get("default")).filter(|default| !default.is_null());
        let default = rule_default.or_else(|| self.definition().get("default"));
        if own.is_none() && default.is_none() && !rules.is_some_and(rules::any_has_default) {
            // GitLab reads no values if the header is invalid.
            if !rules.is_some_and(|rules| diagnostics.has_error_in(rules.span)) {
                self.report_missing(diagnostics);
            }
            return None;
        }
        let options = rule.and_then(|rule| rule.get("options")).or_else(|| self.definition().get("options"));
        // An invalid default is an error even where it is not used.
        let checked = default.filter(|default| !default.is_null() && !diagnostics.has_error_in(default.span));
        for (value, whose) in [(checked, "default"), (own, "provided")] {
            if let Some(value) = value {
                self.check(&coerced(value, kind), kind, options, whose, diagnostics)?;
            }
        }
        let nothing =
            Node::new(self.entry.key_span, if kind == "string" { Value::String("".into()) } else { Value::Null });
        Some(own.or(default).filter(|value| !value.is_null()).map_or(nothing, |value| coerced(value, kind)))
    }

    /// The type of the input. `None` if it is unknown: the check of the header or [`Self::report_unknown_kind`] reports that.
    fn kind(&self) -> Option<&'static str> {
        let Some(kind) = self.definition().get("type") else { return Some("string") };
        TYPES.into_iter().find(|known| kind.string() == Some(known))
    }

    /// Reports a type that the check of the header accepts and GitLab then refuses: null, or a symbol. `build_inputs!` of
    /// `lib/ci/inputs/builder.rb`
    fn report_unknown_kind(&self, diagnostics: &mut Diagnostics) {
        let node = self.definition().get("type").filter(|kind| !diagnostics.has_error_in(kind.span));
        if let Some(node) = node {
            let name = self.name;
            let message =
                format!("unknown input specification for `{name}` (valid types: array, boolean, number, string)");
            diagnostics.error(node.span, message);
        }
    }

    /// Reports keys that the type of the input does not have. `validate_regex!` and `validate_options!` of
    /// `lib/ci/inputs/base_input.rb`
    fn check_definition(&self, kind: &str, diagnostics: &mut Diagnostics) {
        let key = |key: &str| self.definition().mapping()?.get(key);
        if let Some(entry) = key("regex") {
            if kind != "string" {
                let message = "RegEx validation can only be used with string inputs";
                self.complain(entry.key_span, message, diagnostics);
            } else if entry.value.is_null() {
                let error = diagnostics.error(entry.key_span, "Undefined error");
                error.help("give `regex` a value, or remove it: GitLab fails if the key has no value");
            }
        }
        if let Some(entry) = key("options").filter(|entry| !entry.value.is_null())
            && matches!(kind, "boolean" | "array")
        {
            let message = "Options can only be used with string and number inputs";
            self.complain(entry.key_span, message, diagnostics);
        }
    }

    fn report_missing(&self, diagnostics: &mut Diagnostics) {
        let message = format!("`{}` input: required value has not been provided", self.name);
        match self.by {
            GivenBy::Include(span) => {
                let help = "set it under `inputs:` of the include, or declare a default";
                diagnostics.error(span, message).help(help);
            }
            GivenBy::Pipeline => {
                let help = format!("set it with --input {}=VALUE, or declare a default", self.name);
                diagnostics.error(self.entry.key_span, message).help(help);
            }
        }
    }

    /// Returns `None` if the value has the wrong type and is unusable.
    fn check(
        &self,
        value: &Node,
        kind: &str,
        options: Option<&Node>,
        whose: &str,
        diagnostics: &mut Diagnostics,
    ) -> Option<()> {
        let (is_right_type, word) = match kind {
            "number" => (value.kind() == "a number", "a number"),
            "boolean" => (value.kind() == "a boolean", "a boolean"),
            "array" => (value.sequence().is_some(), "an array"),
            _ => (value.string().is_some(), "a string"),
        };
        if !is_right_type {
            self.complain(value.span, &format!("{whose} value is not {word}"), diagnostics);
            return None;
        }
        let text = text_of(value);
        let options = options.and_then(Node::sequence);
        let is_option = |option: &Node| match kind {
            // Ruby's `==`: 1 equals 1.0.
            "number" => option.kind() == "a number" && number(option) == number(value),
            _ => text_of(option) == text,
        };
        if options.is_some_and(|options| !options.iter().any(is_option)) {
            // `lib/ci/inputs/number_input.rb`, `lib/ci/inputs/string_input.rb`
            let article = if kind == "number" { "the " } else { "" };
            let message = format!("`{text}` cannot be used because it is not in the list of {article}allowed options");
            self.complain(value.span, &message, diagnostics);
        }
        if let Some(regex) = self.definition().get("regex") {
            self.check_pattern(regex, &text, value.span, whose, diagnostics);
        }
        Some(())
    }

    /// Compares `text`, the value at `span`, with the pattern of the input.
    fn check_pattern(&self, regex: &Node, text: &str, span: Span, whose: &str, diagnostics: &mut Diagnostics) {
        let Some(pattern) = regex.string() else { return };
        if pattern.len() > MAX_PATTERN_LENGTH {
            let message =
                format!("the RegEx pattern is longer than the {MAX_PATTERN_LENGTH} bytes that this program supports");
            self.complain(regex.span, &message, diagnostics);
            return;
        }
        let message = match pattern::compile_bare(pattern) {
            Ok(compiled) if compiled.is_match(text) => return,
            Ok(_) => format!("{whose} value does not match required RegEx pattern"),
            Err(error) => {
                self.complain(regex.span, "invalid regular expression", diagnostics).help(error.to_string());
                return;
            }
        };
        let diagnostic = self.complain(span, &message, diagnostics);
        // GitLab compiles `regex` without delimiters (`lib/gitlab/untrusted_regexp.rb`); only expressions use `/…/`
        // (`untrusted_regexp/ruby_syntax.rb`).
        if let Some(bare) = pattern.strip_prefix('/').and_then(|it| it.strip_suffix('/')) {
            diagnostic.help(format!("slashes are a part of the pattern here; write it without them: {bare}"));
        }
    }
}

/// Converts a value to the type of its input. For a string input, any value but null becomes a string: Ruby's `to_s`. For other types, a
/// string is parsed as JSON, because the inputs of a pipeline are always strings. `coerced_value` of
/// `lib/ci/inputs/base_input.rb`
fn coerced(value: &Node, kind: &str) -> Node {
    let coerced = match (kind, &value.value) {
        ("string", Value::Null) => Value::Null,
        ("string", Value::Sequence(_) | Value::Mapping(_)) => Value::String(value.inspect().into()),
        ("string", _) => Value::String(text_of(value).into()),
        (_, Value::String(text) | Value::Symbol(text)) => {
            // The JSON parser refuses deeply nested values.
            serde_json::from_str(text).map_or_else(|_| value.value.clone(), |json| from_json(json, value.span))
        }
        (_, other) => other.clone(),
    };
    Node::new(value.span, coerced)
}

fn number(node: &Node) -> Option<f64> {
    node.scalar().and_then(|text| text.parse().ok())
}

fn from_json(json: serde_json::Value, span: Span) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Boolean(value),
        serde_json::Value::Number(number) if number.is_f64() => Value::Float(number.to_string().into()),
        serde_json::Value::Number(number) => Value::Integer(number.to_string().into()),
        serde_json::Value::String(text) => Value::String(text.into()),
        serde_json::Value::Array(items) => {
            Value::Sequence(items.into_iter().map(|item| Node::new(span, from_json(item, span))).collect())
        }
        serde_json::Value::Object(entries) => {
            let entry = |value| Entry {
                key_span: span,
                value: Node::new(span, from_json(value, span)),
                is_merged: false,
                key_kind: KeyKind::Text,
            };
            Value::Mapping(Arc::new(entries.into_iter().map(|(key, value)| (key.into(), entry(value))).collect()))
        }
    }
}

#[cfg(test)]
mod tests;
