//! `rules` of jobs, of `workflow` and of `include`. `entry/rules/rule.rb`

use std::sync::Arc;
use std::time::Duration;

use super::auto_cancel;
use super::limits::MAX_DELAY;
use super::needs::{self, Need};
use super::reader::{Reader, Spanned, Text};
use super::variables::{self, VariableScope, YamlVariable};
use super::when::{self, When};
use crate::expression::Expression;
use crate::gitlab_version::GitlabVersion;
use crate::source::Span;
use crate::yaml::node::{Mapping, Node};

/// A rule. It matches if all its clauses are true. A rule without clauses always matches.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Where it is written.
    pub span: Span,
    /// `if`: the text and the parsed expression.
    pub condition: Option<(Arc<str>, Arc<Expression>)>,
    /// `changes`.
    pub changes: Option<Changes>,
    /// `exists`: patterns, of which one must match a file.
    pub exists: Option<Vec<Text>>,
    /// `when`.
    pub when: Option<When>,
    /// `start_in`.
    pub start_in: Option<Spanned<Duration>>,
    /// `allow_failure`.
    pub allow_failure: Option<bool>,
    /// `variables`.
    pub variables: Vec<YamlVariable>,
    /// `needs`, which replace the needs of the job.
    pub needs: Option<Vec<Need>>,
    /// `interruptible`.
    pub interruptible: Option<bool>,
    /// Whether `when` is the only key of the rule.
    pub is_bare_when: bool,
}

/// `changes` of a rule or of `only` and `except`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Patterns, of which one must match a changed file.
    pub paths: Vec<Text>,
    /// The ref to compare with.
    pub compare_to: Option<Text>,
}

/// The keyword to which a list of rules belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A job.
    Job,
    /// `workflow`.
    Workflow,
    /// An entry of `include`.
    Include,
    /// An entry of `trigger:include`.
    IncludeOfTrigger,
}

impl Owner {
    /// The beginning of messages about the list.
    fn list(self) -> &'static str {
        match self {
            Self::IncludeOfTrigger => "trigger:include:include:rules",
            _ => "rules",
        }
    }

    /// The beginning of messages about a rule.
    fn rule(self) -> &'static str {
        match self {
            Self::IncludeOfTrigger => "trigger:include:include:rules:rule",
            // `lib/gitlab/ci/config/external/rules.rb` gives its list no key.
            Self::Include => "rule",
            Self::Job | Self::Workflow => "rules:rule",
        }
    }

    fn is_include(self) -> bool {
        matches!(self, Self::Include | Self::IncludeOfTrigger)
    }
}

/// The maximum number of paths of `changes` and of `exists`.
const MAX_PATHS: usize = 50;

/// Reads a list of rules, which may be nested because of `!reference`. Reports and skips rules that are not hashes.
pub fn read(node: &Node, owner: Owner, reader: &mut Reader<'_>) -> Vec<Rule> {
    let mut flat = Vec::new();
    node.flatten(&mut flat);
    // A list that contains only empty lists is valid, and has no rules.
    if node.is_blank() && (owner != Owner::Job || node.sequence().is_some()) {
        reader.complain(node.span, owner.list(), "config can't be blank");
    }
    if node.sequence().is_none() {
        match owner {
            Owner::Job => list_error(node.span, reader),
            _ => drop(reader.complain(node.span, owner.list(), "config should be an array")),
        }
        return Vec::new();
    }
    let mut rules = Vec::new();
    for rule in flat {
        match rule.mapping() {
            Some(mapping) => rules.push(read_rule(rule, mapping, owner, reader)),
            None if owner == Owner::Job => list_error(rule.span, reader),
            None if rule.is_null() => {
                // `lib/gitlab/ci/build/rules/rule.rb` calls `each`, which null does not have.
                let error = reader.diagnostics.error(rule.span, "Undefined error");
                error.help("remove the empty item: GitLab fails to evaluate it");
            }
            None => drop(reader.complain(rule.span, owner.rule(), "config should be a hash")),
        }
    }
    rules
}

/// `NestedArrayOfHashesOrArraysValidator`, of `rules` in `entry/processable.rb`
fn list_error(span: Span, reader: &mut Reader<'_>) {
    reader.complain(span, " rules", "config should be an array containing hashes and arrays of hashes");
}

