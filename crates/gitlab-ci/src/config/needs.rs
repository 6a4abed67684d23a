//! `needs`. `entry/needs.rb`, `entry/need.rb`

use super::parallel::{self, Matrix};
use super::reader::{Reader, Text};
use crate::yaml::node::{Entry, Mapping, Node, Value};

/// A job that another job needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The name of the needed job.
    pub job: Text,
    /// Whether the job downloads the artifacts of the needed job.
    pub artifacts: bool,
    /// Whether the needed job may be missing from the pipeline.
    pub optional: bool,
    /// The needed instances. `None` means all instances.
    pub matrix: Option<Matrix>,
}

/// The maximum number of needs: `ci_needs_size_limit`.
pub(super) const MAX_NEEDS: usize = 50;

/// `NEEDS_CROSS_PIPELINE_DEPENDENCIES_LIMIT`, and `NEEDS_CROSS_PROJECT_DEPENDENCIES_LIMIT` of GitLab Premium: the maximum number of needs
/// from other pipelines of this project, and of needs from other projects.
const MAX_OTHERS: usize = 5;

/// The owner of a list of needs, which decides the allowed kinds: `allowed_needs` of `entry/job.rb`, `entry/bridge.rb`
/// and `entry/rules/rule.rb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A job that runs a script. It may need jobs of this pipeline and of others.
    Job,
    /// A job that starts a pipeline, or mirrors the status of another project's pipeline. It may need jobs of this pipeline, or the
    /// pipeline of that project.
    Bridge,
    /// A rule. It may need jobs of this pipeline.
    Rule,
}

/// Reads a list of needs. Needs of other pipelines and projects are checked and left out, with a warning.
pub fn read(node: &Node, path: &str, owner: Owner, reader: &mut Reader<'_>) -> Vec<Need> {
    if node.mapping().is_none() && node.sequence().is_none() {
        let error = reader.complain(node.span, path, "config can only be a hash or an array");
        if let Some(name) = node.string() {
            error.help(format!("use a list, even for a single job: `[{name}]`"));
        }
        return Vec::new();
    }
    if node.mapping().is_some_and(Mapping::is_empty) {
        reader.complain(node.span, path, "config can not be an empty hash");
        return Vec::new();
    }
    // Lists may be nested because of `!reference`.
    let mut flat = Vec::new();
    node.flatten(&mut flat);
    // `lib/gitlab/config/entry/factory.rb` turns an empty item into an entry without a type, which `entry/needs.rb` leaves out.
    flat.retain(|item| !item.is_null());
    for place in ["pipeline", "project"] {
        let others = flat.iter().filter(|item| item.get("job").and_then(|_| item.get(place)).is_some()).count();
        if others > MAX_OTHERS {
            reader.complain(node.span, path, &format!("config must be less than or equal to {MAX_OTHERS}"));
        }
    }
    flat.into_iter().filter_map(|item| read_need(item, path, owner, reader)).collect()
}

/// Returns the number of needs that refer to another project's pipeline, whose status the job shows: `{pipeline:
/// group/project}`.
pub fn count_upstream(node: &Node) -> usize {
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
        reader.misfit(node.span, &own, "has an unsupported type");
        return None;
    };
    if mapping.contains_key("pipeline") || mapping.contains_key("project") {
        check_other_pipeline(mapping, path, owner, reader);
        return None;
    }
    if mapping.contains_key("ref") {
        reader.misfit(node.span, &own, "has an unsupported type").help("`ref` needs `project`");
        return None;
    }
    reader.known_keys(mapping, &own, ["job", "artifacts", "optional", "parallel"]);
    let Some(job) = mapping.get("job") else {
        reader.misfit(node.span, &own, "has an unsupported type").help("name the job: `{job: NAME}`");
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
    // `number_parallel_build?` of `entry/needs.rb`
    let is_number = |entry: &&Entry| matches!(entry.value.value, Value::Integer(_) | Value::Float(_));
    if let Some(number) = parallel.filter(is_number) {
        reader.complain(number.value.span, path, "config cannot use \"parallel: <number>\".");
    }
    let parallel = parallel.filter(|entry| !is_number(entry));
    let matrix =
        parallel.and_then(|entry| parallel::read_matrix_only(&entry.value, &format!("{own}:parallel"), reader));
    Some(Need { job, artifacts, optional, matrix })
}

/// Checks a need of another pipeline: `{pipeline: P}`, `{pipeline: P, job: J}` or `{project: P, ref: R, job: J}`. The last one is in
/// `ee/lib/ee/gitlab/ci/config/entry/need.rb`.
fn check_other_pipeline(need: &Mapping, path: &str, owner: Owner, reader: &mut Reader<'_>) {
    let other = if need.contains_key("project") { "project" } else { "pipeline" };
    let Some(entry) = need.get(other) else { return };
    let is_upstream = is_upstream(need);
    if owner == Owner::Rule || is_upstream != (owner == Owner::Bridge) {
        let kind = if is_upstream { "bridge" } else { "cross_dependency" };
        reader.complain(entry.key_span, path, &format!("config uses invalid types: {kind}"));
        return;
    }
    let own = format!("{path}:need");
    let (strings, others): (&[&str], &[&str]) = match other {
        "project" => (&["project", "ref", "job"], &["artifacts"]),
        _ if is_upstream => (&["pipeline"], &[]),
        _ => (&["pipeline", "job"], &["artifacts"]),
    };
    reader.known_keys(need, &own, strings.iter().chain(others).copied());
    for key in strings {
        match need.get(*key) {
            Some(entry) if !entry.value.is_blank() => drop(reader.string(&entry.value, &format!("{own} {key}"))),
            _ => drop(reader.complain(entry.key_span, &format!("{own} {key}"), "can't be blank")),
        }
    }
    if let Some(artifacts) = need.get("artifacts").filter(|entry| !entry.value.is_null()) {
        reader.boolean(&artifacts.value, &format!("{own} artifacts"));
    }
    let warning = reader.diagnostics.unsupported(entry.key_span, &format!("needs:{other}"));
    warning.help("the job in the other pipeline counts as succeeded, without artifacts");
}

/// Whether a list has needs of other pipelines and none of this one.
pub fn are_of_other_pipelines(node: &Node) -> bool {
    let mut flat = Vec::new();
    node.flatten(&mut flat);
    let mut needs = flat.into_iter().filter(|item| !item.is_null()).peekable();
    needs.peek().is_some() && needs.all(|need| need.get("pipeline").or_else(|| need.get("project")).is_some())
}
