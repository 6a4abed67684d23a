//! Determines which `NetworkPolicies` block connections of a pod.

use k8s_openapi::api::core::v1::{ContainerPort, Pod};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use crate::checks::cause::{Cause, Part, Remedy};
use crate::checks::environment::object_ref;

/// The policies that select the pod and without which it could be reached, or could reach others. Policies add up: if one of them has a
/// rule for the port, the connection may be allowed, and none is returned. Whom a rule allows is not decided here, and whether the cluster
/// enforces policies is unknown, so no such cause lasts.
/// <https://kubernetes.io/docs/concepts/services-networking/network-policies/#the-two-sorts-of-pod-isolation>
pub(super) fn denials(pod: &Pod, policies: &[NetworkPolicy]) -> Vec<Cause> {
    let selecting: Vec<&NetworkPolicy> = policies.iter().filter(|policy| selects(policy, pod)).collect();
    let mut found = Vec::new();
    for direction in [Direction::Ingress, Direction::Egress] {
        let isolating: Vec<_> = selecting.iter().filter(|policy| direction.is_isolated_by(policy)).collect();
        let ports = direction.ports(pod);
        if isolating.iter().any(|policy| direction.rules(policy).iter().any(|rule| allows(rule, &ports))) {
            continue;
        }
        for policy in isolating {
            let remedy = direction.remedy(&ports, !direction.rules(policy).is_empty());
            found.extend(direction.parts().iter().map(|(part, check)| Cause {
                part: *part,
                check: check.map(str::to_owned),
                object: object_ref(*policy),
                remedy: remedy.clone(),
            }));
        }
    }
    found
}

/// A port of a pod, or of the cluster's DNS.
struct Port {
    number: i32,
    /// The name in the container's list of ports.
    name: Option<String>,
    protocol: String,
}

/// The ports of a rule. A rule without any allows all ports.
type Rule<'a> = &'a [NetworkPolicyPort];

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

    fn rules(self, policy: &NetworkPolicy) -> Vec<Rule<'_>> {
        let Some(spec) = &policy.spec else { return Vec::new() };
        match self {
            Self::Ingress => {
                spec.ingress.iter().flatten().map(|rule| rule.ports.as_deref().unwrap_or_default()).collect()
            }
            Self::Egress => {
                spec.egress.iter().flatten().map(|rule| rule.ports.as_deref().unwrap_or_default()).collect()
            }
        }
    }

    /// The ports that must be allowed: those of the pod, and DNS in the other direction.
    fn ports(self, pod: &Pod) -> Vec<Port> {
        match self {
            Self::Ingress => {
                let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
                containers.flat_map(|container| container.ports.iter().flatten()).map(port).collect()
            }
            Self::Egress => {
                ["UDP", "TCP"].map(|protocol| Port { number: 53, name: None, protocol: protocol.to_owned() }).into()
            }
        }
    }

    fn remedy(self, ports: &[Port], has_rules: bool) -> Remedy {
        match self {
            Self::Ingress => {
                let numbers: Vec<String> = ports.iter().map(|port| port.number.to_string()).collect();
                let port = if numbers.is_empty() { String::new() } else { format!("port {} ", numbers.join(", ")) };
                let to = if has_rules && !port.is_empty() { format!("{port}of ") } else { String::new() };
                Remedy::new(
                    format!("it allows no connection to {to}the pods, if the cluster enforces policies"),
                    format!("allow {port}from the Ingress controller and from Prometheus"),
                )
            }
            Self::Egress => Remedy::new(
                format!(
                    "it allows the pods no connection{}, if the cluster enforces policies",
                    if has_rules { " to port 53" } else { "" }
                ),
                "allow port 53, UDP and TCP, to the cluster's DNS",
            ),
        }
    }

    /// What does not work without connections in this direction, and the only check for which that matters. A node may always connect to
    /// its pods, so probes succeed, and `readiness` does not depend on policies.
    fn parts(self) -> &'static [(Part, Option<&'static str>)] {
        match self {
            Self::Ingress => &[(Part::Service, Some("service")), (Part::Ingress, None), (Part::Pods, Some("scraping"))],
            Self::Egress => &[(Part::Dns, None)],
        }
    }
}

