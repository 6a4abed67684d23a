//! Determines from a node's conditions why its pods do not work.

use k8s_openapi::api::core::v1::{Node, NodeCondition};

use crate::checks::cause::Remedy;
use crate::environment::cluster::conditions::is_node_ready;

/// The conditions that are true only if something is wrong, with the remedy.
/// <https://kubernetes.io/docs/reference/node/node-status/#condition>
const TROUBLES: [(&str, &str); 4] = [
    ("DiskPressure", "free disk space on the node: until then, the kubelet evicts pods and starts no others"),
    ("MemoryPressure", "free memory on the node: until then, the kubelet evicts pods"),
    ("PIDPressure", "end processes on the node: until then, the kubelet evicts pods"),
    ("NetworkUnavailable", "look at the pods of the network plugin in kube-system"),
];

/// The problem of a node. It may end by itself.
pub(super) fn unhealthy(node: &Node) -> Option<Remedy> {
    if !is_node_ready(node) {
        let fix = "look at its conditions and its kubelet: `kubectl describe node`";
        return Some(Remedy::new("the node is not Ready", fix));
    }
    let conditions: Vec<&NodeCondition> =
        node.status.iter().flat_map(|status| status.conditions.iter().flatten()).collect();
    TROUBLES.iter().find_map(|(name, fix)| {
        let condition = conditions.iter().find(|it| it.type_ == *name && it.status == "True")?;
        let message = condition.message.as_deref().unwrap_or_default();
        Some(Remedy::new(format!("the node has {name}: {message}"), *fix))
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::well(&[("Ready", "True"), ("DiskPressure", "False")], None)]
    #[case::not_ready(&[("Ready", "Unknown"), ("DiskPressure", "True")], Some("the node is not Ready"))]
    #[case::full(&[("Ready", "True"), ("DiskPressure", "True")], Some("the node has DiskPressure: why"))]
    #[case::no_network(&[("Ready", "True"), ("NetworkUnavailable", "True")], Some("the node has NetworkUnavailable: why"))]
    fn a_node_is_unhealthy(#[case] conditions: &[(&str, &str)], #[case] expected: Option<&str>) {
        let conditions: Vec<_> =
            conditions.iter().map(|(name, status)| json!({"type": name, "status": status, "message": "why"})).collect();
        let node = serde_json::from_value(json!({"metadata": {}, "status": {"conditions": conditions}})).unwrap();
        let found = unhealthy(&node);
        assert_eq!(found.as_ref().map(|remedy| &*remedy.what), expected);
        assert!(found.is_none_or(|remedy| !remedy.is_lasting));
    }
}
