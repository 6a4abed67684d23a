//! Tests of the checks under conditions that clusters of operators have: quotas, policies, admission that changes pods. The verdicts
//! of all checks are written down: a condition must neither break a check nor hide a fault.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::collections::BTreeMap;

use rstest::rstest;
use serde_json::{Value, json};

use crate::deployment::manifest_of;
use crate::discovery::install_traefik;
use crate::fixture::{Cleanup, access, feed, owner};
use crate::saboteurs::{COMMIT, object, reported};
use crate::setup::setup;
use crate::support::{e2e, error, eventually, run};
use crate::webhook;

/// A namespace of its own that `e2e setup` has prepared, with an Ingress controller that serves it. It is deleted at the end of the test.
struct Namespace {
    name: &'static str,
    _cleanup: [Cleanup; 3],
    _dir: tempfile::TempDir,
}

impl Namespace {
    fn new(name: &'static str) -> Self {
        let cleanup = Cleanup(vec![format!("namespace/{name}")]);
        let dir = tempfile::tempdir().expect("a directory");
        run(&mut setup(name, dir.path(), &["--apply"]));
        let class = json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": name},
            "spec": {"controller": "traefik.io/ingress-controller"}});
        let options = ["ingressClass", "namespaces"].map(|key| format!("--providers.kubernetesIngress.{key}={name}"));
        let class = object(&class);
        rights_of_traefik(name);
        let controller = install_traefik(name, "traefik", &options.each_ref().map(String::as_str));
        Self { name, _cleanup: [controller, class, cleanup], _dir: dir }
    }

    /// Applies an object in the namespace.
    fn apply(&self, mut object: Value) {
        object["metadata"]["namespace"] = json!(self.name);
        feed(&mut owner(&["apply", "--filename", "-"]), &object.to_string());
    }

    /// Deploys the service. Its slug is the name of the namespace, so that its host is unique.
    fn deploy(&self) {
        for file in ["deployment.yaml", "service.yaml", "ingress.yaml", "pod-disruption-budget.yaml"] {
            let text = manifest_of(file, self.name, &COMMIT);
            let text = text.replace("namespace: gitlab\n", &format!("namespace: {}\n", self.name));
            let text = text.replace("ingressClassName: traefik\n", &format!("ingressClassName: {}\n", self.name));
            feed(&mut owner(&["apply", "--filename", "-"]), &text);
        }
        let name = format!("deployment/gitlab-k8s-demo-{}", self.name);
        run(&mut owner(&["--namespace", self.name, "rollout", "status", "--timeout=120s", &name]));
    }

    /// The checks that do not pass, each with its verdict and cause.
    fn verdicts(&self) -> BTreeMap<String, String> {
        let arguments = ["check", "--kubeconfig", access("kubeconfig"), "--namespace", self.name, "--format", "json"];
        let output = e2e(&arguments).args(["--timeout", "30s"]).output().expect("e2e runs");
        let checks = reported(&String::from_utf8_lossy(&output.stdout));
        let checks = checks.unwrap_or_else(|cause| panic!("{cause}: {}", error(&output)));
        assert_eq!(checks.len(), 13, "{checks:#?}");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let others = checks.iter().filter(|check| check["verdict"] != "passed");
        let about = |check: &Value| {
            format!("{}: {}{}", text(&check["verdict"]), text(&check["failure"]["cause"]), text(&check["not_run"]))
        };
        others.map(|check| (text(&check["name"]), about(check))).collect()
    }
}

/// Lets Traefik read the namespace, as it may read the namespaces of the add-ons.
fn rights_of_traefik(namespace: &str) {
    for kind in ["role", "rolebinding"] {
        let text = run(&mut owner(&["--namespace=gitlab", "get", kind, "traefik", "--output=json"]));
        let mut copy: Value = serde_json::from_str(&text).expect("JSON");
        copy["metadata"] = json!({"name": "traefik", "namespace": namespace});
        feed(&mut owner(&["apply", "--filename", "-"]), &copy.to_string());
    }
}

/// Asserts that exactly these checks do not pass, each with a verdict and cause that contains these words.
fn assert_only(verdicts: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    let names: Vec<_> = verdicts.keys().map(String::as_str).collect();
    let mut expected_names: Vec<_> = expected.iter().map(|(name, _)| *name).collect();
    expected_names.sort_unstable();
    assert_eq!(names, expected_names, "{verdicts:#?}");
    for (name, words) in expected {
        assert!(verdicts[*name].contains(words), "{name}: {words:?} {verdicts:#?}");
    }
}

fn limit_range() -> Value {
    json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "defaults"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "1", "memory": "64Mi"}, "defaultRequest": {"cpu": "10m", "memory": "16Mi"},
         "max": {"cpu": "1", "memory": "256Mi"}}]}})
}

