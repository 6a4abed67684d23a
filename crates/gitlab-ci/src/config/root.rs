//! The whole configuration. `entry/root.rb`, `entry/jobs.rb`, `entry/stages.rb`, `entry/workflow.rb`, `entry/default.rb`

use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use super::auto_cancel;
use super::inherit::Inherit;
use super::inheritable::{self, Inheritable};
use super::job::{self, Job};
use super::keywords::{self, DEFAULT, JOB, ROOT, Support};
use super::limits::MAX_JOB_NAME;
use super::reader::{Reader, Text};
use super::rules::{self, Owner, Rule};
use super::script;
use super::variables::{self, VariableScope, YamlVariable};
use super::when::When;
use crate::diagnostic::Diagnostics;
use crate::source::Span;
use crate::yaml::node::{Entry, KeyKind, Mapping, Node};
use crate::yaml::size;

/// The content of a pipeline file, resolved and typed.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The stages in the order in which they run, from `.pre` to `.post`.
    pub stages: Vec<Arc<str>>,
    /// `workflow`.
    pub workflow: Workflow,
    /// `variables` at the top level.
    pub variables: Vec<YamlVariable>,
    /// All jobs that are not hidden, in the order in which they are written.
    pub jobs: IndexMap<Arc<str>, Job>,
}

/// `workflow`.
#[derive(Clone, Debug, Default)]
pub struct Workflow {
    /// The rules that decide whether GitLab creates the pipeline.
    pub rules: Option<Vec<Rule>>,
    /// The name of the pipeline, before expansion.
    pub name: Option<Text>,
    /// Whether there is a key `rules`, even without a value: jobs then have no default `only`. `has_rules?` of `entry/workflow.rb`
    pub has_rules: bool,
    /// Whether the first failed job cancels the pipeline: `auto_cancel:on_job_failure: all`.
    pub cancel_on_failure: bool,
}

/// The stages of a file without `stages`.
const DEFAULT_STAGES: [&str; 3] = ["build", "test", "deploy"];

/// The deprecated keywords of the top level that are equivalent to keywords of `default`.
const DEPRECATED_DEFAULTS: [&str; 5] = ["image", "services", "cache", "before_script", "after_script"];

/// Reads a resolved document at `span`. `may_lack` returns whether keywords may be missing in a job because its parent
/// was not found, which has been reported.
pub fn read(
    root: &Mapping,
    span: Span,
    may_lack: &dyn Fn(&str) -> bool,
    diagnostics: &mut Diagnostics,
) -> Configuration {
    // A key of the top level without a value counts as missing.
    let value = |key: &str| root.get(key).filter(|entry| !entry.value.is_null() && !is_job(key, &entry.value));
    let (defaults, size_of_defaults) = defaults(root, diagnostics);
    let stages = stages(root, diagnostics);
    let workflow = value("workflow").map(|entry| read_workflow(&entry.value, diagnostics)).unwrap_or_default();
    let variables = root.get("variables").map(|entry| {
        let mut reader = Reader::for_keyword("variables", diagnostics);
        variables::read(&entry.value, VariableScope::Root, "", &mut reader)
    });
    let mut jobs = IndexMap::new();
    // Whether anything looks like a job: `has_visible_job?` of `entry/jobs.rb`
    let mut has_visible_job = false;
    // Every job gets a copy of the defaults.
    let mut size = 0;
    for (name, entry) in root.iter().filter(|(name, entry)| is_job(name, &entry.value)) {
        if name.starts_with('.') {
            check_hidden(name, entry, diagnostics);
            continue;
        }
        // One whose parent or reference was not found may be a job.
        has_visible_job = has_visible_job
            || entry.value.mapping().is_some_and(job::is_job)
            || may_lack(name)
            || diagnostics.has_error_in(entry.value.span);
        size += size_of_defaults;
        if size > size::MAX_TOTAL {
            diagnostics
                .error(entry.key_span, "The parsed YAML is too big")
                .help("the size of `default` counts once per job");
            break;
        }
        let mut reader = Reader::for_job(name, diagnostics);
        reader.is_incomplete = may_lack(name);
        if name.is_empty() {
            Reader::for_job("job", reader.diagnostics).complain(entry.key_span, " name", "can't be blank");
            continue;
        }
        if entry.key_kind != KeyKind::Text {
            // `validates :name, type: Symbol` of `entry/processable.rb`
            let error = reader.complain(entry.key_span, " name", "should be a symbol");
            error.help("put the name in quotes");
            continue;
        }
        if name.chars().count() > MAX_JOB_NAME {
            reader.complain(entry.key_span, " name", &format!("is too long (maximum is {MAX_JOB_NAME} characters)"));
        }
        if let Some(job) = job::read(name, entry.key_span, &entry.value, &defaults, &mut reader) {
            if !workflow.has_rules {
                warn_of_two_pipelines(&job, &mut reader);
            }
            jobs.insert(Arc::clone(name), job);
        }
    }
    if !has_visible_job {
        diagnostics.error(span, "jobs config should contain at least one visible job");
    }
    Configuration { stages, workflow, variables: variables.unwrap_or_default(), jobs }
}

/// Whether an entry of the top level is a job, and not a keyword. `filter_jobs!` of `entry/root.rb`
fn is_job(name: &str, node: &Node) -> bool {
    match name {
        // A keyword of a header only.
        "spec" => true,
        // These two are not reserved: one that looks like a job is a job.
        "default" | "workflow" => node.mapping().is_some_and(job::is_job),
        _ => keywords::support(ROOT, name).is_none(),
    }
}

/// A hidden job may have any content, but must not be blank. `entry/hidden.rb`
fn check_hidden(name: &str, entry: &Entry, diagnostics: &mut Diagnostics) {
    if entry.value.is_blank() && !diagnostics.has_error_in(entry.value.span) {
        Reader::for_job(name, diagnostics).complain(entry.key_span, "", "config can't be blank");
    }
}

