//! Determines from a Deployment's status why it has no pods.

use k8s_openapi::api::apps::v1::Deployment;

use super::refused::refused;
use crate::checks::cause::Remedy;

/// Why the Deployment has fewer pods than its template demands, or pods of an older template.
pub(super) fn without_pods(deployment: &Deployment) -> Option<Remedy> {
    let spec = deployment.spec.as_ref()?;
    if spec.replicas == Some(0) {
        return Some(Remedy::lasting("it is scaled to 0", "run `kubectl scale --replicas=2`"));
    }
    let conditions = deployment.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let failure = conditions.into_iter().find(|it| it.type_ == "ReplicaFailure" && it.status == "True");
    if let Some(failure) = failure {
        let message = failure.message.as_deref().unwrap_or_default();
        let Some(remedy) = refused(message) else {
            // Possibly an error of the API server, which passes.
            let what = format!("its pods are rejected: {message}");
            return Some(Remedy::new(what, "the message names what rejects them"));
        };
        return Some(Remedy { is_lasting: true, ..remedy });
    }
    let is_behind = deployment
        .status
        .as_ref()
        .is_some_and(|status| status.updated_replicas.unwrap_or(0) < spec.replicas.unwrap_or(1));
    (spec.paused == Some(true) && is_behind).then(|| {
        Remedy::lasting(
            "its rollout is paused: the template was changed, but not its pods",
            "run `kubectl rollout resume`",
        )
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn cause(replicas: i32, paused: bool, status: &Value) -> Option<String> {
        let spec = json!({"replicas": replicas, "paused": paused, "selector": {}, "template": {}});
        let deployment = serde_json::from_value(json!({"metadata": {}, "spec": spec, "status": status})).unwrap();
        without_pods(&deployment).map(|remedy| {
            assert_eq!(remedy.is_lasting, !remedy.what.contains("etcd"));
            remedy.what
        })
    }

    #[rstest]
    #[case::scaled_to_zero(0, false, json!({}), Some("it is scaled to 0"))]
    #[case::paused(2, true, json!({"updatedReplicas": 0}), Some("its rollout is paused: the template was changed, but not its pods"))]
    #[case::paused_and_complete(2, true, json!({"updatedReplicas": 2}), None)]
    #[case::complete(2, false, json!({"updatedReplicas": 2}), None)]
    #[case::quota(
        2, false,
        json!({"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "pods \"x\" is forbidden: exceeded quota: q, used: pods=2"}]}),
        Some("ResourceQuota q, used: pods=2")
    )]
    #[case::another_reason(
        2, false,
        json!({"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "etcd is full"}]}),
        Some("its pods are rejected: etcd is full")
    )]
    fn the_cause_is_seen(
        #[case] replicas: i32,
        #[case] paused: bool,
        #[case] status: Value,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(cause(replicas, paused, &status).as_deref(), expected);
    }
}
