//! A job: all of its keywords. `entry/job.rb`, `entry/processable.rb`, `entry/bridge.rb`

use std::sync::Arc;
use std::time::Duration;

use super::artifacts::{self, Artifacts};
use super::cache::{self, Cache};
use super::environment::{self, Environment};
use super::image::{self, Image};
use super::keywords::{self, BRIDGE, JOB, Replayed};
use super::needs::{self, Need};
use super::pages;
use super::parallel::{self, Parallel};
use super::policy::{self, Policy};
use super::reader::{Reader, Spanned, Text};
use super::retry::{self, Retry};
use super::rules::{self, Owner, Rule};
use super::script;
use super::variables::{self, Place, YamlVariable};
use super::when::{self, AllowFailure, When};
use crate::pipeline::document::node::{Mapping, Node};
use crate::pipeline::expression::pattern::Pattern;
use crate::pipeline::source::Span;

/// How long a delayed job may wait. `entry/job.rb`
pub(super) const LONGEST_DELAY: Duration = Duration::from_hours(7 * 24);

/// A job as it is written, with what it has from `default`.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub name: Arc<str>,
    /// Where its name is written.
    pub span: Span,
    /// Whether it starts another pipeline instead of a script.
    pub is_trigger: bool,
    /// Its stage; `test` if it names none.
    pub stage: Text,
    /// `before_script`.
    pub before_script: Vec<Text>,
    /// `script`.
    pub script: Vec<Text>,
    /// `after_script`.
    pub after_script: Vec<Text>,
    /// `image`.
    pub image: Option<Image>,
    /// `services`.
    pub services: Vec<Image>,
    /// `variables`.
    pub variables: Vec<YamlVariable>,
    /// `inherit:variables`.
    pub inherit_variables: Inherit,
    /// `rules`, which decide alone if they are there.
    pub rules: Option<Vec<Rule>>,
    /// `only`.
    pub only: Option<Policy>,
    /// `except`.
    pub except: Option<Policy>,
    /// `when`.
    pub when: Option<When>,
    /// `start_in`.
    pub start_in: Option<Spanned<Duration>>,
    /// `allow_failure`.
    pub allow_failure: Option<AllowFailure>,
    /// `needs`; nothing where stages decide.
    pub needs: Option<Vec<Need>>,
    /// `dependencies`; nothing where all earlier artifacts are taken over.
    pub dependencies: Option<Vec<Text>>,
    /// `parallel`.
    pub parallel: Option<Parallel>,
    /// `environment`.
    pub environment: Option<Environment>,
    /// `artifacts`.
    pub artifacts: Option<Artifacts>,
    /// `cache`.
    pub cache: Vec<Cache>,
    /// `retry`.
    pub retry: Retry,
    /// `timeout`.
    pub timeout: Option<Spanned<Duration>>,
    /// `resource_group`.
    pub resource_group: Option<Text>,
    /// `interruptible`.
    pub interruptible: bool,
    /// `coverage`: a pattern between slashes, for lines of the log.
    pub coverage: Option<Text>,
}

/// What a job takes over from the top level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inherit {
    /// Everything, or nothing.
    All(bool),
    /// These.
    Names(Vec<Arc<str>>),
}

impl Inherit {
    /// Whether `name` is taken over.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::All(all) => *all,
            Self::Names(names) => names.iter().any(|it| &**it == name),
        }
    }
}

/// What a job is. `entry/jobs.rb`, of which the first that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Job,
    Bridge,
    Neither,
}

fn kind(mapping: &Mapping) -> Kind {
    if mapping.contains_key("script") || mapping.contains_key("run") {
        Kind::Job
    } else if mapping.contains_key("trigger") || mapping.contains_key("needs") {
        Kind::Bridge
    } else {
        Kind::Neither
    }
}

