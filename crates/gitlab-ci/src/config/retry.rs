//! `retry`. `entry/retry.rb`

use super::reader::{Reader, Text};
use super::when::read_exit_codes;
use crate::yaml::node::Node;

/// When GitLab retries a failed job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    /// The maximum number of retries.
    pub max: usize,
    /// The reasons for which the job is retried. Empty means any reason, unless `exit_codes` are given.
    pub when: Vec<Text>,
    /// The exit codes for which the job is retried.
    pub exit_codes: Vec<i64>,
}

/// The values of `retry:when`. `Gitlab::Ci::Config::Entry::Retry.possible_retry_when_values`
pub const REASONS: &[&str] = &[
    "always",
    "api_failure",
    "archived_failure",
    "data_integrity_failure",
    "forward_deployment_failure",
    "job_execution_server_timeout",
    "job_execution_timeout",
    "missing_dependency_failure",
    "runner_system_failure",
    "runner_unsupported",
    "scheduler_failure",
    "script_failure",
    "stale_schedule",
    "stuck_or_timeout_failure",
    "unknown_failure",
    "unmet_prerequisites",
];

const RANGE: &str = "config must be greater than or equal to 0 and less than or equal to 2";

/// Reads the keyword. Returns `None` if it is invalid.
pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Retry> {
    let times = |node: &Node, reader: &mut Reader<'_>| {
        reader.number(node, "retry", 0..=2, RANGE).and_then(|max| usize::try_from(max).ok())
    };
    let Some(mapping) = node.mapping() else {
        return times(node, reader).map(|max| Retry { max, ..Retry::default() });
    };
    reader.known_keys(mapping, "retry", ["max", "when", "exit_codes"]);
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    let when = value("when").map(|node| reader.strings(node, "retry:when")).unwrap_or_default();
    for reason in when.iter().filter(|reason| !REASONS.contains(&&*reason.value)) {
        let error = reader.complain(reason.span, "retry", "when is unknown");
        error.nearest(&reason.value, REASONS.iter().copied());
    }
    Some(Retry {
        max: value("max").and_then(|node| times(node, reader)).unwrap_or_default(),
        when,
        exit_codes: value("exit_codes").map(|node| read_exit_codes(node, "retry", reader)).unwrap_or_default(),
    })
}
