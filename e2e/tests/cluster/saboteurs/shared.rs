//! Saboteurs of what all environments share: namespace, permissions, nodes, and the programs around the service. No other test may use the
//! cluster at the same time, so these run few checks where few depend on the change.

use std::sync::{PoisonError, RwLockWriteGuard};

use serde_json::{Value, json};

use super::{
    COMMIT, QUICK, TIMEOUT, Undo, all, assert_causes, caught, container, explained, failing, intact, object,
    patch_pods, record_reported, wait_until_served,
};
use crate::fixture::{Cleanup, DEPLOYER, PodSecurityLevel, SavedPermissions, access, owner, wait_for_pods};
use crate::support::{e2e, run};

/// Checks that take a second.
const FAST: [&str; 7] = ["registry", "rbac", "pod-security", "deployment", "service", "ingress", "version"];

/// The same with `scraping`.
const SCRAPED: [&str; 5] = ["deployment", "service", "scraping", "ingress", "version"];

/// Deploys an intact environment, and waits until no other test uses the cluster.
pub(super) fn alone(slug: &str) -> (RwLockWriteGuard<'static, ()>, Cleanup) {
    let cleanup = {
        let _deployer = DEPLOYER.read();
        intact(slug)
    };
    (DEPLOYER.write().unwrap_or_else(PoisonError::into_inner), cleanup)
}

#[test]
fn the_account_has_permissions_elsewhere() {
    let (_deployer, _cleanup) = alone("mighty");
    let _binding = Cleanup(vec!["--namespace=kube-system".into(), "rolebinding/mighty".into()]);
    let binding = ["--namespace=kube-system", "create", "rolebinding", "mighty"];
    run(owner(&binding).args(["--clusterrole=admin", "--serviceaccount=gitlab:gitlab"]));
    let failure = caught("mighty", "rbac", &FAST, "list secrets in kube-system", &[]);
    assert_eq!(failure["object"], "RoleBinding kube-system/mighty (ClusterRole admin)");
}

#[test]
#[ignore = "a variant: make test-variants"]
fn the_account_may_read_one_more_namespace() {
    let (_deployer, _cleanup) = alone("curious");
    let _binding = Cleanup(vec!["--namespace=kube-public".into(), "rolebinding/curious".into()]);
    let account = ["--clusterrole=view", "--serviceaccount=gitlab:gitlab"];
    run(owner(&["--namespace=kube-public", "create", "rolebinding", "curious"]).args(account));
    let failed = failing("curious", &["rbac"], "30s", &[]);
    let actual = failed["rbac"]["failure"]["seen"].as_str().expect("what was seen");
    assert!(actual.contains(" in kube-public"), "{actual}");
    record_reported(&["rbac"], &failed);
    assert!(failed["rbac"]["failure"]["details"].to_string().contains("curious"), "{failed:?}");
}

#[test]
fn the_account_cannot_deploy() {
    let (_deployer, _cleanup) = alone("powerless");
    let _permissions = SavedPermissions::save();
    let rules = json!([{"op": "remove", "path": "/rules/0"}]).to_string();
    run(&mut owner(&["--namespace=gitlab", "patch", "role", "gitlab", "--type=json", "--patch", &rules]));
    let failure = caught("powerless", "rbac", &FAST, "it cannot get deployments in gitlab", &[]);
    assert_eq!(failure["object"], "RoleBinding gitlab/gitlab (Role gitlab)");
}

#[test]
fn the_account_has_permissions_in_the_whole_cluster() {
    let (_deployer, _cleanup) = alone("almighty");
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "almighty"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "gitlab", "namespace": "gitlab"}]});
    let _binding = object(&binding);
    let failure = caught("almighty", "rbac", &FAST, "list secrets in kube-system", &[]);
    assert_eq!(failure["object"], "ClusterRoleBinding almighty (ClusterRole cluster-admin)");
}

#[test]
fn the_namespace_allows_privileged_pods() {
    let (_deployer, _cleanup) = alone("privileged");
    let _level = PodSecurityLevel;
    PodSecurityLevel::set("privileged");
    let failure = caught("privileged", "pod-security", &FAST, "pod-security.kubernetes.io/enforce=privileged", &[]);
    assert_eq!(failure["object"], "Namespace gitlab");
    PodSecurityLevel::set("baseline");
    assert!(failing("privileged", &["pod-security"], "30s", &[]).is_empty());
}

#[test]
fn the_namespace_enforces_no_pod_security() {
    let (_deployer, _cleanup) = alone("unlabeled");
    let _level = PodSecurityLevel;
    run(&mut owner(&["label", "namespace", "gitlab", "pod-security.kubernetes.io/enforce-"]));
    caught("unlabeled", "pod-security", &FAST, "no label", &[]);
}

#[test]
fn the_namespace_only_warns_of_privileged_pods() {
    let (_deployer, _cleanup) = alone("warned");
    let _level = PodSecurityLevel;
    let _warn = Undo::new(&["label", "namespace", "gitlab", "pod-security.kubernetes.io/warn-"]);
    run(&mut owner(&["label", "namespace", "gitlab", "pod-security.kubernetes.io/warn=restricted"]));
    PodSecurityLevel::set("privileged");
    caught("warned", "pod-security", &FAST, "the pod is accepted", &[]);
}

/// The pipeline's account cannot create pods. The check must not mistake RBAC's rejection for one by `PodSecurity`.
#[test]
fn pod_security_is_not_run_for_an_account_that_cannot_create_pods() {
    let _deployer = DEPLOYER.read();
    let kubeconfig = access("gitlab_kubeconfig");
    let mut command = e2e(&["check", "--quiet", "--format", "json", "--kubeconfig", kubeconfig, "--ref", "any"]);
    let output = command.arg("pod-security").output().expect("e2e runs");
    assert_eq!(output.status.code(), Some(1), "a named check must be run");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let checks = &report["checks"];
    assert_eq!(checks[0]["verdict"], "not_run", "{checks}");
    assert!(
        checks[0]["not_run"].as_str().is_some_and(|reason| reason.contains("is not allowed to create pods")),
        "{checks}"
    );
}