fn port(port: &ContainerPort) -> Port {
    Port {
        number: port.container_port,
        name: port.name.clone(),
        protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
    }
}

/// Whether a rule may allow a connection to one of the ports. If the pod declares none, its ports are unknown.
fn allows(rule: Rule<'_>, ports: &[Port]) -> bool {
    rule.is_empty() || ports.is_empty() || ports.iter().any(|port| rule.iter().any(|allowed| includes(allowed, port)))
}

fn includes(allowed: &NetworkPolicyPort, port: &Port) -> bool {
    allowed.protocol.as_deref().unwrap_or("TCP") == port.protocol
        && match &allowed.port {
            None => true,
            Some(IntOrString::Int(first)) => (*first..=allowed.end_port.unwrap_or(*first)).contains(&port.number),
            // For egress, a name means a port of the other pod, which is unknown.
            Some(IntOrString::String(name)) => port.name.as_ref().is_none_or(|it| it == name),
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
    const TO_PORT: &str = "it allows no connection to port 8000 of the pods, if the cluster enforces policies";
    const FROM: &str = "it allows the pods no connection, if the cluster enforces policies";
    const TO_DNS: &str = "it allows the pods no connection to port 53, if the cluster enforces policies";

    #[rstest]
    #[case::all(&[json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})], &[TO, TO, TO, FROM])]
    #[case::by_default(&[json!({"podSelector": {}})], &[TO, TO, TO])]
    #[case::by_label(&[json!({"podSelector": {"matchLabels": {"ref": "dev"}}, "policyTypes": ["Egress"]})], &[FROM])]
    #[case::other_pods(&[json!({"podSelector": {"matchLabels": {"ref": "main"}}, "policyTypes": ["Ingress"]})], &[])]
    #[case::other_pods_by_expression(
        &[json!({"podSelector": {"matchExpressions": [{"key": "ref", "operator": "NotIn", "values": ["dev"]}]}})], &[]
    )]
    #[case::with_rules(&[json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 8000}]}]})], &[])]
    #[case::another_port(&[json!({"podSelector": {}, "ingress": [{"ports": [{"port": 9999}, {"protocol": "UDP"}]}]})], &[TO_PORT, TO_PORT, TO_PORT])]
    #[case::a_range(&[json!({"podSelector": {}, "ingress": [{"ports": [{"port": 7000, "endPort": 9000}]}]})], &[])]
    #[case::the_ports_name(&[json!({"podSelector": {}, "ingress": [{"ports": [{"port": "http"}]}]})], &[])]
    #[case::another_name(&[json!({"podSelector": {}, "ingress": [{"ports": [{"port": "web"}]}]})], &[TO_PORT, TO_PORT, TO_PORT])]
    #[case::no_dns(&[json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 443}]}]})], &[TO_DNS])]
    #[case::dns(&[json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]})], &[])]
    #[case::another_policy_allows(
        &[json!({"podSelector": {}, "policyTypes": ["Ingress"]}), json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]})],
        &[]
    )]
    fn the_policies_that_block_connections(#[case] specs: &[Value], #[case] expected: &[&str]) {
        let container = json!({"name": "app", "ports": [{"name": "http", "containerPort": 8000}]});
        let pod = json!({"metadata": {"labels": {"app": "demo", "ref": "dev"}}, "spec": {"containers": [container]}});
        let pod = serde_json::from_value(pod).unwrap();
        let policy = |spec: &Value| serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap();
        let found = denials(&pod, &specs.iter().map(policy).collect::<Vec<_>>());
        assert_eq!(found.iter().map(|cause| &*cause.remedy.what).collect::<Vec<_>>(), expected);
        assert!(found.iter().all(|cause| !cause.remedy.is_lasting));
    }
}
