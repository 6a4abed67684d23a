//! Decides from an object's status whether it is ready.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::discovery::v1::Endpoint;

/// Whether a Deployment is complete, by the rule of `kubectl rollout status`.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#complete-deployment>
pub(super) fn is_rolled_out(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    deployment.status.as_ref().is_some_and(|status| {
        let count = |number: Option<i32>| number.unwrap_or_default();
        status.observed_generation >= deployment.metadata.generation
            && count(status.updated_replicas) == wanted
            && count(status.replicas) == wanted
            && count(status.available_replicas) == wanted
    })
}

/// Whether a Service sends requests to an endpoint. Without the condition, it counts as ready, like in kube-proxy.
pub fn is_endpoint_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false)
}

/// Whether a node's condition `Ready` is true.
pub fn is_node_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether a `DaemonSet` has an available pod on every node that it selects.
pub(super) fn is_everywhere(daemon_set: &DaemonSet) -> bool {
    daemon_set.status.as_ref().is_some_and(|status| {
        status.observed_generation >= daemon_set.metadata.generation
            && status.number_available.unwrap_or_default() == status.desired_number_scheduled
    })
}

/// Whether a pod's condition `Ready` is true, or the pod has succeeded.
pub fn is_pod_ready(pod: &Pod) -> bool {
    let has_succeeded = pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Succeeded"));
    has_succeeded || serves(pod)
}

/// Whether a pod's condition `Ready` is true.
pub fn serves(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::done(json!({"observedGeneration": 2, "updatedReplicas": 2, "replicas": 2, "availableReplicas": 2}), true)]
    #[case::not_observed_yet(json!({"observedGeneration": 1, "updatedReplicas": 2, "replicas": 2, "availableReplicas": 2}), false)]
    #[case::an_old_pod_remains(json!({"observedGeneration": 2, "updatedReplicas": 2, "replicas": 3, "availableReplicas": 3}), false)]
    #[case::one_pod_is_not_available(json!({"observedGeneration": 2, "updatedReplicas": 2, "replicas": 2, "availableReplicas": 1}), false)]
    #[case::no_status_yet(json!({}), false)]
    fn a_deployment_is_rolled_out(#[case] status: serde_json::Value, #[case] expected: bool) {
        let deployment = json!({"metadata": {"generation": 2}, "spec": {"replicas": 2, "selector": {}, "template": {}}, "status": status});
        assert_eq!(is_rolled_out(&serde_json::from_value(deployment).unwrap()), expected);
    }

    #[rstest]
    #[case::ready("Running", "True", true)]
    #[case::running("Running", "False", false)]
    #[case::done("Succeeded", "False", true)]
    fn a_pod_is_ready(#[case] phase: &str, #[case] ready: &str, #[case] expected: bool) {
        let pod = json!({"status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}});
        assert_eq!(is_pod_ready(&serde_json::from_value(pod).unwrap()), expected);
    }
}
