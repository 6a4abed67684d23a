//! `when` and `allow_failure`.

use super::reader::Reader;
use crate::yaml::node::{Node, Value};

/// When a job runs. <https://docs.gitlab.com/ci/yaml/#when>
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// All jobs before it have succeeded.
    OnSuccess,
    /// A job before it has failed.
    OnFailure,
    /// Independently of the status of other jobs.
    Always,
    /// A user starts the job.
    Manual,
    /// After a delay.
    Delayed,
    /// Never. Rules only.
    Never,
}

/// The values of `when` in a job. `entry/job.rb`
pub const JOB_VALUES: &[(&str, When)] = &[
    ("on_success", When::OnSuccess),
    ("on_failure", When::OnFailure),
    ("always", When::Always),
    ("manual", When::Manual),
    ("delayed", When::Delayed),
];

/// The values of `when` in a job that starts another pipeline. `entry/bridge.rb`
pub const BRIDGE_VALUES: &[(&str, When)] = &[
    ("on_success", When::OnSuccess),
    ("on_failure", When::OnFailure),
    ("always", When::Always),
    ("manual", When::Manual),
];

/// The values of `when` in a rule of a job. `entry/rules/rule.rb`
pub const RULE_VALUES: &[(&str, When)] = &[
    ("on_success", When::OnSuccess),
    ("on_failure", When::OnFailure),
    ("always", When::Always),
    ("never", When::Never),
    ("manual", When::Manual),
    ("delayed", When::Delayed),
];

/// The values of `when` in a rule of `workflow`. `entry/workflow.rb`
pub const WORKFLOW_VALUES: &[(&str, When)] = &[("always", When::Always), ("never", When::Never)];

/// Whether a job may fail without failing the pipeline. <https://docs.gitlab.com/ci/yaml/#allow_failure>
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowFailure {
    /// The same for every failure.
    Fixed(bool),
    /// The job may fail with these exit codes.
    ExitCodes(Vec<i64>),
}

/// Reads `allow_failure`. Returns `None` if it is invalid.
pub fn read_allow_failure(node: &Node, reader: &mut Reader<'_>) -> Option<AllowFailure> {
    let Some(mapping) = node.mapping() else {
        if !matches!(node.value, Value::Boolean(_)) {
            reader.complain(node.span, " allow_failure", "should be a hash or a boolean value");
            return None;
        }
        return reader.boolean(node, " allow_failure").map(AllowFailure::Fixed);
    };
    reader.known_keys(mapping, "allow_failure", ["exit_codes"]);
    // A hash means that other failures count, even for a manual job. `static_allow_failure` of `entry/job.rb`
    let codes = mapping.get("exit_codes").map(|entry| &entry.value).filter(|node| !node.is_null());
    let Some(codes) = codes else { return Some(AllowFailure::Fixed(false)) };
    Some(AllowFailure::ExitCodes(read_exit_codes(codes, "allow_failure", reader)))
}

/// Reads a number or a list of numbers.
pub fn read_exit_codes(node: &Node, path: &str, reader: &mut Reader<'_>) -> Vec<i64> {
    let items = node.sequence().unwrap_or(std::slice::from_ref(node));
    let message = "exit codes should be an array of integers or an integer";
    items.iter().filter_map(|item| reader.number(item, path, i64::MIN..=i64::MAX, message)).collect()
}
