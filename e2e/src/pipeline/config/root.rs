//! The whole configuration. `entry/root.rb`, `entry/jobs.rb`, `entry/stages.rb`, `entry/workflow.rb`, `entry/default.rb`

use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use super::job::{self, Job};
use super::keywords::{self, DEFAULT, ROOT};
use super::reader::{Reader, Text};
use super::rules::{self, Owner, Rule};
use super::variables::{self, Place, YamlVariable};
use crate::pipeline::diagnostic::Diagnostics;
use crate::pipeline::document::node::{Mapping, Node};
use crate::pipeline::document::size;
use crate::pipeline::source::Span;

/// Everything that a file says, resolved and typed.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// In the order of running, with `.pre` and `.post` at their ends.
    pub stages: Vec<Arc<str>>,
    /// `workflow`.
    pub workflow: Workflow,
    /// `variables` of the top level.
    pub variables: Vec<YamlVariable>,
    /// Every job that is not hidden, in the order of writing.
    pub jobs: IndexMap<Arc<str>, Job>,
}

/// `workflow`.
#[derive(Clone, Debug, Default)]
pub struct Workflow {
    /// Whether there is a pipeline at all.
    pub rules: Option<Vec<Rule>>,
    /// The pipeline's name, before expansion.
    pub name: Option<Text>,
    /// Whether the first failure cancels everything: `auto_cancel:on_job_failure: all`.
    pub cancel_on_failure: bool,
}

/// What stages there are when none are given.
const DEFAULT_STAGES: [&str; 3] = ["build", "test", "deploy"];

/// Keywords of the top level that are an older way to write `default`.
const DEPRECATED_DEFAULTS: [&str; 5] = ["image", "services", "cache", "before_script", "after_script"];

/// Reads a resolved document.
pub fn read(root: &Mapping, span: Span, diagnostics: &mut Diagnostics) -> Configuration {
    let defaults = defaults(root, diagnostics);
    let stages = stages(root, diagnostics);
    let workflow = root.get("workflow").map(|entry| read_workflow(&entry.value, diagnostics)).unwrap_or_default();
    let variables = root.get("variables").map(|entry| {
        let mut reader = Reader::of_root("variables", diagnostics);
        variables::read(&entry.value, Place::Root, "", &mut reader)
    });
    let mut jobs = IndexMap::new();
    // A job takes over a copy of them.
    let (size_of_defaults, mut size) = (size::of_entries(&defaults), 0);
    for (name, entry) in root.iter().filter(|(name, _)| keywords::replayed(ROOT, name).is_none()) {
        if name.starts_with('.') {
            continue;
        }
        size += size_of_defaults;
        if size > size::LARGEST_IN_ALL {
            diagnostics.error(entry.key_span, "The parsed YAML is too big").help("`default` counts with every job");
            break;
        }
        let mut reader = Reader::of_job(name, diagnostics);
        if name.len() > 255 {
            reader.complain(entry.key_span, "", "name is too long (maximum is 255 characters)");
        }
        if let Some(job) = job::read(name, entry.key_span, &entry.value, &defaults, &mut reader) {
            jobs.insert(Arc::clone(name), job);
        }
    }
    if jobs.is_empty() && !diagnostics.has_errors() {
        diagnostics.error(span, "jobs config should contain at least one visible job");
    }
    Configuration { stages, workflow, variables: variables.unwrap_or_default(), jobs }
}

fn defaults(root: &Mapping, diagnostics: &mut Diagnostics) -> Mapping {
    let mut defaults = Mapping::default();
    if let Some(entry) = root.get("default") {
        let mut reader = Reader::of_root("default", diagnostics);
        if let Some(mapping) = reader.hash(&entry.value, "") {
            reader.known_keys(mapping, "", DEFAULT.iter().copied());
            // Without any effect there. https://docs.gitlab.com/ci/yaml/#default
            defaults = mapping
                .iter()
                .filter(|(key, _)| &***key != "timeout")
                .map(|(key, entry)| (Arc::clone(key), entry.clone()))
                .collect();
        }
    }
    for keyword in DEPRECATED_DEFAULTS {
        let Some(entry) = root.get(keyword) else { continue };
        if defaults.contains_key(keyword) {
            diagnostics.error(entry.key_span, format!("{keyword} is defined in top-level and `default:` entry"));
        }
        defaults.insert(keyword.into(), entry.clone());
    }
    defaults
}

fn stages(root: &Mapping, diagnostics: &mut Diagnostics) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = DEFAULT_STAGES.map(Into::into).to_vec();
    if let Some(entry) = root.get("stages") {
        let mut flat = Vec::new();
        let mut reader = Reader::of_root("stages", diagnostics);
        if entry.value.sequence().is_none() || !flatten(&entry.value, &mut flat) {
            reader.complain(entry.value.span, "", "config should be an array of strings");
        } else if !flat.is_empty() {
            names = flat;
        }
    }
    // Wherever they are written, these two are at the ends.
    let between = names.into_iter().filter(|name| !matches!(&**name, ".pre" | ".post"));
    let stages: IndexSet<Arc<str>> = [".pre".into()].into_iter().chain(between).chain([".post".into()]).collect();
    stages.into_iter().collect()
}

fn flatten(node: &Node, names: &mut Vec<Arc<str>>) -> bool {
    match (node.sequence(), node.string()) {
        (Some(items), _) => items.iter().all(|item| flatten(item, names)),
        (None, Some(name)) => {
            names.push(name.into());
            true
        }
        (None, None) => false,
    }
}

fn read_workflow(node: &Node, diagnostics: &mut Diagnostics) -> Workflow {
    let mut reader = Reader::of_root("workflow", diagnostics);
    let Some(mapping) = reader.hash(node, "") else { return Workflow::default() };
    reader.known_keys(mapping, "", ["rules", "name", "auto_cancel"]);
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    let on_job_failure = value("auto_cancel").and_then(|node| node.get("on_job_failure"));
    Workflow {
        rules: value("rules").map(|node| rules::read(node, Owner::Workflow, &mut reader)),
        name: value("name").and_then(|node| reader.string(node, "name")),
        cancel_on_failure: on_job_failure.and_then(Node::string) == Some("all"),
    }
}
