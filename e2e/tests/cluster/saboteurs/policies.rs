//! Saboteurs that are `NetworkPolicies`, on a cluster that enforces them: kube-router does so while a test runs.

use std::process::Command;

use serde_json::{Value, json};

use super::shared::alone;
use super::{assert_causes, failing, object, wait_until_replaced, wait_until_served, wait_until_unserved};
use crate::fixture::{feed, load, owner};
use crate::support::{image, run};

/// The checks that a policy can make fail (`dns`, `scraping`, `ingress`), and others that it cannot: a node may always connect to its pods,
/// also when it forwards requests of the API server.
const CONNECTED: [&str; 7] = ["deployment", "readiness", "dns", "service", "scraping", "ingress", "version"];

/// kube-router on all nodes, which is removed with its rules at the end of the test, even if it panics.
struct Enforcer {
    nodes: Vec<String>,
}

impl Enforcer {
    fn start() -> Self {
        let image = image("kube-router");
        let enforcer = Self { nodes: load(&image) };
        let manifest = include_str!("kube-router.yaml").replace("KUBE_ROUTER_IMAGE", &image);
        feed(&mut owner(&["apply", "--filename", "-"]), &manifest);
        run(&mut owner(&["--namespace=kube-system", "rollout", "status", "--timeout=60s", "daemonset/kube-router"]));
        enforcer
    }
}

/// Removes kube-router's rules on a node. `kube-router --cleanup-config` of this version panics.
const CLEAN: &str = "iptables-save --table filter | grep --invert-match --regexp KUBE-ROUTER --regexp KUBE-POD-FW --regexp KUBE-NWPLCY \
                     | iptables-restore --wait --table filter";

impl Drop for Enforcer {
    fn drop(&mut self) {
        // Must not panic: a panic during unwinding would abort all tests.
        let kinds = ["daemonset", "serviceaccount", "clusterrole", "clusterrolebinding"];
        let objects = kinds.map(|kind| format!("{kind}/kube-router"));
        // Waits for the end of its pods, which would write the rules again.
        let delete = ["--namespace=kube-system", "delete", "--ignore-not-found", "--cascade=foreground"];
        let _ = owner(&delete).args(objects).output();
        for node in &self.nodes {
            let _ = Command::new("docker").args(["exec", node, "sh", "-c", CLEAN]).output();
        }
    }
}

/// Replaces the pods: a policy does not end the connections that the Ingress controller keeps open.
fn renew(slug: &str) {
    let name = format!("deployment/gitlab-k8s-demo-{slug}");
    run(&mut owner(&["--namespace=gitlab", "rollout", "restart", &name]));
    wait_until_replaced(slug);
}

#[test]
fn a_network_policy_blocks_connections() {
    let (_deployer, _cleanup) = alone("walled");
    let _enforcer = Enforcer::start();
    assert!(failing("walled", &CONNECTED, "30s", &[]).is_empty());
    let other = json!({"podSelector": {"matchLabels": {"ref": "walled"}}, "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": 9999, "protocol": "TCP"}]}]});
    let port = "NetworkPolicy gitlab/other-port: it allows no connection to port 8000 of the pods";
    blocked("other-port", &other, &[("ingress", port), ("scraping", port)]);
    let all = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
    let to = "NetworkPolicy gitlab/nothing: it allows no connection to the pods";
    let from = "NetworkPolicy gitlab/nothing: it allows the pods no connection";
    blocked("nothing", &all, &[("ingress", to), ("scraping", to), ("dns", from)]);
}

/// Asserts that exactly the checks in `expected` fail while there is this policy, with causes that contain the given words.
fn blocked(name: &str, spec: &Value, expected: &[(&str, &str)]) {
    let policy = object(&json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "gitlab"}, "spec": spec}));
    renew("walled");
    wait_until_unserved("walled");
    assert_causes(&failing("walled", &CONNECTED, "15s", &[]), &CONNECTED, expected);
    drop(policy);
    wait_until_served("walled");
}