/// Warns of a job whose last rule has no condition: a push to a branch with a merge request creates two pipelines, and
/// the job is in both. `validate_against_warnings` of `entry/processable.rb`
fn warn_of_two_pipelines(job: &Job, reader: &mut Reader<'_>) {
    let last = job.rules.as_ref().and_then(|rules| rules.last());
    if let Some(rule) = last.filter(|rule| rule.is_bare_when && rule.when.is_some_and(|when| when != When::Never)) {
        let warning = reader.warn(
            rule.span,
            "may allow multiple pipelines to run for a single action due to `rules:when` clause with no `workflow:rules`",
        );
        warning.help("https://docs.gitlab.com/ci/jobs/job_troubleshooting/");
    }
}

/// Returns the keywords that jobs inherit, and their size.
fn defaults(root: &Mapping, diagnostics: &mut Diagnostics) -> (Inheritable, usize) {
    // The deprecated keywords are read separately, because messages name them differently.
    let older: Mapping = DEPRECATED_DEFAULTS
        .into_iter()
        .filter_map(|keyword| Some((Arc::from(keyword), root.get(keyword).filter(|it| !it.value.is_null())?.clone())))
        .collect();
    let older_defaults = inheritable::read(&older, &mut Reader::for_file(diagnostics));
    let mut size = size::entries(&older);
    let mut reader = Reader::for_keyword("default", diagnostics);
    let default = root.get("default").map(|entry| &entry.value);
    let default = default.filter(|node| !node.is_null() && !is_job("default", node));
    let Some(mapping) = default.and_then(|node| reader.hash(node, "")) else { return (older_defaults, size) };
    reader.known_keys(mapping, "", DEFAULT.iter().copied());
    for (keyword, entry) in &older {
        if mapping.get(keyword).is_some_and(|own| !own.value.is_null()) {
            let message = format!("{keyword} is defined in top-level and `default:` entry");
            reader.diagnostics.error(entry.key_span, message);
        }
    }
    size += size::entries(mapping);
    for (keyword, entry) in mapping {
        if keywords::support(JOB, keyword) == Some(Support::No) {
            reader.diagnostics.unsupported(entry.key_span, keyword);
        }
    }
    (inheritable::read(mapping, &mut reader).with_defaults(&older_defaults, &Inherit::All(true)), size)
}

fn stages(root: &Mapping, diagnostics: &mut Diagnostics) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = DEFAULT_STAGES.map(Into::into).to_vec();
    if let Some(entry) = root.get("stages").filter(|entry| !entry.value.is_null()) {
        let mut flat = Vec::new();
        let mut reader = Reader::for_keyword("stages", diagnostics);
        if entry.value.sequence().is_none() || script::flatten(&entry.value, 0, &mut flat).is_err() {
            let message = "config should be an array of strings or a nested array of strings up to 10 levels deep";
            reader.complain(entry.value.span, "", message);
        } else {
            names = flat.into_iter().map(|stage| stage.value).collect();
        }
        // `lib/gitlab/ci/config/edge_stages_injector.rb` adds no stages to an empty list.
        if entry.value.is_blank() {
            return Vec::new();
        }
    }
    // These two stages are always the first and the last one.
    let between = names.into_iter().filter(|name| !matches!(&**name, ".pre" | ".post"));
    let stages: IndexSet<Arc<str>> = [".pre".into()].into_iter().chain(between).chain([".post".into()]).collect();
    stages.into_iter().collect()
}

fn read_workflow(node: &Node, diagnostics: &mut Diagnostics) -> Workflow {
    let mut reader = Reader::for_keyword("workflow", diagnostics);
    let Some(mapping) = reader.hash(node, "") else { return Workflow::default() };
    reader.known_keys(mapping, "", ["rules", "name", "auto_cancel"]);
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    // In a rule, the whole keyword has no effect: `rules::read` says so.
    let auto_cancel = value("auto_cancel");
    if let Some(entry) = auto_cancel.and_then(Node::mapping).and_then(|mapping| mapping.get("on_new_commit")) {
        let warning = reader.diagnostics.unsupported(entry.key_span, "workflow:auto_cancel:on_new_commit");
        warning.help("a local replay has no newer pipeline that could cancel this one");
    }
    Workflow {
        rules: value("rules").map(|node| rules::read(node, Owner::Workflow, &mut reader)),
        has_rules: mapping.contains_key("rules"),
        name: value("name").and_then(|node| read_name(node, &mut reader)),
        cancel_on_failure: auto_cancel.is_some_and(|node| auto_cancel::read(node, "auto_cancel", &mut reader)),
    }
}

/// The maximum length of the name of a pipeline, in characters.
pub(crate) const MAX_NAME_LENGTH: usize = 255;

/// Reads `workflow:name`. `entry/workflow.rb` checks its length. The code that removes white space around it fails for anything but a
/// string: `lib/gitlab/ci/yaml_processor/result.rb`
fn read_name(node: &Node, reader: &mut Reader<'_>) -> Option<Text> {
    let Some(text) = node.string() else {
        let error = reader.diagnostics.error(node.span, "Undefined error");
        error.help(match node.scalar() {
            Some(text) => format!("put the name in quotes, because GitLab fails if it is not a string: `\"{text}\"`"),
            None => "the name is a string; GitLab fails for any other value".to_owned(),
        });
        return None;
    };
    if text.chars().count() > MAX_NAME_LENGTH {
        reader.complain(node.span, " name", &format!("is too long (maximum is {MAX_NAME_LENGTH} characters)"));
    }
    Some(Text { value: text.into(), span: node.span })
}
