//! Pull policies: GitLab Runner's `common/config.go`, `executors/kubernetes/internal/pull/manager.go`.

use crate::config::kubernetes::KubernetesConfig;
use crate::executor::request::{ExecutorError, FailureReason, ImageRequest};
use gitlab_ci::config::image::PullPolicy;

/// The pull policies of an image, in the order in which they are tried. `None` leaves the choice to the cluster.
///
/// # Errors
/// The runner configuration allows none of them.
pub(super) fn policies(
    image: &ImageRequest,
    config: &KubernetesConfig,
) -> Result<Vec<Option<PullPolicy>>, ExecutorError> {
    let allowed =
        if config.allowed_pull_policies.is_empty() { &config.pull_policy } else { &config.allowed_pull_policies };
    let wanted = if image.pull_policy.is_empty() { &config.pull_policy } else { &image.pull_policy };
    if wanted.is_empty() {
        return Ok(vec![None]);
    }
    let policies: Vec<_> = wanted.iter().copied().filter(|policy| allowed.contains(policy)).map(Some).collect();
    if policies.is_empty() {
        let message = format!(
            "no pull policy of {} ({}) is allowed: `allowed_pull_policies`, or else `pull_policy`, in \
             [runners.kubernetes] has {}",
            image.name,
            names(wanted),
            if allowed.is_empty() { "none".to_owned() } else { names(allowed) }
        );
        return Err(ExecutorError { reason: FailureReason::ScriptFailure, message });
    }
    Ok(policies)
}

/// The policy in GitLab's words.
pub(super) fn name(policy: Option<PullPolicy>) -> &'static str {
    match policy {
        None => "the cluster's default",
        Some(PullPolicy::Always) => "always",
        Some(PullPolicy::IfNotPresent) => "if-not-present",
        Some(PullPolicy::Never) => "never",
    }
}

/// The policy in the words of Kubernetes.
pub(super) fn kubernetes_name(policy: PullPolicy) -> &'static str {
    match policy {
        PullPolicy::Always => "Always",
        PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Never => "Never",
    }
}

fn names(policies: &[PullPolicy]) -> String {
    policies.iter().map(|policy| name(Some(*policy))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::PullPolicy::{Always, IfNotPresent, Never};
    use super::*;

    #[rstest]
    #[case::nothing_is_set(&[], &[], &[], Ok(&[None][..]))]
    #[case::runner(&[], &[Always, IfNotPresent], &[], Ok(&[Some(Always), Some(IfNotPresent)][..]))]
    #[case::job(&[Never], &[Always], &[Never, Always], Ok(&[Some(Never)][..]))]
    #[case::intersection(&[Never, Always], &[Always], &[], Ok(&[Some(Always)][..]))]
    #[case::twice(&[Always, Always], &[Always], &[], Ok(&[Some(Always), Some(Always)][..]))]
    #[case::not_allowed(&[Never], &[Always], &[], Err("(never) is allowed: "))]
    #[case::runner_without_policies(&[Never], &[], &[], Err("[runners.kubernetes] has none"))]
    fn a_job_may_only_use_allowed_policies(
        #[case] job: &[PullPolicy],
        #[case] runner: &[PullPolicy],
        #[case] allowed: &[PullPolicy],
        #[case] expected: Result<&[Option<PullPolicy>], &str>,
    ) {
        let image = ImageRequest { name: "i".to_owned(), pull_policy: job.to_vec(), ..ImageRequest::default() };
        let config = KubernetesConfig {
            pull_policy: runner.to_vec(),
            allowed_pull_policies: allowed.to_vec(),
            ..KubernetesConfig::default()
        };
        match (policies(&image, &config), expected) {
            (Ok(policies), Ok(expected)) => assert_eq!(policies, expected),
            (Err(error), Err(expected)) => assert!(error.message.contains(expected), "{error}"),
            (result, _) => panic!("{result:?}"),
        }
    }
}