/// Reads the job `name`. `defaults` are the keywords that it has if it does not say otherwise.
pub fn read(name: &Arc<str>, span: Span, node: &Node, defaults: &Mapping, reader: &mut Reader<'_>) -> Option<Job> {
    let own = reader.hash(node, "")?;
    let kind = kind(own);
    if kind == Kind::Neither {
        let error = reader.complain(span, "", "config should implement the script:, run:, or trigger: keyword");
        error.help(format!("a job that only others extend begins with a dot: `.{name}`"));
    }
    if kind == Kind::Bridge && !own.contains_key("trigger") {
        reader.complain(span, "", "config should contain either a trigger or a needs:pipeline");
    }
    check_keys(own, kind, reader);
    check_rules_stand_alone(own, reader);

    let inherit = own.get("inherit").map(|entry| &entry.value);
    let inherit_default =
        inherit.and_then(|node| node.get("default")).map_or(Inherit::All(true), |node| read_inherit(node, reader));
    let inherit_variables =
        inherit.and_then(|node| node.get("variables")).map_or(Inherit::All(true), |node| read_inherit(node, reader));
    // A default is taken over whole, and only by a job that lacks the keyword: nothing is merged.
    let value = |key: &str| match own.get(key) {
        Some(entry) => Some(&entry.value),
        None if kind == Kind::Job && inherit_default.has(key) => defaults.get(key).map(|entry| &entry.value),
        None => None,
    };
    let set = |key: &str| value(key).filter(|node| !node.is_null());
    let commands =
        |key: &str, reader: &mut Reader<'_>| value(key).map(|node| script::read(node, key, reader)).unwrap_or_default();
    let test = || Text { value: "test".into(), span };
    let when = set("when").and_then(|node| reader.word(node, "when", when::OF_JOB));
    let start_in = set("start_in").and_then(|node| reader.duration(node, "start_in", Some(LONGEST_DELAY)));
    if own.get("rules").is_none() && (when == Some(When::Delayed)) != set("start_in").is_some() {
        let message =
            if set("start_in").is_some() { "start in must be blank" } else { "start in should be a duration" };
        reader.complain(span, "", message);
    }
    Some(Job {
        name: Arc::clone(name),
        span,
        is_trigger: kind == Kind::Bridge,
        stage: set("stage").and_then(|node| reader.string(node, "stage")).unwrap_or_else(test),
        before_script: commands("before_script", reader),
        script: commands("script", reader),
        after_script: commands("after_script", reader),
        image: set("image").and_then(|node| image::read(node, reader)),
        services: set("services").map(|node| image::read_services(node, reader)).unwrap_or_default(),
        variables: set("variables")
            .map(|node| variables::read(node, Place::Job, "variables", reader))
            .unwrap_or_default(),
        inherit_variables,
        rules: value("rules").map(|node| rules::read(node, Owner::Job, reader)),
        only: set("only").and_then(|node| policy::read(node, "only", reader)),
        except: set("except").and_then(|node| policy::read(node, "except", reader)),
        when,
        start_in,
        allow_failure: set("allow_failure").and_then(|node| when::read_allow_failure(node, reader)),
        needs: set("needs").map(|node| needs::read(node, "needs", reader)),
        dependencies: set("dependencies").map(|node| reader.list(node, "dependencies")),
        parallel: set("parallel").and_then(|node| parallel::read(node, reader)),
        environment: set("environment").and_then(|node| environment::read(node, reader)),
        artifacts: {
            let artifacts = set("artifacts").and_then(|node| artifacts::read(node, reader));
            pages::with_site((name, span), set("pages"), set("publish"), artifacts, reader)
        },
        cache: set("cache").map(|node| cache::read(node, reader)).unwrap_or_default(),
        retry: set("retry").and_then(|node| retry::read(node, reader)).unwrap_or_default(),
        timeout: set("timeout").and_then(|node| reader.duration(node, "timeout", None)),
        resource_group: set("resource_group").and_then(|node| reader.string(node, "resource_group")),
        interruptible: set("interruptible").and_then(|node| reader.boolean(node, "interruptible")) == Some(true),
        coverage: set("coverage").and_then(|node| read_coverage(node, reader)),
    })
}

fn check_keys(own: &Mapping, kind: Kind, reader: &mut Reader<'_>) {
    if kind == Kind::Bridge {
        reader.known_keys(own, "", BRIDGE.iter().copied());
    } else {
        reader.known_keys(own, "", JOB.iter().map(|(name, _)| *name));
    }
    for (key, entry) in own {
        if keywords::replayed(JOB, key) == Some(Replayed::No) {
            reader.diagnostics.warning(entry.key_span, format!("understood, not replayed: {key}"));
        }
    }
}

fn check_rules_stand_alone(own: &Mapping, reader: &mut Reader<'_>) {
    if own.get("rules").is_none_or(|entry| entry.value.is_null()) {
        return;
    }
    let others: Vec<_> = ["only", "except", "start_in"].into_iter().filter(|key| own.contains_key(*key)).collect();
    if let Some(entry) = others.first().and_then(|key| own.get(*key)) {
        reader.complain(entry.key_span, "", &format!("config key may not be used with `rules`: {}", others.join(", ")));
    }
}

fn read_inherit(node: &Node, reader: &mut Reader<'_>) -> Inherit {
    match node.sequence() {
        Some(_) => Inherit::Names(reader.list(node, "inherit").into_iter().map(|text| text.value).collect()),
        None => Inherit::All(reader.boolean(node, "inherit").unwrap_or(true)),
    }
}

fn read_coverage(node: &Node, reader: &mut Reader<'_>) -> Option<Text> {
    let text = reader.string(node, "coverage")?;
    if let Err(error) = Pattern::parse(&text.value) {
        reader.complain(node.span, "", &format!("coverage must be a regular expression: {error}"));
    }
    Some(text)
}
