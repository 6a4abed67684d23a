//! Decides whether a job is in a pipeline, how it runs, and why: by `rules`, otherwise by `only` and `except`.
//!
//! `lib/gitlab/ci/build/rules.rb`, `lib/gitlab/ci/build/policy/`

use std::time::Duration;

use super::context::{Context, RefKind};
use crate::config::job::Job;
use crate::config::needs::Need;
use crate::config::policy::{Policy, RefPattern};
use crate::config::reader::{Spanned, Text};
use crate::config::rules::{Changes, Rule};
use crate::config::variables::YamlVariable;
use crate::config::when::{AllowFailure, When};
use crate::expression::Variables;
use crate::source::Span;

/// The data that rules and policies are evaluated with.
pub struct Situation<'situation> {
    /// The ref and the source of the pipeline.
    pub context: &'situation Context,
    /// The variables that expressions read.
    pub variables: &'situation dyn Variables,
    /// Expands the variables in patterns. Unknown ones stay as written.
    pub expanded: &'situation dyn Fn(&[Text]) -> Vec<String>,
    /// Whether one of these patterns matches one of these files.
    pub matches: &'situation dyn Fn(&[String], &[String]) -> bool,
    /// Whether one of these patterns matches a file of the commit.
    pub exists: &'situation dyn Fn(&[String]) -> bool,
    /// Whether one of these patterns matches a changed file.
    pub changed: &'situation dyn Fn(&[String]) -> bool,
    /// The files that differ from the ref in `compare_to`, or `None` if that is unknown.
    pub compare: &'situation dyn Fn(&Text) -> Option<Vec<String>>,
}

/// How a job of the pipeline runs.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// When the job runs.
    pub when: When,
    /// Whether the job may fail.
    pub allow_failure: AllowFailure,
    /// The delay of a delayed job.
    pub start_in: Option<Spanned<Duration>>,
    /// The needs of the matching rule, which replace those of the job.
    pub needs: Option<Vec<Need>>,
    /// The variables of the matching rule.
    pub variables: Vec<YamlVariable>,
    /// Why the job is in the pipeline.
    pub reason: Reason,
}

/// Why a job is in a pipeline or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The reason, which quotes the file.
    pub text: String,
    /// The position of the rule or policy in the file.
    pub span: Option<Span>,
}

impl Reason {
    pub(super) fn new(text: impl Into<String>, span: Option<Span>) -> Self {
        Self { text: text.into(), span }
    }
}

/// Decides whether `job` is in the pipeline. If the file has `workflow:rules`, jobs have no default `only`.
///
/// # Errors
/// The job is not in the pipeline. The error is the reason.
pub fn admit(job: &Job, situation: &Situation<'_>, has_workflow_rules: bool) -> Result<Admitted, Reason> {
    match &job.rules {
        Some(rules) => evaluate_rules(job, rules, situation),
        None => evaluate_policies(job, situation, has_workflow_rules || !job.has_default_only),
    }
}

/// Returns the first rule whose clauses are all true.
pub fn first_rule<'rules>(rules: &'rules [Rule], situation: &Situation<'_>) -> Option<&'rules Rule> {
    rules.iter().find(|rule| holds(rule, situation))
}

fn evaluate_rules(job: &Job, rules: &[Rule], situation: &Situation<'_>) -> Result<Admitted, Reason> {
    let Some(rule) = first_rule(rules, situation) else {
        return Err(Reason::new("no rule matches", rules.first().map(|rule| rule.span)));
    };
    let reason = Reason::new(describe(rule), Some(rule.span));
    let when = rule.when.or(job.when).unwrap_or(When::OnSuccess);
    if when == When::Never {
        return Err(reason);
    }
    Ok(Admitted {
        when,
        allow_failure: rule.allow_failure.map_or_else(|| own_allow_failure(job), AllowFailure::Fixed),
        start_in: rule.start_in.or(job.start_in),
        // With an empty list, the job keeps its own needs.
        needs: rule.needs.clone().filter(|needs| !needs.is_empty()),
        variables: rule.variables.clone(),
        reason,
    })
}

/// The default is true for a job whose own `when` is `manual`. `entry/job.rb`, `ignored?`
fn own_allow_failure(job: &Job) -> AllowFailure {
    job.allow_failure.clone().unwrap_or(AllowFailure::Fixed(job.when == Some(When::Manual)))
}

fn holds(rule: &Rule, situation: &Situation<'_>) -> bool {
    let condition = || rule.condition.as_ref().is_none_or(|(_, expression)| expression.evaluate(situation.variables));
    let changes = || rule.changes.as_ref().is_none_or(|changes| have_changed(changes, situation));
    let exists = || rule.exists.as_ref().is_none_or(|paths| (situation.exists)(&(situation.expanded)(paths)));
    condition() && changes() && exists()
}

