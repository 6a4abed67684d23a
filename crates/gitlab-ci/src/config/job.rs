//! A job with all its keywords. `entry/job.rb`, `entry/processable.rb`, `entry/bridge.rb`

use std::sync::Arc;
use std::time::Duration;

use super::artifacts::Artifacts;
use super::cache::Cache;
use super::environment::{self, Environment};
use super::image::Image;
use super::inherit::{self, Inherit};
use super::inheritable::{self, Inheritable};
use super::keywords::{self, BRIDGE, JOB, Support};
use super::limits::{MAX_DELAY, MAX_JOB_NAME};
use super::needs::{self, Need};
use super::parallel::{self, Parallel};
use super::policy::{self, Policy};
use super::reader::{Reader, Spanned, Text};
use super::retry::Retry;
use super::rules::{self, Owner, Rule};
use super::variables::{self, VariableScope, YamlVariable};
use super::when::{self, AllowFailure, When};
use super::{job_inputs, pages, paid, release, run, script, secrets, trigger};
use crate::expression::pattern::Pattern;
use crate::source::Span;
use crate::yaml::node::{Mapping, Node};

/// A job as written, with the keywords that it inherits from `default`.
#[derive(Clone, Debug)]
pub struct Job {
    /// The name.
    pub name: Arc<str>,
    /// Where the name is written.
    pub span: Span,
    /// Whether the job is a bridge: instead of running a script, it starts another pipeline or shows the status of one.
    pub is_trigger: bool,
    /// The stage, `test` by default.
    pub stage: Text,
    /// `before_script`.
    pub before_script: Vec<Text>,
    /// `script`.
    pub script: Vec<Text>,
    /// `after_script`.
    pub after_script: Vec<Text>,
    /// `hooks:pre_get_sources_script`.
    pub pre_get_sources_script: Vec<Text>,
    /// `image`.
    pub image: Option<Image>,
    /// `services`.
    pub services: Vec<Image>,
    /// `variables`.
    pub variables: Vec<YamlVariable>,
    /// `inherit:variables`.
    pub inherit_variables: Inherit,
    /// `rules`. If present, `only` and `except` do not count.
    pub rules: Option<Vec<Rule>>,
    /// Whether the default `only` (branches and tags) applies if the job has no `only`. The key `rules` removes the
    /// default, even without a value. `compose!` of `entry/processable.rb`
    pub has_default_only: bool,
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
    /// `needs`. `None` if the stages decide when the job starts.
    pub needs: Option<Vec<Need>>,
    /// `dependencies`. `None` if the job downloads the artifacts of all earlier jobs.
    pub dependencies: Option<Vec<Text>>,
    /// The jobs that create the configuration of the pipeline that `trigger` starts: `trigger:include:job`.
    pub configuration_jobs: Vec<Text>,
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
    /// `tags`.
    pub tags: Vec<Text>,
    /// `coverage`: a regular expression between slashes, applied to the lines of the job log.
    pub coverage: Option<Text>,
}

impl Job {
    /// Whether the job is parallel and has no instance, because its matrix has no combination of values. GitLab leaves
    /// out such a job, and the needs and dependencies on it. `lib/gitlab/ci/config/normalizer.rb`
    pub fn has_no_instance(&self) -> bool {
        self.parallel.as_ref().is_some_and(|parallel| parallel.count() == 0)
    }
}

/// The kind of an entry at the top level. As in `entry/jobs.rb`, the first kind that matches counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Job,
    Bridge,
    Neither,
}

