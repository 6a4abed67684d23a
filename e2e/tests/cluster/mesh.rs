//! Tests of the checks in a namespace whose pods are changed during their admission.

use rstest::rstest;
use serde_json::{Value, json};

use crate::conditions::{Namespace, assert_only};
use crate::fixture::{Cleanup, owner};
use crate::saboteurs::object;
use crate::support::{eventually, run};
use crate::webhook;

/// The object that changes pods during their admission.
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
#[ignore = "a variant: make test-variants"]
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