/// `lib/gitlab/ci/build/rules/rule/clause/changes.rb`: if the changed files are unknown, the clause is true.
fn have_changed(changes: &Changes, situation: &Situation<'_>) -> bool {
    let patterns = (situation.expanded)(&changes.paths);
    match &changes.compare_to {
        Some(to) => (situation.compare)(to).is_none_or(|files| (situation.matches)(&patterns, &files)),
        None => (situation.changed)(&patterns),
    }
}

pub(super) fn describe(rule: &Rule) -> String {
    let mut parts = Vec::new();
    if let Some((text, _)) = &rule.condition {
        parts.push(format!("if: {text}"));
    }
    let list = |paths: &[Text]| paths.iter().map(|path| &*path.value).collect::<Vec<_>>().join(", ");
    if let Some(changes) = &rule.changes {
        parts.push(format!("changes: {}", list(&changes.paths)));
    }
    if let Some(exists) = &rule.exists {
        parts.push(format!("exists: {}", list(exists)));
    }
    match (rule.has_clauses(), rule.when) {
        (false, Some(_)) => "a rule without clauses".to_owned(),
        (false, None) => "an empty rule".to_owned(),
        (true, _) => parts.join(", "),
    }
}

fn evaluate_policies(job: &Job, situation: &Situation<'_>, has_workflow_rules: bool) -> Result<Admitted, Reason> {
    let mut reasons = Vec::new();
    let default = Policy::default_only(job.span);
    let only = match job.only.clone() {
        Some(only) => Some(with_default_refs(only, default)),
        None => (!has_workflow_rules).then_some(default),
    };
    if let Some(only) = &only {
        let name = if only.span.is_some() { "only" } else { "default `only`" };
        for (key, satisfied) in satisfactions(only, situation) {
            match satisfied {
                Some(words) => reasons.push(format!("{name}: {words}")),
                None => return Err(Reason::new(format!("only: {key} does not match"), only.span)),
            }
        }
    }
    if let Some(except) = &job.except {
        let excluding = satisfactions(except, situation).into_iter().find_map(|(_, satisfied)| satisfied);
        if let Some(words) = excluding {
            return Err(Reason::new(format!("except: {words}"), except.span));
        }
    }
    if reasons.is_empty() {
        reasons.push("no `rules` or `only`: included in every pipeline".to_owned());
    }
    Ok(Admitted {
        when: job.when.unwrap_or(When::OnSuccess),
        allow_failure: own_allow_failure(job),
        start_in: job.start_in,
        needs: None,
        variables: Vec::new(),
        reason: Reason::new(reasons.join(", "), only.and_then(|only| only.span)),
    })
}

/// An `only` that is a hash without `refs` gets the refs of the default, even where the default itself does not apply. `value` of
/// `entry/policy.rb`
fn with_default_refs(mut only: Policy, default: Policy) -> Policy {
    only.refs = only.refs.or(default.refs);
    only
}

/// Returns every key that is present, with the value that matches, if any.
fn satisfactions(policy: &Policy, situation: &Situation<'_>) -> Vec<(&'static str, Option<String>)> {
    let mut all = Vec::new();
    if let Some(refs) = &policy.refs {
        let found = refs.iter().find(|pattern| matches_ref(pattern, situation.context));
        all.push(("refs", found.map(|pattern| pattern.text.value.to_string())));
    }
    if policy.kubernetes {
        all.push(("kubernetes", situation.context.kubernetes.then(|| "kubernetes: active".to_owned())));
    }
    if let Some(conditions) = &policy.variables {
        let found = conditions.iter().find(|(_, expression)| expression.evaluate(situation.variables));
        all.push(("variables", found.map(|(text, _)| text.to_string())));
    }
    if let Some(changes) = &policy.changes {
        // Variables in the patterns are not expanded. `lib/gitlab/ci/build/policy/changes.rb`
        let patterns: Vec<String> = changes.paths.iter().map(|path| path.value.to_string()).collect();
        all.push(("changes", (situation.changed)(&patterns).then(|| "changes".to_owned())));
    }
    all
}

/// `lib/gitlab/ci/build/policy/refs.rb`
fn matches_ref(pattern: &RefPattern, context: &Context) -> bool {
    if pattern.project.as_ref().is_some_and(|project| **project != context.project_path) {
        return false;
    }
    let name = pattern.name();
    let is_kind = match name {
        "branches" => context.kind == RefKind::Branch,
        "tags" => context.kind == RefKind::Tag,
        _ => false,
    };
    if is_kind || context.source.is_called(name) {
        return true;
    }
    if context.kind == RefKind::MergeRequest {
        return false;
    }
    match &pattern.pattern {
        Some(expression) => expression.is_match(&context.ref_name),
        None => name == context.ref_name,
    }
}