/// Whether an entry of the top level looks like a job. `find_type` of `entry/jobs.rb`
pub fn is_job(mapping: &Mapping) -> bool {
    kind(mapping) != Kind::Neither
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

/// Reads the job `name`. `defaults` are the keywords that it may inherit. Returns `None` if the entry is not a job.
pub fn read(name: &Arc<str>, span: Span, node: &Node, defaults: &Inheritable, reader: &mut Reader<'_>) -> Option<Job> {
    let own = node.mapping();
    let kind = own.map_or(Kind::Neither, kind);
    if kind == Kind::Neither && !report_missing_script(name, span, node, reader) {
        return None;
    }
    let own = own?;
    check_keys(own, kind, reader);
    check_keys_forbidden_by_rules(own, reader);
    // A keyword without a value counts as absent. `lib/gitlab/config/entry/factory.rb`
    let set = |key: &str| own.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    check_keywords_without_effect(name, own, kind, reader);
    // A job that shows the status of another pipeline waits for its stage. `scheduling_type` of `entry/bridge.rb`
    let is_upstream = kind == Kind::Bridge && check_bridge(span, own, reader);
    let (inherit_default, inherit_variables) = inherit::read(set("inherit"), reader);
    let inherited = if kind == Kind::Bridge {
        Inheritable::default()
    } else {
        inheritable::read(own, reader).with_defaults(defaults, &inherit_default)
    };
    let test = || Text { value: "test".into(), span };
    let when = set("when").and_then(|node| match kind {
        Kind::Bridge => reader.one_of(node, "when", when::BRIDGE_VALUES),
        _ => reader.word(node, "when", when::JOB_VALUES),
    });
    // Without a delay, `start_in` must be blank, and GitLab does not read it.
    let start_in = set("start_in").filter(|_| when == Some(When::Delayed));
    let start_in = start_in.and_then(|node| reader.duration(node, " start_in", Some(MAX_DELAY)));
    if kind != Kind::Bridge {
        check_delay(span, own, when, reader);
    }
    if let Some(node) = set("needs").filter(|_| kind == Kind::Job)
        && needs::are_of_other_pipelines(node)
        && set("dependencies").is_some_and(|dependencies| !dependencies.is_blank())
    {
        reader.complain(node.span, " needs", "corresponding to dependencies must be from the same pipeline");
    }
    let needs_owner = if kind == Kind::Bridge { needs::Owner::Bridge } else { needs::Owner::Job };
    Some(Job {
        name: Arc::clone(name),
        span,
        is_trigger: kind == Kind::Bridge,
        stage: set("stage").and_then(|node| reader.string(node, "stage")).unwrap_or_else(test),
        before_script: inherited.before_script.unwrap_or_default(),
        script: read_script(own, kind, reader),
        after_script: inherited.after_script.unwrap_or_default(),
        pre_get_sources_script: inherited.pre_get_sources_script.unwrap_or_default(),
        image: inherited.image,
        services: inherited.services.unwrap_or_default(),
        variables: set("variables")
            .map(|node| variables::read(node, VariableScope::Job, "variables", reader))
            .unwrap_or_default(),
        inherit_variables,
        rules: set("rules").map(|node| rules::read(node, Owner::Job, reader)),
        has_default_only: !own.contains_key("rules"),
        only: set("only").and_then(|node| policy::read(node, "only", reader)),
        except: set("except").and_then(|node| policy::read(node, "except", reader)),
        when,
        start_in,
        allow_failure: set("allow_failure").and_then(|node| match kind {
            Kind::Bridge => reader.boolean(node, " allow_failure").map(AllowFailure::Fixed),
            _ => when::read_allow_failure(node, reader),
        }),
        needs: set("needs").map(|node| needs::read(node, "needs", needs_owner, reader)).filter(|_| !is_upstream),
        dependencies: set("dependencies").map(|node| reader.list(node, " dependencies")),
        configuration_jobs: set("trigger").map(trigger::configuration_jobs).unwrap_or_default(),
        parallel: set("parallel").and_then(|node| match kind {
            Kind::Bridge => parallel::read_matrix_only(node, "parallel", reader).map(Parallel::Matrix),
            _ => parallel::read(node, reader),
        }),
        environment: set("environment").and_then(|node| environment::read(node, reader)),
        artifacts: pages::with_site((name, span), set("pages"), set("publish"), inherited.artifacts),
        cache: inherited.cache.unwrap_or_default(),
        retry: inherited.retry.unwrap_or_default(),
        timeout: inherited.timeout,
        resource_group: set("resource_group").and_then(|node| reader.string(node, " resource_group")),
        interruptible: inherited.interruptible == Some(true),
        tags: inherited.tags.unwrap_or_default(),
        coverage: set("coverage").and_then(|node| read_coverage(node, reader)),
    })
}

/// The maximum edit distance at which the name of an entry counts as a misspelled keyword.
const MAX_EDIT_DISTANCE: usize = 2;

/// Reports an entry without a script. Returns whether to read it as a job: `false` if its name looks like a misspelled
/// keyword of the top level.
fn report_missing_script(name: &str, span: Span, node: &Node, reader: &mut Reader<'_>) -> bool {
    // Its script may be in a parent or a reference that was not found.
    if reader.is_incomplete || reader.diagnostics.has_error_in(node.span) {
        return true;
    }
    let lower = name.to_lowercase();
    // In the message, GitLab replaces spaces with underscores if the name has only letters and spaces.
    // `lib/gitlab/config/entry/validator.rb`
    let is_words = lower.chars().all(|character| character.is_ascii_lowercase() || character.is_ascii_whitespace());
    let written = if is_words { lower.replace(' ', "_") } else { lower };
    let message = format!("jobs {written} config should implement the script:, run:, or trigger: keyword");
    let is_misspelling_of =
        |keyword: &&str| name.len() <= MAX_JOB_NAME && strsim::osa_distance(name, keyword) <= MAX_EDIT_DISTANCE;
    let keyword = keywords::names(keywords::ROOT).find(is_misspelling_of);
    let error = reader.diagnostics.error(span, message);
    error.help(match keyword {
        Some("spec") if name == "spec" => {
            "a header is a document of its own: write `---` on the line after it".to_owned()
        }
        Some(keyword) => format!("did you mean `{keyword}`?"),
        None => format!("to define a template for `extends`, start the name with a dot: `.{name}`"),
    });
    keyword.is_none()
}

fn check_keys(own: &Mapping, kind: Kind, reader: &mut Reader<'_>) {
    if kind == Kind::Bridge {
        reader.known_keys(own, "", BRIDGE.iter().copied());
    } else {
        // The combination with `script` is reported below.
        reader.known_keys(own, "", keywords::names(JOB).chain(["trigger"]));
    }
    for others in [["script", "run"], ["before_script", "run"], ["after_script", "run"]] {
        reader.exclusive_keys(own, "", &others);
    }
    for others in [["script", "trigger"], ["run", "trigger"]] {
        reader.exclusive_keys(own, "", &others);
    }
}

fn check_keywords_without_effect(name: &str, own: &Mapping, kind: Kind, reader: &mut Reader<'_>) {
    let set = |key: &str| own.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    if kind == Kind::Bridge {
        if let Some(node) = set("trigger") {
            trigger::check(node, reader);
        }
        if let Some(node) = set("interruptible") {
            reader.boolean(node, "interruptible");
        }
    } else {
        if let Some(node) = set("secrets") {
            secrets::check(node, reader);
        }
        if let Some(node) = set("dast_configuration") {
            paid::check_dast(node, reader);
        }
        if let Some(node) = set("run") {
            run::check(node, reader);
        }
        if let Some(node) = set("release") {
            release::check(node, reader);
        }
        if let Some(node) = set("inputs") {
            job_inputs::check(node, reader);
        }
        if let Some(node) = set("manual_confirmation") {
            reader.string(node, " manual_confirmation");
        }
        pages::check(name, own, reader);
    }
    for (key, entry) in own {
        if &**key == "trigger" || keywords::support(JOB, key) == Some(Support::No) {
            reader.diagnostics.unsupported(entry.key_span, key);
        }
    }
}

/// Checks a job that starts a pipeline. Returns whether it shows the status of a pipeline that it needs.
fn check_bridge(span: Span, own: &Mapping, reader: &mut Reader<'_>) -> bool {
    let set = |key: &str| own.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    let upstream = set("needs").map_or(0, needs::count_upstream);
    if set("trigger").is_none() && upstream == 0 {
        reader.complain(span, "", "config should contain either a trigger or a needs:pipeline");
    }
    if upstream > 1 {
        reader.complain(span, "", "config should contain at most one bridge need");
    }
    upstream > 0
}

/// Reports `only`, `except` and `start_in` in a job that has `rules`.
fn check_keys_forbidden_by_rules(own: &Mapping, reader: &mut Reader<'_>) {
    let is_set = |key: &str| own.get(key).is_some_and(|entry| !entry.value.is_null());
    if !is_set("rules") {
        return;
    }
    let keys = own.keys().map(|key| &**key);
    let others: Vec<&str> = keys.filter(|key| ["only", "except", "start_in"].contains(key) && is_set(key)).collect();
    if let Some(entry) = others.first().and_then(|key| own.get(*key)) {
        reader.complain(entry.key_span, "", &format!("config key may not be used with `rules`: {}", others.join(", ")));
    }
}

fn check_delay(span: Span, own: &Mapping, when: Option<When>, reader: &mut Reader<'_>) {
    let is_delayed = when == Some(When::Delayed);
    let start_in = own.get("start_in");
    if is_delayed && start_in.is_none_or(|entry| entry.value.is_null()) {
        reader.complain(span, " start_in", "should be a duration");
    }
    // `check_keys_forbidden_by_rules` reports `start_in` together with the value of `rules`.
    let rules = own.get("rules").map(|entry| &entry.value);
    let is_forbidden = rules.is_some_and(Node::is_null) || rules.is_none() && !is_delayed;
    if let Some(entry) = start_in.filter(|entry| is_forbidden && !entry.value.is_blank()) {
        reader.complain(entry.key_span, " start_in", "must be blank");
    }
}

fn read_script(own: &Mapping, kind: Kind, reader: &mut Reader<'_>) -> Vec<Text> {
    let Some(entry) = own.get("script").filter(|_| kind == Kind::Job) else { return Vec::new() };
    if !entry.value.is_blank() {
        return script::read(&entry.value, "script", reader);
    }
    if !own.contains_key("run") && !reader.diagnostics.has_error_in(entry.value.span) {
        reader.complain(entry.value.span, " script", "can't be blank");
    }
    Vec::new()
}

fn read_coverage(node: &Node, reader: &mut Reader<'_>) -> Option<Text> {
    let text = node.string().unwrap_or_default();
    if let Err(error) = Pattern::parse(text) {
        let message = "config must be a regular expression with re2 syntax";
        reader.complain(node.span, "coverage", message).help(error.to_string());
        return None;
    }
    Some(Text { value: text.into(), span: node.span })
}