#[test]
fn the_clusters_dns_has_no_pod() {
    let (_deployer, _cleanup) = alone("nameless");
    let undo = Undo::new(&["--namespace=kube-system", "scale", "--replicas=2", "deployment/coredns"]);
    run(&mut owner(&["--namespace=kube-system", "scale", "--replicas=0", "deployment/coredns"]));
    wait_for_pods("kube-system", "k8s-app=kube-dns", 0, TIMEOUT);
    explained(
        "nameless",
        &["dns", "deployment", "service", "ingress"],
        &[("dns", "the cluster's DNS has no ready pod")],
    );
    drop(undo);
    run(&mut owner(&["--namespace=kube-system", "rollout", "status", "--timeout=120s", "deployment/coredns"]));
}

#[test]
#[ignore = "a variant: make test-variants"]
fn a_quota_admits_no_more_pods() {
    let (_deployer, _cleanup) = alone("counted");
    let _quota = Cleanup(vec!["--namespace=gitlab".into(), "resourcequota/counted".into()]);
    run(&mut owner(&["--namespace=gitlab", "create", "quota", "counted", "--hard=pods=0"]));
    let words = "ResourceQuota counted";
    explained(
        "counted",
        &all(),
        &["pull-secret", "readiness", "dns", "liveness", "rollout"].map(|check| (check, words)),
    );
}

#[test]
#[ignore = "a variant: make test-variants"]
fn no_node_takes_another_pod() {
    let (_deployer, _cleanup) = alone("cordoned");
    let nodes = run(&mut owner(&["get", "nodes", "--output=jsonpath={.items[*].metadata.name}"]));
    let _undo: Vec<Undo> = nodes.split_whitespace().map(|node| Undo::new(&["uncordon", node])).collect();
    for node in nodes.split_whitespace() {
        run(&mut owner(&["cordon", node]));
    }
    // A cluster may add nodes, so the checks wait.
    let failed = failing("cordoned", &all(), "10s", &["--commit", &COMMIT]);
    let words = "no node takes the pod: 0/1 nodes are available: 1 node(s) were unschedulable";
    assert_causes(
        &failed,
        &all(),
        &["pull-secret", "readiness", "dns", "liveness", "rollout"].map(|check| (check, words)),
    );
}

#[test]
fn a_limit_range_rejects_the_pods() {
    let (_deployer, _cleanup) = alone("limited");
    let limit = json!({"type": "Container", "max": {"memory": "16Mi"}});
    let _range = object(
        &json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limited", "namespace": "gitlab"},
        "spec": {"limits": [limit]}}),
    );
    let words = "a LimitRange rejects the pod: maximum memory usage per Container is 16Mi, but limit is 64Mi";
    explained("limited", &all(), &["pull-secret", "readiness", "dns", "liveness", "rollout"].map(|it| (it, words)));
}

#[test]
#[ignore = "a variant: make test-variants"]
fn a_quota_demands_limits_that_the_pods_do_not_have() {
    let (_deployer, _cleanup) = alone("undeclared");
    patch_pods("undeclared", &container(json!({"resources": {"limits": {"cpu": null}}})));
    let _quota = Cleanup(vec!["--namespace=gitlab".into(), "resourcequota/undeclared".into()]);
    run(&mut owner(&["--namespace=gitlab", "create", "quota", "undeclared", "--hard=limits.cpu=100"]));
    let words = "ResourceQuota undeclared: must specify limits.cpu";
    explained("undeclared", &QUICK, &["pull-secret", "readiness", "dns"].map(|check| (check, words)));
}

#[test]
fn the_ingress_controller_has_no_pod() {
    let (_deployer, _cleanup) = alone("uncontrolled");
    let undo = Undo::new(&["--namespace=ingress", "scale", "--replicas=1", "deployment/traefik"]);
    run(&mut owner(&["--namespace=ingress", "scale", "--replicas=0", "deployment/traefik"]));
    wait_for_pods("ingress", "app=traefik", 0, TIMEOUT);
    let words = "the Ingress controller has no ready pod: 0 of 0";
    explained("uncontrolled", &all(), &["ingress", "liveness", "rollout"].map(|check| (check, words)));
    drop(undo);
    run(&mut owner(&["--namespace=ingress", "rollout", "status", "--timeout=120s", "deployment/traefik"]));
    wait_until_served("uncontrolled");
}

#[test]
fn prometheus_has_no_pod() {
    let (_deployer, _cleanup) = alone("unmeasured");
    let undo = Undo::new(&["--namespace=monitoring", "scale", "--replicas=1", "deployment/prometheus"]);
    run(&mut owner(&["--namespace=monitoring", "scale", "--replicas=0", "deployment/prometheus"]));
    wait_for_pods("monitoring", "app.kubernetes.io/name=prometheus", 0, TIMEOUT);
    let failed = failing("unmeasured", &SCRAPED, "10s", &[]);
    assert_eq!(failed.keys().collect::<Vec<_>>(), ["scraping"], "{failed:?}");
    assert_eq!(failed["scraping"]["failure"]["object"], "Service monitoring/prometheus");
    record_reported(&SCRAPED, &failed);
    drop(undo);
    run(&mut owner(&["--namespace=monitoring", "rollout", "status", "--timeout=120s", "deployment/prometheus"]));
}
