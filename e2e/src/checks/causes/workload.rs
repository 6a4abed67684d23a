//! Determines from a Deployment's status why it has no pods.

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;

use super::refused::refused;
use crate::checks::cause::{Part, Remedy};
use crate::checks::environment::scale;

/// Why the Deployment has fewer pods than it requests, or pods of an older template, and the part that this affects.
pub(super) fn without_pods(deployment: &Deployment) -> Option<(Part, Remedy)> {
    let spec = deployment.spec.as_ref()?;
    if spec.replicas == Some(0) {
        return Some((Part::Pods, Remedy::lasting("it is scaled to 0", format!("run `{}`", scale(deployment)))));
    }
    let conditions = deployment.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let failure = conditions.into_iter().find(|it| it.type_ == "ReplicaFailure" && it.status == "True");
    if let Some(failure) = failure {
        let message = failure.message.as_deref().unwrap_or_default();
        // This may be a temporary error of the API server.
        let other = || Remedy::new(format!("its pods are rejected: {message}"), "the message names what rejects them");
        return Some((Part::Update, refused(message).unwrap_or_else(other)));
    }
    let is_behind = deployment
        .status
        .as_ref()
        .is_some_and(|status| status.updated_replicas.unwrap_or(0) < spec.replicas.unwrap_or(1));
    (spec.paused == Some(true) && is_behind).then(|| {
        let what = "its rollout is paused: the template was changed, but not its pods";
        let namespace = deployment.namespace().unwrap_or_default();
        let resume =
            format!("run `kubectl --namespace {namespace} rollout resume deployment/{}`", deployment.name_any());
        (Part::Update, Remedy::lasting(what, resume))
    })
}

/// Why the Deployment's pods may not find Services by their names. Not lasting: another name server may know them, too.
/// <https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-dns-policy>
pub(super) fn own_resolver(deployment: &Deployment) -> Option<Remedy> {
    let spec = deployment.spec.as_ref()?.template.spec.as_ref()?;
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let what = match policy {
        "Default" => "its pods have dnsPolicy Default: they ask the name servers of the node".to_owned(),
        "None" => {
            let config = spec.dns_config.clone().unwrap_or_default();
            // Possibly a cache on the node, which asks the cluster's DNS.
            let cluster = format!("{}.svc.", deployment.namespace().unwrap_or_default());
            if config.searches.iter().flatten().any(|search| search.starts_with(&cluster)) {
                return None;
            }
            let list = |values: Option<Vec<String>>| {
                values.filter(|it| !it.is_empty()).map_or("none".to_owned(), |it| it.join(", "))
            };
            let (servers, searches) = (list(config.nameservers), list(config.searches));
            format!("its pods have dnsPolicy None, with the name servers {servers} and the search path {searches}")
        }
        "ClusterFirst" if spec.host_network == Some(true) => {
            let what = "its pods have the network of the node and dnsPolicy ClusterFirst: they ask the name servers of the node";
            return Some(Remedy::new(what, "set dnsPolicy: ClusterFirstWithHostNet in the pod template"));
        }
        _ => return None,
    };
    Some(Remedy::new(what, "remove dnsPolicy and dnsConfig from the pod template"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn cause(replicas: i32, paused: bool, status: &Value) -> Option<String> {
        let spec = json!({"replicas": replicas, "paused": paused, "selector": {}, "template": {}});
        let deployment = serde_json::from_value(json!({"metadata": {}, "spec": spec, "status": status})).unwrap();
        without_pods(&deployment).map(|(_, remedy)| {
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

    #[rstest]
    #[case::of_the_node(json!({"dnsPolicy": "Default"}), Some("its pods have dnsPolicy Default: they ask the name servers of the node"))]
    #[case::another(
        json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.1"]}}),
        Some("its pods have dnsPolicy None, with the name servers 192.0.2.1 and the search path none")
    )]
    #[case::a_cache(json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["169.254.20.10"], "searches": ["gitlab.svc.cluster.local"]}}), None)]
    #[case::node_network(
        json!({"hostNetwork": true}),
        Some("its pods have the network of the node and dnsPolicy ClusterFirst: they ask the name servers of the node")
    )]
    #[case::node_network_and_cluster_dns(json!({"hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"}), None)]
    #[case::cluster_first(json!({"dnsPolicy": "ClusterFirst"}), None)]
    #[case::not_set(json!({}), None)]
    fn pods_with_another_resolver(#[case] pod: Value, #[case] expected: Option<&str>) {
        let mut pod = pod;
        pod["containers"] = json!([]);
        let spec = json!({"selector": {}, "template": {"spec": pod}});
        let deployment = serde_json::from_value(json!({"metadata": {"namespace": "gitlab"}, "spec": spec})).unwrap();
        assert_eq!(own_resolver(&deployment).map(|remedy| remedy.what).as_deref(), expected);
    }
}
