//! Explains why the cluster refuses a pod.

use super::api::ApiError;
use crate::executor::request::ExecutorError;

/// Explains why the API server refuses a pod. The reason may be a missing permission, a quota, a Pod Security level, or a webhook.
pub(super) fn refused(error: &ApiError, namespace: &str) -> ExecutorError {
    let message = &error.message;
    let explained = if let Some((head, findings)) = message.split_once("violates PodSecurity ") {
        // `"restricted:latest": A (container "build" must …), B (…)`
        let (level, findings) = findings.split_once(": ").unwrap_or((findings, ""));
        let findings = findings.replace("), ", ")\n  ");
        format!(
            "{head}violates PodSecurity {level}:\n  {findings}\nChange the security contexts in [runners.kubernetes], or use a \
             namespace that allows this"
        )
    } else if message.contains("exceeded quota") {
        format!("{message}; wait for other pods, or request less")
    } else if message.contains("cannot create resource") {
        format!("{message}; the account needs permission to create pods and Secrets in namespace {namespace}")
    } else {
        message.clone()
    };
    ExecutorError::system(format!("the cluster refuses the pod of the job: {explained}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::executor::request::FailureReason;

    #[rstest]
    #[case::pod_security(
        "pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"build\" must \
         set x), runAsNonRoot != true (pod or container \"build\" must set y)",
        "violates PodSecurity \"restricted:latest\":\n  allowPrivilegeEscalation != false (container \"build\" must set x)\n  runAsNonRoot"
    )]
    #[case::quota("pods \"p\" is forbidden: exceeded quota: q, requested: pods=1", "wait for other pods")]
    #[case::permission("pods is forbidden: User \"u\" cannot create resource \"pods\"", "the account needs permission")]
    #[case::webhook(
        "admission webhook \"w\" denied the request: no",
        "the pod of the job: admission webhook \"w\" denied"
    )]
    fn a_refused_pod_is_explained(#[case] message: &str, #[case] expected: &str) {
        let error = ApiError { code: Some(403), ..ApiError::without_answer(message.to_owned(), false) };
        let error = refused(&error, "n");
        assert_eq!(error.reason, FailureReason::RunnerSystemFailure);
        assert!(error.message.contains(expected), "{error}");
    }
}