fn read_rule(node: &Node, mapping: &Mapping, owner: Owner, reader: &mut Reader<'_>) -> Rule {
    let path = owner.rule();
    let known: &[&str] = match owner {
        Owner::Job => {
            &["if", "changes", "exists", "when", "start_in", "allow_failure", "variables", "needs", "interruptible"]
        }
        Owner::Workflow => {
            &["if", "changes", "exists", "when", "variables", "auto_cancel", "start_in", "allow_failure", "needs"]
        }
        Owner::Include | Owner::IncludeOfTrigger => &["if", "changes", "exists", "when"],
    };
    reader.known_keys(mapping, path, known.iter().copied());
    if mapping.is_empty() {
        reader.complain(node.span, path, "config can't be blank");
    }
    let values = if owner == Owner::Job { when::RULE_VALUES } else { when::WORKFLOW_VALUES };
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    let when = value("when").and_then(|node| read_when(node, path, values, reader));
    let start_in = value("start_in").filter(|_| !owner.is_include());
    let start_in = start_in.and_then(|node| reader.duration(node, "rules:rule start_in", Some(MAX_DELAY)));
    if !owner.is_include() {
        match mapping.get("start_in") {
            Some(entry) if when != Some(When::Delayed) => {
                reader.complain(entry.key_span, path, "config contains disallowed keys: start_in");
            }
            _ if when == Some(When::Delayed) && value("start_in").is_none() => {
                let error = reader.complain(node.span, "rules:rule start_in", "can't be blank");
                error.help("write the delay, such as `start_in: 30 minutes`");
            }
            _ => {}
        }
    }
    if let Some(entry) = mapping.get("auto_cancel").filter(|entry| owner == Owner::Workflow && !entry.value.is_null()) {
        auto_cancel::read(&entry.value, "rules:rule:auto_cancel", reader);
        reader.diagnostics.unsupported(entry.key_span, "workflow:rules:auto_cancel");
    }
    let of_job = |key: &str| value(key).filter(|_| !owner.is_include());
    let changes = value("changes").filter(|node| !is_regexp(node, "changes", path, reader));
    let exists = value("exists").filter(|node| !is_regexp(node, "exists", path, reader));
    let mut set_keys = mapping.iter().filter(|(_, entry)| !entry.value.is_null()).map(|(key, _)| &**key);
    let is_bare_when = set_keys.next() == Some("when") && set_keys.next().is_none();
    Rule {
        is_bare_when,
        span: node.span,
        condition: value("if").and_then(|node| read_condition(node, path, reader)),
        changes: changes.and_then(|node| read_changes(node, &format!("{path}:changes"), reader)),
        exists: exists.map(|node| read_exists(node, owner, reader)),
        when,
        start_in,
        // The entry does not have these keys, which is reported.
        allow_failure: of_job("allow_failure").and_then(|node| reader.boolean(node, "rules:rule allow_failure")),
        variables: of_job("variables")
            .map(|node| variables::read(node, VariableScope::Plain, "rules:rule:variables", reader))
            .unwrap_or_default(),
        needs: of_job("needs")
            .map(|node| needs::read(node, "rules:rule:needs", needs::Owner::Rule, reader))
            // Those of the workflow are validated only.
            .filter(|_| owner == Owner::Job),
        interruptible: of_job("interruptible").and_then(|node| reader.boolean(node, "rules:rule interruptible")),
    }
}

