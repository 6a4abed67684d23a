//! `retry`. `entry/retry.rb`

use super::reader::{self, Reader, Text};
use super::when::read_exit_codes;
use crate::gitlab_version::GitlabVersion;
use crate::yaml::node::{Node, Value};

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

/// The values of `retry:when`: every reason for which a job can fail, and not only those in GitLab's documentation.
/// `Gitlab::Ci::Config::Entry::Retry.possible_retry_when_values`, `app/models/concerns/enums/ci/commit_status.rb` of GitLab 19
pub const REASONS: &[&str] = &[
    "always",
    "api_failure",
    "archived_failure",
    "bridge_pipeline_is_child_pipeline",
    "builds_disabled",
    "ci_quota_exceeded",
    "data_integrity_failure",
    "deployment_rejected",
    "downstream_bridge_project_not_found",
    "downstream_pipeline_creation_failed",
    "downstream_project_trigger_resolved_to_empty",
    "duo_workflow_not_allowed",
    "environment_creation_failure",
    "failed_outdated_deployment_job",
    "forward_deployment_failure",
    "id_token_burned_project_path",
    "insufficient_bridge_permissions",
    "insufficient_upstream_permissions",
    "invalid_bridge_trigger",
    "ip_restriction_failure",
    "job_execution_server_timeout",
    "job_execution_timeout",
    "job_router_failure",
    "job_token_expired",
    "missing_dependency_failure",
    "no_matching_runner",
    "no_updates_canceling",
    "no_updates_running",
    "pipeline_loop_detected",
    "project_deleted",
    "protected_environment_failure",
    "reached_downstream_pipeline_trigger_rate_limit",
    "reached_max_descendant_pipelines_depth",
    "reached_max_pipeline_hierarchy_size",
    "runner_configuration_error",
    "runner_external_dependency_failure",
    "runner_interrupted",
    "runner_system_failure",
    "runner_unsupported",
    "scheduler_failure",
    "script_failure",
    "secrets_provider_not_found",
    "server_timeout_canceling",
    "server_timeout_running",
    "stale_schedule",
    "stuck_or_timeout_failure",
    "stuck_pending_no_matching_runners",
    "stuck_pending_with_matching_runners",
    "trace_size_exceeded",
    "unknown_failure",
    "unmet_prerequisites",
    "upstream_bridge_project_not_found",
    "user_blocked",
];

/// The reasons that GitLab 19.1 has added. <https://docs.gitlab.com/ci/yaml/#retrywhen>
const NEW_REASONS: [&str; 9] = [
    "no_updates_canceling",
    "no_updates_running",
    "runner_configuration_error",
    "runner_external_dependency_failure",
    "runner_interrupted",
    "server_timeout_canceling",
    "server_timeout_running",
    "stuck_pending_no_matching_runners",
    "stuck_pending_with_matching_runners",
];

/// The maximum number of retries.
const MAX: i64 = 2;

/// Reads the keyword. Returns `None` if it is invalid.
pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Retry> {
    let Some(mapping) = node.mapping() else {
        if !matches!(node.value, Value::Integer(_)) {
            // The entry has a name of its own, without that of the job.
            reader.diagnostics.error(node.span, "retry config has to be either an integer or a hash");
            return None;
        }
        return read_max(node, "config", reader).map(|max| Retry { max, ..Retry::default() });
    };
    // The entry has a name of its own, without that of the job: `location`.
    let mut reader = Reader::for_file(reader.diagnostics);
    let reader = &mut reader;
    reader.known_keys(mapping, "retry", ["max", "when", "exit_codes"]);
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    let when = value("when").map(|node| read_reasons(node, reader)).unwrap_or_default();
    for reason in when.iter().filter(|reason| NEW_REASONS.contains(&&*reason.value)) {
        reader.diagnostics.since(GitlabVersion::new(19, 1), reason.span, &reason.value);
    }
    Some(Retry {
        max: value("max").and_then(|node| read_max(node, "max", reader)).unwrap_or_default(),
        when,
        exit_codes: value("exit_codes").map(|node| read_exit_codes(node, "retry", reader)).unwrap_or_default(),
    })
}

fn read_reasons(node: &Node, reader: &mut Reader<'_>) -> Vec<Text> {
    let items = node.sequence().unwrap_or(std::slice::from_ref(node));
    let unknown = reader::unknown_words(node, REASONS);
    let mut is_reported = false;
    let mut reasons = Vec::new();
    for item in items {
        let Some(text) = item.text() else {
            reader.complain(item.span, "retry when", reader::NOT_WORDS);
            continue;
        };
        // GitLab looks up strings and the items of lists, but not a symbol.
        let is_symbol = node.sequence().is_none() && matches!(node.value, Value::Symbol(_));
        // GitLab's sentence has all unknown values.
        if !is_symbol && !REASONS.contains(&text) && !std::mem::replace(&mut is_reported, true) {
            reader.complain(item.span, "retry when", &unknown).nearest(text, REASONS.iter().copied());
        }
        reasons.push(Text { value: text.into(), span: item.span });
    }
    reasons
}

/// Reads the number of retries. Rails' `numericality` accepts a string with an integer.
fn read_max(node: &Node, attribute: &str, reader: &mut Reader<'_>) -> Option<usize> {
    let text = node.scalar().unwrap_or_default();
    let is_number = matches!(node.value, Value::Integer(_) | Value::Float(_)) || text.trim().parse::<f64>().is_ok();
    let message = match text.parse::<i64>().map_err(|_| is_number) {
        Ok(max) if max < 0 => "must be greater than or equal to 0".to_owned(),
        Ok(max) if max > MAX => format!("must be less than or equal to {MAX}"),
        Ok(max) if !matches!(node.value, Value::Boolean(_)) => return usize::try_from(max).ok(),
        Err(true) => "must be an integer".to_owned(),
        _ => "is not a number".to_owned(),
    };
    // The entry has a name of its own, without that of the job.
    reader.diagnostics.error(node.span, format!("retry {attribute} {message}"));
    None
}
