//! `only` and `except`. `entry/policy.rb`, <https://docs.gitlab.com/ci/yaml/deprecated_keywords/>

use std::sync::Arc;

use super::reader::{Reader, Text};
use super::rules::Changes;
use crate::expression::Expression;
use crate::expression::pattern::Pattern;
use crate::source::Span;
use crate::yaml::node::Node;

/// The value of `only` or `except`. A job is included if all keys of `only` match and no key of `except` does.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Where it is written. `None` for the default `only`.
    pub span: Option<Span>,
    /// `refs`.
    pub refs: Option<Vec<RefPattern>>,
    /// `kubernetes: active`.
    pub kubernetes: bool,
    /// `variables`: expressions, of which one must be true.
    pub variables: Option<Vec<(Arc<str>, Arc<Expression>)>>,
    /// `changes`.
    pub changes: Option<Changes>,
}

/// A condition on the ref or the source of a pipeline.
#[derive(Clone, Debug)]
pub struct RefPattern {
    /// The condition as written.
    pub text: Text,
    /// The regular expression, if it is one.
    pub pattern: Option<Pattern>,
    /// The path of the project after `@`, to which the condition is limited.
    pub project: Option<Arc<str>>,
}

impl Policy {
    /// Returns the default `only`: branches and tags. `entry/policy.rb`
    pub fn default_only(span: Span) -> Self {
        let word = |text: &str| RefPattern { text: Text { value: text.into(), span }, pattern: None, project: None };
        Self {
            span: None,
            refs: Some(vec![word("branches"), word("tags")]),
            kubernetes: false,
            variables: None,
            changes: None,
        }
    }
}

/// Reads the value of `keyword`, `only` or `except`. Returns `None` if it is invalid.
pub fn read(node: &Node, keyword: &str, reader: &mut Reader<'_>) -> Option<Policy> {
    let mut policy = Policy { span: Some(node.span), refs: None, kubernetes: false, variables: None, changes: None };
    if node.sequence().is_some() {
        policy.refs = Some(read_refs(node, keyword, reader));
        return Some(policy);
    }
    let Some(mapping) = node.mapping() else {
        reader.misfit(node.span, keyword, "has to be either an array of conditions or a hash");
        return None;
    };
    if mapping.is_empty() {
        reader.complain(node.span, keyword, "config can't be blank");
    }
    reader.known_keys(mapping, keyword, ["refs", "kubernetes", "variables", "changes"]);
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    // The clause of a key without a value never holds: `Array(nil)` in `lib/gitlab/ci/build/policy/`. A key `refs` without one replaces
    // the default.
    let is_empty = |key: &str| mapping.get(key).is_some_and(|entry| entry.value.is_null());
    policy.refs = value("refs").map(|node| read_refs(node, &format!("{keyword} refs"), reader));
    policy.refs = policy.refs.or_else(|| is_empty("refs").then(Vec::new));
    if let Some(entry) = mapping.get("kubernetes").filter(|entry| entry.value.is_null()) {
        // `lib/gitlab/ci/build/policy/kubernetes.rb` calls `to_sym`, which null does not have.
        let error = reader.diagnostics.error(entry.key_span, "Undefined error");
        error.help(format!("write `{keyword}: {{kubernetes: active}}`: GitLab fails if the key has no value"));
    }
    if let Some(node) = value("kubernetes") {
        let text = node.scalar().unwrap_or_default();
        policy.kubernetes = text == "active";
        if !policy.kubernetes {
            let error = reader.complain(node.span, &format!("{keyword} kubernetes"), &format!("unknown value: {text}"));
            error.help("the only value is `active`");
        }
    }
    if let Some(node) = value("variables") {
        policy.variables = Some(read_variables(node, &format!("{keyword} variables"), reader)?);
    }
    let no_changes = || is_empty("changes").then(|| Changes { paths: Vec::new(), compare_to: None });
    policy.variables = policy.variables.or_else(|| is_empty("variables").then(Vec::new));
    policy.changes =
        value("changes").and_then(|node| read_changes(node, &format!("{keyword} changes"), reader)).or_else(no_changes);
    Some(policy)
}

/// `variables_expressions_syntax` of `entry/policy.rb`
fn read_variables(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Vec<(Arc<str>, Arc<Expression>)>> {
    let Some(items) = node.sequence() else {
        reader.complain(node.span, path, "should be an array of strings");
        return None;
    };
    let mut conditions = Vec::new();
    for item in items {
        match item.string().map(|text| (text, Expression::parse(text))) {
            None => drop(reader.complain(item.span, path, "should be an array of strings")),
            Some((text, Ok(expression))) => conditions.push((text.into(), Arc::new(expression))),
            Some((text, Err(error))) => {
                let complaint = reader.complain(item.span, path, "invalid expression syntax");
                complaint.help(format!("{error} (in `{text}`)"));
            }
        }
    }
    Some(conditions)
}

/// Unlike `changes` of a rule, it has no form as a hash.
fn read_changes(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Changes> {
    if node.sequence().is_none() {
        let error = reader.complain(node.span, path, "should be an array of strings");
        if node.mapping().is_some() {
            error.help("`paths` and `compare_to` are keys of `rules:changes` only");
        }
        return None;
    }
    Some(Changes { paths: reader.list(node, path), compare_to: None })
}

/// `validate_string_or_regexp` of `validators.rb`
const NOT_A_REF: &str = "config should be an array of strings or regular expressions using re2 syntax";

fn read_refs(node: &Node, path: &str, reader: &mut Reader<'_>) -> Vec<RefPattern> {
    if node.sequence().is_none() {
        reader.complain(node.span, path, NOT_A_REF);
        return Vec::new();
    }
    let mut refs = Vec::new();
    for item in node.sequence().into_iter().flatten() {
        let Some(text) = item.string() else {
            reader.complain(item.span, path, NOT_A_REF);
            continue;
        };
        let text = Text { value: text.into(), span: item.span };
        // A text that does not have the form of a regular expression is a name, even if it starts with a slash.
        if let Some(Err(error)) = Pattern::find(&text.value) {
            reader.complain(text.span, path, NOT_A_REF).help(error.to_string());
            continue;
        }
        // The first `@` counts, even inside a regular expression, where `\x40` is a literal `@`. `matches_pattern?` of
        // `lib/gitlab/ci/build/policy/refs.rb`
        let (pattern, project) = match text.value.split_once('@') {
            Some((pattern, project)) => (pattern, Some(project.into())),
            None => (&*text.value, None),
        };
        let compiled = Pattern::find(pattern).and_then(Result::ok);
        refs.push(RefPattern { pattern: compiled, project, text: text.clone() });
    }
    refs
}

impl RefPattern {
    /// Returns the condition without its project.
    pub fn name(&self) -> &str {
        self.text.value.split_once('@').map_or(&*self.text.value, |(name, _)| name)
    }
}
