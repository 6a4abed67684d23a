//! Saboteurs of pods: the check `deployment`, and the checks that create pods.

use serde_json::{Value, json};

use super::{
    QUICK, TIMEOUT, WITHOUT_PODS, assert_causes, caught, container, explained, failing, intact, object, patch_template,
    pod_spec, record_reported,
};
use crate::fixture::{DEPLOYER, owner, wait_for_pods};
use crate::support::{eventually, run};

#[test]
fn the_deployment_is_scaled_down() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("lonely");
    run(&mut owner(&["--namespace=gitlab", "scale", "--replicas=1", "deployment/gitlab-k8s-demo-lonely"]));
    wait_for_pods("gitlab", "ref=lonely", 1, TIMEOUT);
    caught("lonely", "deployment", &WITHOUT_PODS, "1", &[]);
}

#[test]
fn the_deployment_is_scaled_to_zero() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("empty");
    run(&mut owner(&["--namespace=gitlab", "scale", "--replicas=0", "deployment/gitlab-k8s-demo-empty"]));
    wait_for_pods("gitlab", "ref=empty", 0, TIMEOUT);
    let names = ["deployment", "service", "scraping", "version", "rollout"];
    explained("empty", &names, &names.map(|check| (check, "scaled")));
    // The check's own pods must not count.
    let failed = failing("empty", &["ingress", "readiness"], "30s", &[]);
    assert!(failed.contains_key("ingress"), "{failed:?}");
    record_reported(&["ingress"], &failed);
}

#[test]
fn a_new_pod_cannot_start() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("stuck");
    patch_template("stuck", &container(json!({"args": ["--no-such-flag"]})));
    let failed = failing("stuck", &["deployment"], "15s", &[]);
    let failure = &failed["deployment"]["failure"];
    let details = failure["details"].to_string();
    assert!(details.contains("BackOff") || details.contains("Error"), "{failure}");
    assert!(details.contains("unexpected argument '--no-such-flag'"), "last log lines: {failure}");
    assert_causes(&failed, &["deployment"], &[("deployment", "container app exits with code 2")]);
}

#[test]
fn pod_security_rejects_the_template() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("bare");
    let bare = json!({"securityContext": null, "containers": [{"name": "app", "securityContext": null}]});
    patch_template("bare", &pod_spec(&bare));
    let words = "PodSecurity rejects the pod";
    explained(
        "bare",
        &["pull-secret", "deployment", "readiness", "liveness", "service", "rollout"],
        &["pull-secret", "deployment", "readiness", "liveness", "rollout"].map(|check| (check, words)),
    );
}

#[test]
fn the_template_names_a_secret_that_does_not_exist() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("secretive");
    let secret = json!({"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "no-such-secret", "key": "x"}}}]});
    patch_template("secretive", &container(secret));
    let words = "CreateContainerConfigError: secret \"no-such-secret\" not found";
    explained("secretive", &["deployment"], &[("deployment", words)]);
}

#[test]
fn the_readiness_probe_requests_a_path_that_does_not_exist() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("astray");
    patch_template("astray", &container(json!({"readinessProbe": {"httpGet": {"path": "/no-such-path"}}})));
    let names = ["deployment", "readiness", "service", "ingress"];
    let words = "Readiness probe failed: HTTP probe failed with statuscode: 404";
    let failed = failing("astray", &names, "15s", &[]);
    // The new pods do not respond through the Service.
    assert_causes(&failed, &names, &["deployment", "readiness", "service"].map(|check| (check, words)));
}

#[test]
fn the_pods_mount_a_volume_that_does_not_exist() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("unmounted");
    let change = json!({"volumes": [{"name": "x", "configMap": {"name": "no-such-map"}}],
        "containers": [{"name": "app", "volumeMounts": [{"name": "x", "mountPath": "/x"}]}]});
    patch_template("unmounted", &pod_spec(&change));
    let names = ["deployment", "service", "ingress"];
    let failed = failing("unmounted", &names, "15s", &[]);
    assert_causes(
        &failed,
        &names,
        &["deployment", "service"].map(|check| (check, "configmap \"no-such-map\" not found")),
    );
}

#[test]
fn the_pods_have_an_account_that_does_not_exist() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("disowned");
    patch_template("disowned", &pod_spec(&json!({"serviceAccountName": "no-such-account"})));
    let words = "the pod's ServiceAccount does not exist";
    explained(
        "disowned",
        &["pull-secret", "deployment", "readiness", "service", "ingress"],
        &["pull-secret", "deployment", "readiness"].map(|check| (check, words)),
    );
}

/// The policy and the webhook concern only the pods of one environment.
#[test]
fn an_admission_policy_rejects_the_pods() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("policed");
    let name = json!({"name": "policed.test"});
    let rules = json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]);
    let kind = |kind: &str, spec: &Value| {
        object(&json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": name, "spec": spec}))
    };
    let selector = json!({"matchLabels": {"ref": "policed"}});
    let _policy = kind(
        "ValidatingAdmissionPolicy",
        &json!({"matchConstraints": {"resourceRules": rules, "objectSelector": selector},
            "validations": [{"expression": "has(object.metadata.labels.team)", "message": "no label team"}]}),
    );
    let _binding =
        kind("ValidatingAdmissionPolicyBinding", &json!({"policyName": "policed.test", "validationActions": ["Deny"]}));
    rejected("policed", "ValidatingAdmissionPolicy policed.test rejects the pod: no label team");
}

#[test]
fn an_admission_webhook_does_not_respond() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("unhooked");
    let rules = json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]);
    let webhook = json!({"name": "unhooked.example.test", "rules": rules, "objectSelector": {"matchLabels": {"ref": "unhooked"}},
        "clientConfig": {"service": {"name": "no-such-service", "namespace": "gitlab"}}, "failurePolicy": "Fail",
        "sideEffects": "None", "admissionReviewVersions": ["v1"]});
    let _webhook =
        object(&json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "unhooked.example.test"}, "webhooks": [webhook]}));
    rejected("unhooked", "admission webhook unhooked.example.test does not answer");
}

/// Waits until admission rejects the environment's new pods, and asserts that the checks that create pods say so.
fn rejected(slug: &str, words: &str) {
    eventually("the rejection", TIMEOUT, || {
        let failed = failing(slug, &["dns"], "30s", &[]);
        if failed.is_empty() { Err("not rejected yet".to_owned()) } else { Ok(()) }
    });
    explained(slug, &QUICK, &["pull-secret", "readiness", "dns"].map(|check| (check, words)));
}
