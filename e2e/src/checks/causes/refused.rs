//! Determines from the API server's message why it creates no pod.

use crate::checks::cause::Remedy;

/// Why the API server rejects a new pod, and the remedy. `None` for a message of another kind.
pub(crate) fn refused(message: &str) -> Option<Remedy> {
    let message = message.trim();
    let reason = message.split_once("forbidden: ").map_or(message, |(_, reason)| reason);
    if let Some((_, rest)) = message.split_once("exceeded quota: ") {
        let name = rest.split(',').next().unwrap_or_default();
        return Some(Remedy::lasting(
            format!("ResourceQuota {rest}"),
            format!("raise ResourceQuota {name}, or remove what it counts: `kubectl describe resourcequota {name}`"),
        ));
    }
    // The quota counts resources that the pod does not declare.
    if let Some((_, rest)) = message.split_once("failed quota: ") {
        return Some(Remedy::lasting(
            format!("ResourceQuota {rest}"),
            "declare these resources in manifests/deployment.yaml, or create a LimitRange with defaults",
        ));
    }
    if let Some((_, rest)) = message.split_once("violates PodSecurity ") {
        return Some(Remedy::lasting(
            format!("PodSecurity rejects the pod: it violates {rest}"),
            "copy the securityContext from manifests/deployment.yaml, or lower the level that the namespace enforces \
             (label pod-security.kubernetes.io/enforce)",
        ));
    }
    // The pod of a webhook that does not answer may be about to start.
    for (phrase, verb, fix, is_lasting) in [
        (
            "admission webhook \"",
            "rejects the pod",
            "change the pod as the webhook demands, or change the webhook's rules",
            true,
        ),
        (
            "failed calling webhook \"",
            "does not answer",
            "start the webhook's service, or delete its configuration",
            false,
        ),
    ] {
        if let Some((name, rest)) = message.split_once(phrase).and_then(|(_, rest)| rest.split_once('"')) {
            let reason = rest.trim_start_matches([':', ' ']).trim_start_matches("denied the request: ");
            let what = format!("admission webhook {name} {verb}: {reason}");
            return Some(Remedy { is_lasting, ..Remedy::new(what, fix) });
        }
    }
    let is_of_limit_range = ["maximum ", "minimum "].iter().any(|word| message.contains(word))
        && message.contains(" usage per ")
        || message.contains(" max limit to request ratio per ");
    if is_of_limit_range {
        return Some(Remedy::lasting(
            format!("a LimitRange rejects the pod: {reason}"),
            "change the resources in manifests/deployment.yaml, or the LimitRange: `kubectl describe limitrange`",
        ));
    }
    if let Some((name, rest)) =
        message.split_once("ValidatingAdmissionPolicy '").and_then(|(_, rest)| rest.split_once('\''))
    {
        let reason = rest.split_once("denied request: ").map_or(rest, |(_, reason)| reason);
        return Some(Remedy::lasting(
            format!("ValidatingAdmissionPolicy {name} rejects the pod: {reason}"),
            format!(
                "change the pod as the policy demands, or change the policy: `kubectl describe validatingadmissionpolicy {name}`"
            ),
        ));
    }
    if message.contains("serviceaccount") && message.contains("not found") {
        return Some(Remedy::lasting(
            format!("the pod's ServiceAccount does not exist: {reason}"),
            "create the ServiceAccount, or remove serviceAccountName from the pod template",
        ));
    }
    if message.contains("forbidden: User \"") {
        return Some(Remedy::lasting(
            format!("the account is not allowed to create pods: {message}"),
            "run the checks with a kubeconfig of the cluster's owner",
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // The messages are those of Kubernetes 1.37.
    #[rstest]
    #[case::quota(
        "pods \"demo-1\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2",
        "ResourceQuota q, requested: pods=1, used: pods=2, limited: pods=2"
    )]
    #[case::pod_security(
        "pods \"demo-1\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true",
        "PodSecurity rejects the pod: it violates \"restricted:latest\": runAsNonRoot != true"
    )]
    #[case::webhook(
        "admission webhook \"policy.test\" denied the request: no label team",
        "admission webhook policy.test rejects the pod: no label team"
    )]
    #[case::silent_webhook(
        "Internal error occurred: failed calling webhook \"policy.test\": connection refused",
        "admission webhook policy.test does not answer: connection refused"
    )]
    #[case::limit_range(
        "pods \"demo-1\" is forbidden: maximum memory usage per Container is 16Mi, but limit is 64Mi",
        "a LimitRange rejects the pod: maximum memory usage per Container is 16Mi, but limit is 64Mi"
    )]
    #[case::quota_of_undeclared_resources(
        "pods \"demo-1\" is forbidden: failed quota: q: must specify limits.cpu for: app",
        "ResourceQuota q: must specify limits.cpu for: app"
    )]
    #[case::ratio(
        "pods \"demo-1\" is forbidden: memory max limit to request ratio per Container is 1, but provided ratio is 2.000000",
        "a LimitRange rejects the pod: memory max limit to request ratio per Container is 1, but provided ratio is 2.000000"
    )]
    #[case::policy(
        "pods \"demo-1\" is forbidden: ValidatingAdmissionPolicy 'team.test' with binding 'team' denied request: no label team",
        "ValidatingAdmissionPolicy team.test rejects the pod: no label team"
    )]
    #[case::service_account(
        "pods \"demo-1\" is forbidden: error looking up service account gitlab/builder: serviceaccount \"builder\" not found",
        "the pod's ServiceAccount does not exist: error looking up service account gitlab/builder: serviceaccount \"builder\" not found"
    )]
    fn the_reason_is_found(#[case] message: &str, #[case] expected: &str) {
        assert_eq!(refused(message).unwrap().what, expected);
    }

    #[test]
    fn another_message_has_no_reason() {
        assert_eq!(refused("etcdserver: request timed out"), None);
    }
}
