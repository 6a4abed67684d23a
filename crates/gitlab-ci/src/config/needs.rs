//! `needs`. `entry/needs.rb`, `entry/need.rb`

use std::sync::Arc;

use super::parallel::{self, Matrix};
use super::reader::{Reader, Text};
use crate::source::Span;
use crate::yaml::node::Mapping;
use crate::yaml::node::Node;

/// A job that another one waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Its name.
    pub job: Text,
    /// Whether its artifacts are taken over.
    pub artifacts: bool,
    /// Whether it may be missing.
    pub optional: bool,
    /// Which of its instances.
    pub matrix: Option<Matrix>,
}

/// How many there may be: `ci_needs_size_limit`.
pub(super) const MOST: usize = 50;

/// Whose needs, which decides what they may be: `allowed_needs` of `entry/job.rb`, `entry/bridge.rb` and `entry/rules/rule.rb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A job that runs a script: jobs of this pipeline and of others.
    Job,
    /// A job that starts a pipeline, or shows the status of another project's: jobs of this pipeline, or that project.
    Bridge,
    /// A rule: jobs of this pipeline.
    Rule,
}

/// Reads them. Needs of other pipelines and projects are understood and left out.
pub fn read(node: &Node, path: &str, owner: Owner, reader: &mut Reader<'_>) -> Vec<Need> {
    if node.mapping().is_none() && node.sequence().is_none() {
        let error = reader.complain(node.span, path, "config can only be a hash or an array");
        if let Some(name) = node.string() {
            error.help(format!("a list, even of one: `[{name}]`"));
        }
        return Vec::new();
    }
    if node.mapping().is_some_and(Mapping::is_empty) {
        reader.complain(node.span, path, "config can not be an empty hash");
        return Vec::new();
    }
    // References nest.
    let mut flat = Vec::new();
    node.flatten(&mut flat);
    let mut needs: Vec<Need> = flat.into_iter().filter_map(|item| read_need(item, path, owner, reader)).collect();
    if needs.len() > MOST {
        reader.complain(node.span, path, &format!("config can only have up to {MOST} jobs"));
        // Each is compared with every other.
        needs.truncate(MOST);
    }
    needs
}

/// How many of them are another project's pipeline, whose status a job shows: `{pipeline: group/project}`.
pub fn count_of_upstream(node: &Node) -> usize {
    let mut flat = Vec::new();
    node.flatten(&mut flat);
    flat.into_iter().filter(|node| node.mapping().is_some_and(is_upstream)).count()
}

fn is_upstream(need: &Mapping) -> bool {
    need.contains_key("pipeline") && !need.contains_key("job") && !need.contains_key("project")
}

fn read_need(node: &Node, path: &str, owner: Owner, reader: &mut Reader<'_>) -> Option<Need> {
    let own = format!("{path}:need");
    if let Some(name) = node.string() {
        if name.trim().is_empty() {
            reader.complain(node.span, &own, "config can't be blank");
            return None;
        }
        let job = Text { value: name.into(), span: node.span };
        return Some(Need { job, artifacts: true, optional: false, matrix: None });
    }
    let Some(mapping) = node.mapping() else {
        reader.complain(node.span, &own, "has an unsupported type");
        return None;
    };
    for other in ["pipeline", "project"] {
        if let Some(entry) = mapping.get(other) {
            let is_upstream = is_upstream(mapping);
            if owner == Owner::Rule || is_upstream != (owner == Owner::Bridge) {
                let kind = if is_upstream { "bridge" } else { "cross_dependency" };
                reader.complain(entry.key_span, path, &format!("config uses invalid types: {kind}"));
                return None;
            }
            let warning =
                reader.diagnostics.warning(entry.key_span, format!("understood, not replayed: needs:{other}"));
            warning.help("what it names in the other pipeline is taken to have succeeded, without artifacts");
            return None;
        }
    }
    reader.known_keys(mapping, &own, ["job", "artifacts", "optional", "parallel"]);
    let Some(job) = mapping.get("job") else {
        reader.complain(node.span, &own, "has an unsupported type").help("which job: `{job: NAME}`");
        return None;
    };
    if job.value.is_blank() {
        reader.complain(job.value.span, &format!("{own} job"), "can't be blank");
        return None;
    }
    let job = reader.string(&job.value, &format!("{own} job"))?;
    let mut flag = |key: &str, default: bool| match mapping.get(key) {
        Some(entry) if !entry.value.is_null() => {
            reader.boolean(&entry.value, &format!("{own} {key}")).unwrap_or(default)
        }
        _ => default,
    };
    let (artifacts, optional) = (flag("artifacts", true), flag("optional", false));
    let parallel = mapping.get("parallel").filter(|entry| !entry.value.is_null());
    let matrix =
        parallel.and_then(|entry| parallel::read_matrix_only(&entry.value, &format!("{own}:parallel"), reader));
    Some(Need { job, artifacts, optional, matrix })
}

/// The first name that stands twice, with the place of its second time.
pub fn duplicate(needs: &[Need]) -> Option<(Arc<str>, Span)> {
    needs.iter().enumerate().find_map(|(index, need)| {
        let is_same = |other: &Need| other.job.value == need.job.value && other.matrix == need.matrix;
        needs.iter().take(index).any(is_same).then(|| (Arc::clone(&need.job.value), need.job.span))
    })
}
