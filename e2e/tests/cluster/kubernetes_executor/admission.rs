//! Tests of admission policies and webhooks that refuse the pods of jobs.

use serde_json::{Value, json};

use super::{Namespace, TIMEOUT};
use crate::fixture::Cleanup;
use crate::saboteurs::object;
use crate::support::eventually;

impl Namespace {
    /// Creates an admission object with these fields, named after the namespace.
    fn admission(&self, kind: &str, fields: Value) -> Cleanup {
        let mut webhook_or_policy = fields;
        webhook_or_policy["apiVersion"] = json!("admissionregistration.k8s.io/v1");
        webhook_or_policy["kind"] = json!(kind);
        webhook_or_policy["metadata"] = json!({"name": format!("{}.test", self.name)});
        object(&webhook_or_policy)
    }

    fn selector(&self) -> Value {
        json!({"matchLabels": {"kubernetes.io/metadata.name": self.name}})
    }

    /// Waits until a job fails for this reason: the API server applies new admission objects after some time.
    fn wait_until_refused(&self, reason: &str) {
        eventually("the refusal", TIMEOUT, || {
            let run = self.run("a: {script: 'true'}\n", "");
            let (status, why) = run.result("a");
            if status == "failed" && why.contains(reason) { Ok(()) } else { Err(format!("{status}: {why}")) }
        });
        assert_eq!(self.objects(), Vec::<String>::new());
    }
}

fn rules() -> Value {
    json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}])
}

#[test]
fn an_admission_policy_that_refuses_the_pod_is_named() {
    let namespace = Namespace::new();
    let validations = json!([{"expression": "has(object.metadata.labels.team)", "message": "no label team"}]);
    let constraints = json!({"resourceRules": rules(), "namespaceSelector": namespace.selector()});
    let spec = json!({"matchConstraints": constraints, "validations": validations});
    let _policy = namespace.admission("ValidatingAdmissionPolicy", json!({"spec": spec}));
    let spec = json!({"policyName": format!("{}.test", namespace.name), "validationActions": ["Deny"]});
    let _binding = namespace.admission("ValidatingAdmissionPolicyBinding", json!({"spec": spec}));
    namespace.wait_until_refused("no label team");
}

#[test]
fn a_webhook_that_does_not_respond_is_named() {
    let namespace = Namespace::new();
    let name = format!("{}.example.test", namespace.name);
    let webhook = json!({"name": name, "rules": rules(), "namespaceSelector": namespace.selector(), "failurePolicy": "Fail",
        "clientConfig": {"service": {"name": "no-such-service", "namespace": "default"}},
        "sideEffects": "None", "admissionReviewVersions": ["v1"]});
    let _webhook = namespace.admission("ValidatingWebhookConfiguration", json!({"webhooks": [webhook]}));
    namespace.wait_until_refused(&name);
}
