//! Saboteurs of permissions: the checks `rbac` and `pod-security`.

use serde_json::{Value, json};

use super::{QUICK, Undo, caught, failing, intact, object, record};
use crate::fixture::{Cleanup, DEPLOYER, PodSecurityLevel, Rights, access, owner};
use crate::support::{e2e, run};

#[test]
fn the_account_has_permissions_elsewhere() {
    let _deployer = DEPLOYER.write();
    let _cleanup = intact("mighty");
    let _binding = Cleanup(vec!["--namespace=kube-system".into(), "rolebinding/mighty".into()]);
    let binding = ["--namespace=kube-system", "create", "rolebinding", "mighty"];
    run(owner(&binding).args(["--clusterrole=admin", "--serviceaccount=gitlab:gitlab"]));
    let failure = caught("mighty", "rbac", &QUICK, "list secrets in kube-system", &[]);
    assert_eq!(failure["object"], "RoleBinding kube-system/mighty (ClusterRole admin)");
}

#[test]
fn the_account_may_read_one_more_namespace() {
    let _deployer = DEPLOYER.write();
    let _cleanup = intact("curious");
    let _binding = Cleanup(vec!["--namespace=kube-public".into(), "rolebinding/curious".into()]);
    let account = ["--clusterrole=view", "--serviceaccount=gitlab:gitlab"];
    run(owner(&["--namespace=kube-public", "create", "rolebinding", "curious"]).args(account));
    let failed = failing("curious", &["rbac"], "30s", &[]);
    let seen = failed["rbac"]["failure"]["seen"].as_str().expect("what was seen");
    assert!(seen.contains(" in kube-public"), "{seen}");
    record(&["rbac"], &[("rbac", " in kube-public")]);
    assert!(failed["rbac"]["failure"]["details"].to_string().contains("curious"), "{failed:?}");
}

#[test]
fn the_account_cannot_deploy() {
    let _deployer = DEPLOYER.write();
    let _cleanup = intact("powerless");
    let _rights = Rights::keep();
    let rules = json!([{"op": "remove", "path": "/rules/0"}]).to_string();
    run(&mut owner(&["--namespace=gitlab", "patch", "role", "gitlab", "--type=json", "--patch", &rules]));
    let failure = caught("powerless", "rbac", &QUICK, "it cannot get deployments in gitlab", &[]);
    assert_eq!(failure["object"], "RoleBinding gitlab/gitlab (Role gitlab)");
}

#[test]
fn the_account_has_permissions_in_the_whole_cluster() {
    let _deployer = DEPLOYER.write();
    let _cleanup = intact("almighty");
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "almighty"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "gitlab", "namespace": "gitlab"}]});
    let _binding = object(&binding);
    let failure = caught("almighty", "rbac", &["rbac", "service", "ingress"], "list secrets in kube-system", &[]);
    assert_eq!(failure["object"], "ClusterRoleBinding almighty (ClusterRole cluster-admin)");
}

#[test]
fn the_namespace_allows_privileged_pods() {
    // Runs alone: the namespace's label affects all environments.
    let _deployer = DEPLOYER.write();
    let _cleanup = intact("privileged");
    let _level = PodSecurityLevel;
    PodSecurityLevel::set("privileged");
    let failure = caught("privileged", "pod-security", &QUICK, "pod-security.kubernetes.io/enforce=privileged", &[]);
    assert_eq!(failure["object"], "Namespace gitlab");
    PodSecurityLevel::set("baseline");
    assert!(failing("privileged", &["pod-security"], "30s", &[]).is_empty());
}

#[test]
fn the_namespace_enforces_no_pod_security() {
    let _deployer = DEPLOYER.write();
    let _cleanup = intact("unlabelled");
    let _level = PodSecurityLevel;
    run(&mut owner(&["label", "namespace", "gitlab", "pod-security.kubernetes.io/enforce-"]));
    caught("unlabelled", "pod-security", &["pod-security", "service", "ingress"], "no label", &[]);
}

#[test]
fn the_namespace_only_warns_of_privileged_pods() {
    let _deployer = DEPLOYER.write();
    let _cleanup = intact("warned");
    let _level = PodSecurityLevel;
    let _warn = Undo::new(&["label", "namespace", "gitlab", "pod-security.kubernetes.io/warn-"]);
    run(&mut owner(&["label", "namespace", "gitlab", "pod-security.kubernetes.io/warn=restricted"]));
    PodSecurityLevel::set("privileged");
    caught("warned", "pod-security", &["pod-security", "service", "ingress"], "the pod is accepted", &[]);
}

/// The pipeline's account cannot create pods. The check must not mistake RBAC's rejection for one by `PodSecurity`.
#[test]
fn pod_security_is_not_run_for_an_account_that_cannot_create_pods() {
    let _deployer = DEPLOYER.read();
    let kubeconfig = access("gitlab_kubeconfig");
    let mut command = e2e(&["check", "--quiet", "--format", "json", "--kubeconfig", kubeconfig, "pod-security"]);
    let output = command.output().expect("e2e runs");
    assert_eq!(output.status.code(), Some(1), "a named check must be run");
    let checks: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(checks[0]["verdict"], "not_run", "{checks}");
    assert!(
        checks[0]["not_run"].as_str().is_some_and(|reason| reason.contains("is not allowed to create pods")),
        "{checks}"
    );
}