fn quota(pods: u32) -> Value {
    let hard = json!({"pods": pods.to_string(), "requests.cpu": "1", "requests.memory": "1Gi", "limits.cpu": "10", "limits.memory": "2Gi"});
    json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}, "spec": {"hard": hard}})
}

/// A quota demands limits of every pod, also of those that checks create; the `LimitRange` gives them.
#[test]
fn a_quota_with_enough_room_and_default_limits_fail_no_check() {
    let namespace = Namespace::new("condition-quota");
    namespace.apply(limit_range());
    namespace.apply(quota(10));
    namespace.deploy();
    assert_only(&namespace.verdicts(), &[]);
}

/// Room for the pods of the service, and for none of a rollout or a check.
#[test]
fn a_quota_without_room_for_another_pod_is_named() {
    let namespace = Namespace::new("condition-full");
    namespace.apply(limit_range());
    namespace.apply(quota(2));
    namespace.deploy();
    let full = "ResourceQuota team, requested: pods=1, used: pods=2, limited: pods=2";
    assert_only(
        &namespace.verdicts(),
        &["dns", "liveness", "pull-secret", "readiness", "rollout"].map(|name| (name, full)),
    );
}

/// What changes pods during their admission.
enum Mutator {
    Policy,
    Webhook,
}

impl Mutator {
    /// Adds the native sidecar `container` to the pods of a namespace: an init container that is restarted.
    fn install(&self, namespace: &str, container: &Value) -> Vec<Cleanup> {
        let api = "admissionregistration.k8s.io/v1";
        let name = format!("{namespace}.mesh.test");
        let rules =
            json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]);
        let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
        let patch = json!([{"op": "add", "path": "/spec/initContainers", "value": [container]}]);
        match self {
            Self::Policy => {
                // The lists and maps of the policy's language have values of one type, so this is no JSON.
                let (image, security) = (&container["image"], "Object.spec.initContainers.securityContext");
                let expression = format!(
                    "[JSONPatch{{op: 'add', path: '/spec/initContainers', value: [Object.spec.initContainers{{name: 'mesh', \
                     image: {image}, restartPolicy: 'Always', args: {args}, securityContext: {security}{{runAsUser: 65532, \
                     allowPrivilegeEscalation: false, capabilities: {security}.capabilities{{drop: ['ALL']}}}}}}]}}]",
                    args = container["args"]
                );
                let policy = json!({"apiVersion": api, "kind": "MutatingAdmissionPolicy", "metadata": {"name": name},
                    "spec": {"matchConstraints": {"resourceRules": rules, "namespaceSelector": selector},
                        "reinvocationPolicy": "Never", "failurePolicy": "Fail",
                        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}]}});
                let binding = json!({"apiVersion": api, "kind": "MutatingAdmissionPolicyBinding",
                    "metadata": {"name": name}, "spec": {"policyName": name}});
                vec![object(&policy), object(&binding)]
            }
            Self::Webhook => {
                let webhook = json!({"name": name, "clientConfig": webhook::start(&patch), "rules": rules,
                    "namespaceSelector": selector, "failurePolicy": "Fail", "sideEffects": "None",
                    "admissionReviewVersions": ["v1"]});
                vec![object(&json!({"apiVersion": api, "kind": "MutatingWebhookConfiguration",
                    "metadata": {"name": name}, "webhooks": [webhook]}))]
            }
        }
    }
}

/// As a service mesh does it: each pod gets one more container, which the manifests do not have.
#[rstest]
#[case::by_a_policy("condition-mesh", &Mutator::Policy)]
#[case::by_a_webhook("condition-webhook", &Mutator::Webhook)]
fn pods_that_admission_changes_pass_all_checks(#[case] name: &'static str, #[case] mutator: &Mutator) {
    let namespace = Namespace::new(name);
    // An image that the nodes have: a check also starts pods that cannot pull images of the private registry.
    let path = "--output=jsonpath={.spec.template.spec.containers[0].image}";
    let image = run(&mut owner(&["--namespace=ingress", "get", "deployment", "traefik", path]));
    let security = json!({"runAsUser": 65532, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let container = json!({"name": "mesh", "image": image, "restartPolicy": "Always",
        "args": ["--entryPoints.web.address=:15000"], "securityContext": security});
    let _mutator = mutator.install(name, &container);
    namespace.deploy();
    eventually("the containers of the mesh", std::time::Duration::from_mins(1), || {
        let path = "--output=jsonpath={.items[*].spec.initContainers[*].name}";
        let names = run(&mut owner(&["--namespace", namespace.name, "get", "pods", path]));
        if names.contains("mesh") {
            Ok(())
        } else {
            // The API server applies a new policy after some time.
            run(&mut owner(&["--namespace", namespace.name, "delete", "pods", "--all"]));
            Err(names)
        }
    });
    namespace.deploy();
    assert_only(&namespace.verdicts(), &[]);
}
