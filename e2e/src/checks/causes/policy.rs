//! Determines which `NetworkPolicies` block all connections of a pod.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::ResourceExt;

use crate::checks::cause::{Cause, Part, Remedy};
use crate::checks::environment::object_ref;

/// The policies that select the pod and without which it could be reached, or could reach others. Policies add up: if one of them has a
/// rule, the connection may be allowed, and none is returned. Whether the cluster enforces policies is unknown, so no such cause lasts.
/// <https://kubernetes.io/docs/concepts/services-networking/network-policies/#the-two-sorts-of-pod-isolation>
pub(super) fn denials(pod: &Pod, policies: &[NetworkPolicy]) -> Vec<Cause> {
    let selecting: Vec<&NetworkPolicy> = policies.iter().filter(|policy| selects(policy, pod)).collect();
    let mut found = Vec::new();
    for direction in [Direction::Ingress, Direction::Egress] {
        let isolating: Vec<_> = selecting.iter().filter(|policy| direction.is_isolated_by(policy)).collect();
        if isolating.iter().any(|policy| direction.has_rules(policy)) {
            continue;
        }
        for policy in isolating {
            let (what, fix) = match direction {
                Direction::Ingress => (
                    "it allows no connection to the pods, if the cluster enforces policies",
                    "allow port 8000 from the Ingress controller and from Prometheus",
                ),
                Direction::Egress => (
                    "it allows the pods no connection, if the cluster enforces policies",
                    "allow port 53, UDP and TCP, to the cluster's DNS",
                ),
            };
            found.extend(direction.parts().iter().map(|(part, check)| Cause {
                part: *part,
                check: check.map(str::to_owned),
                object: object_ref(*policy),
                remedy: Remedy::new(what, fix),
            }));
        }
    }
    found
}

#[derive(Clone, Copy)]
enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    fn is_isolated_by(self, policy: &NetworkPolicy) -> bool {
        let Some(spec) = &policy.spec else { return false };
        match (self, spec.policy_types.as_deref().unwrap_or_default()) {
            // The API server sets the types; these are its defaults.
            (Self::Ingress, []) => true,
            (Self::Egress, []) => spec.egress.is_some(),
            (Self::Ingress, types) => types.iter().any(|it| it == "Ingress"),
            (Self::Egress, types) => types.iter().any(|it| it == "Egress"),
        }
    }

    fn has_rules(self, policy: &NetworkPolicy) -> bool {
        policy.spec.as_ref().is_some_and(|spec| match self {
            Self::Ingress => spec.ingress.as_ref().is_some_and(|rules| !rules.is_empty()),
            Self::Egress => spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()),
        })
    }

    /// What does not work without connections in this direction, and the only check for which that matters. A node may always connect to
    /// its pods, so probes succeed, and `readiness` does not depend on policies.
    fn parts(self) -> &'static [(Part, Option<&'static str>)] {
        match self {
            Self::Ingress => &[(Part::Service, Some("service")), (Part::Ingress, None)],
            Self::Egress => &[(Part::Dns, None)],
        }
    }
}

fn selects(policy: &NetworkPolicy, pod: &Pod) -> bool {
    policy.spec.as_ref().is_some_and(|spec| spec.pod_selector.as_ref().is_none_or(|selector| matches(selector, pod)))
}

fn matches(selector: &LabelSelector, pod: &Pod) -> bool {
    let labels = pod.labels();
    let holds = |requirement: &LabelSelectorRequirement| {
        let value = labels.get(&requirement.key);
        let is_listed = value.is_some_and(|value| requirement.values.iter().flatten().any(|it| it == value));
        match &*requirement.operator {
            "In" => is_listed,
            "NotIn" => !is_listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    };
    selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().flatten().all(holds)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    const TO: &str = "it allows no connection to the pods, if the cluster enforces policies";
    const FROM: &str = "it allows the pods no connection, if the cluster enforces policies";

    #[rstest]
    #[case::all(&[json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})], &[TO, TO, FROM])]
    #[case::by_default(&[json!({"podSelector": {}})], &[TO, TO])]
    #[case::by_label(&[json!({"podSelector": {"matchLabels": {"ref": "dev"}}, "policyTypes": ["Egress"]})], &[FROM])]
    #[case::other_pods(&[json!({"podSelector": {"matchLabels": {"ref": "main"}}, "policyTypes": ["Ingress"]})], &[])]
    #[case::other_pods_by_expression(
        &[json!({"podSelector": {"matchExpressions": [{"key": "ref", "operator": "NotIn", "values": ["dev"]}]}})], &[]
    )]
    #[case::with_rules(&[json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 8000}]}]})], &[])]
    #[case::another_policy_allows(
        &[json!({"podSelector": {}, "policyTypes": ["Ingress"]}), json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]})],
        &[]
    )]
    fn the_policies_that_block_all_connections(#[case] specs: &[Value], #[case] expected: &[&str]) {
        let pod = serde_json::from_value(json!({"metadata": {"labels": {"app": "demo", "ref": "dev"}}})).unwrap();
        let policy = |spec: &Value| serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap();
        let found = denials(&pod, &specs.iter().map(policy).collect::<Vec<_>>());
        assert_eq!(found.iter().map(|cause| &*cause.remedy.what).collect::<Vec<_>>(), expected);
        assert!(found.iter().all(|cause| !cause.remedy.is_lasting));
    }
}