fn read_when(node: &Node, path: &str, words: &[(&str, When)], reader: &mut Reader<'_>) -> Option<When> {
    // `allowed_values` compares `to_s`.
    let text = node.scalar().map_or_else(|| node.inspect(), str::to_owned);
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, when)| *when);
    if found.is_none() {
        let error = reader.complain(node.span, path, &format!("when unknown value: {text}"));
        error.help(format!("one of {}", words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")));
    }
    found
}

/// Reads an expression and returns its text and its parsed form. `path` is the keyword for error messages.
fn read_condition(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<(Arc<str>, Arc<Expression>)> {
    let Some(text) = node.string() else {
        let error = reader.complain(node.span, path, "if invalid expression syntax");
        error.help("an expression is a string");
        return None;
    };
    match Expression::parse(text) {
        Ok(expression) => Some((text.into(), Arc::new(expression))),
        Err(error) => {
            let diagnostic = reader.complain(node.span, path, "if invalid expression syntax");
            diagnostic.help(format!("{error} (in `{text}`)"));
            None
        }
    }
}

/// The maximum length of `regexp`, in characters: `REGEXP_MAX_LENGTH`.
const MAX_REGEXP: usize = 255;

/// Checks a clause with `regexp`. Returns whether the clause has this keyword. In GitLab 19.2, it needs the feature flag
/// `ci_rules_regexp`; unless an administrator sets the flag, such a clause always holds.
/// <https://docs.gitlab.com/ci/yaml/#ruleschangesregexp>
fn is_regexp(clause: &Node, keyword: &str, path: &str, reader: &mut Reader<'_>) -> bool {
    let Some((mapping, entry)) = clause.mapping().and_then(|mapping| Some((mapping, mapping.get("regexp")?))) else {
        return false;
    };
    let path = format!("{path}:{keyword}");
    let others: &[&str] = if keyword == "changes" { &["compare_to"] } else { &["project", "ref"] };
    reader.known_keys(mapping, &path, others.iter().copied().chain(["paths", "regexp"]));
    reader.diagnostics.since(GitlabVersion::new(19, 2), entry.key_span, &format!("rules:{keyword}:regexp"));
    if mapping.contains_key("paths") {
        reader.complain(entry.key_span, &path, "config must use exactly one of these keys: paths, regexp");
    }
    for key in others.iter().copied().chain(["regexp"]) {
        let Some(value) = mapping.get(key).map(|entry| &entry.value).filter(|value| !value.is_null()) else { continue };
        let text = reader.string(value, &format!("{path} {key}"));
        if key == "regexp" && text.is_some_and(|text| text.value.chars().count() > MAX_REGEXP) {
            let message = format!("is too long (maximum is {MAX_REGEXP} characters)");
            reader.complain(value.span, &format!("{path} regexp"), &message);
        }
    }
    let warning = reader.diagnostics.unsupported(entry.key_span, &format!("rules:{keyword}:regexp"));
    warning.help("the clause always holds, as in GitLab without the feature flag `ci_rules_regexp`");
    true
}

/// Reads `changes`: a list of patterns, or a hash with `paths`.
fn read_changes(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Changes> {
    let changes = match node.mapping() {
        None if node.sequence().is_none() => {
            reader.misfit(node.span, path, "should be an array or a hash");
            return None;
        }
        None => Changes { paths: reader.list(node, path), compare_to: None },
        Some(mapping) => {
            reader.known_keys(mapping, path, ["paths", "compare_to"]);
            let Some(paths) = mapping.get("paths") else {
                reader.complain(node.span, path, "config missing required keys: paths");
                return None;
            };
            Changes {
                paths: reader.list(&paths.value, &format!("{path} paths")),
                compare_to: mapping
                    .get("compare_to")
                    .filter(|entry| !entry.value.is_null())
                    .and_then(|entry| reader.string(&entry.value, &format!("{path} compare_to"))),
            }
        }
    };
    if changes.paths.len() > MAX_PATHS {
        let path = if node.mapping().is_some() { format!("{path} paths") } else { path.to_owned() };
        reader.complain(node.span, &path, &format!("config has too many entries (maximum {MAX_PATHS})"));
    }
    Some(changes)
}

fn read_exists(node: &Node, owner: Owner, reader: &mut Reader<'_>) -> Vec<Text> {
    let path = &*format!("{}:exists", owner.rule());
    let paths = match node.mapping() {
        None => node,
        Some(mapping) if mapping.is_empty() => node,
        Some(mapping) => {
            reader.known_keys(mapping, path, ["paths", "project", "ref"]);
            other_project(mapping, path, reader);
            let Some(entry) = mapping.get("paths") else {
                reader.complain(node.span, path, "config missing required keys: paths");
                return Vec::new();
            };
            if !entry.value.is_null() && entry.value.sequence().is_none() {
                reader.complain(entry.value.span, &format!("{path} paths"), "should be an array of strings");
                return Vec::new();
            }
            &entry.value
        }
    };
    if paths.is_null() {
        return Vec::new();
    }
    // `SimpleExists` of `entry/rules/rule/exists.rb`
    if std::ptr::eq(paths, node) && node.is_blank() {
        return Vec::new();
    }
    if paths.sequence().is_none() && paths.string().is_none() {
        reader.misfit(paths.span, path, "should be a string, an array of strings, or a hash");
        return Vec::new();
    }
    let path = if node.mapping().is_some() { format!("{path} paths") } else { path.to_owned() };
    let texts = match paths.sequence() {
        Some(_) => reader.list(paths, &path),
        None => reader.strings(paths, &path),
    };
    // `disable_simple_exists_paths_limit` of `entry/include/rules/rule.rb`
    let is_limited = !owner.is_include() || node.mapping().is_some();
    if is_limited && texts.len() > MAX_PATHS {
        reader.complain(paths.span, &path, &format!("config has too many entries (maximum {MAX_PATHS})"));
    }
    texts
}

/// `ComplexExists` of `entry/rules/rule/exists.rb`
fn other_project(mapping: &Mapping, path: &str, reader: &mut Reader<'_>) {
    let is_set = |key: &str| mapping.get(key).is_some_and(|entry| !entry.value.is_null());
    if let Some(entry) = mapping.get("ref").filter(|_| is_set("ref") && !mapping.contains_key("project")) {
        reader.complain(entry.key_span, path, "config missing required keys: project");
    }
    for key in ["project", "ref"] {
        if let Some(entry) = mapping.get(key).filter(|entry| !entry.value.is_null()) {
            reader.string(&entry.value, &format!("{path} {key}"));
        }
    }
    if let Some(entry) = mapping.get("project") {
        let warning = reader.diagnostics.unsupported(entry.key_span, "rules:exists:project");
        warning.help("the files of another project are not available; the paths are looked up in this project");
    }
}

impl Rule {
    /// Whether the rule has a clause.
    pub fn has_clauses(&self) -> bool {
        self.condition.is_some() || self.changes.is_some() || self.exists.is_some()
    }
}
