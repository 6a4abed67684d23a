//! A namespace under a condition that clusters of operators have, for tests: quotas, or admission that changes pods. The verdicts of all
//! checks are written down: a condition must neither break a check nor hide a fault.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::collections::BTreeMap;
use std::sync::{LockResult, MutexGuard};

use serde_json::{Value, json};

use crate::deployment::manifest_of;
use crate::discovery::install_traefik;
use crate::fixture::{Cleanup, access, feed, owner};
use crate::saboteurs::{COMMIT, object, reported};
use crate::setup::setup;
use crate::support::{e2e, error, run};
use crate::temporary::alone;

/// A namespace of its own that `e2e setup` has prepared, with an Ingress controller that serves it. It is deleted at the end of the test.
pub(crate) struct Namespace {
    pub(crate) name: &'static str,
    _cleanup: [Cleanup; 3],
    _dir: tempfile::TempDir,
    _lock: LockResult<MutexGuard<'static, ()>>,
}

impl Namespace {
    pub(crate) fn new(name: &'static str) -> Self {
        let lock = alone();
        let cleanup = Cleanup(vec![format!("namespace/{name}")]);
        let dir = tempfile::tempdir().expect("a directory");
        run(&mut setup(name, dir.path(), &["--apply"]));
        let class = json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": name},
            "spec": {"controller": "traefik.io/ingress-controller"}});
        let options = ["ingressClass", "namespaces"].map(|key| format!("--providers.kubernetesIngress.{key}={name}"));
        let class = object(&class);
        rights_of_traefik(name);
        let controller = install_traefik(name, "traefik", &options.each_ref().map(String::as_str));
        Self { name, _cleanup: [controller, class, cleanup], _dir: dir, _lock: lock }
    }

    /// Applies an object in the namespace.
    pub(crate) fn apply(&self, mut object: Value) {
        object["metadata"]["namespace"] = json!(self.name);
        feed(&mut owner(&["apply", "--filename", "-"]), &object.to_string());
    }

    /// Deploys the service. Its slug is the name of the namespace, so that its host is unique.
    pub(crate) fn deploy(&self) {
        for file in ["deployment.yaml", "service.yaml", "ingress.yaml", "pod-disruption-budget.yaml"] {
            let text = manifest_of(file, self.name, &COMMIT);
            let text = text.replace("namespace: gitlab\n", &format!("namespace: {}\n", self.name));
            let text = text.replace("ingressClassName: traefik\n", &format!("ingressClassName: {}\n", self.name));
            feed(&mut owner(&["apply", "--filename", "-"]), &text);
        }
        let name = format!("deployment/gitlab-k8s-demo-{}", self.name);
        run(&mut owner(&["--namespace", self.name, "rollout", "status", "--timeout=120s", &name]));
    }

    /// The checks that do not pass, each with its verdict, the cause and the actual state.
    pub(crate) fn verdicts(&self) -> BTreeMap<String, String> {
        let arguments = ["check", "--kubeconfig", access("kubeconfig"), "--namespace", self.name, "--format", "json"];
        let output = e2e(&arguments).output().expect("e2e runs");
        let checks = reported(&String::from_utf8_lossy(&output.stdout));
        let checks = checks.unwrap_or_else(|cause| panic!("{cause}: {}", error(&output)));
        assert_eq!(checks.len(), 13, "{checks:#?}");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let others = checks.iter().filter(|check| check["verdict"] != "passed");
        let about = |check: &Value| {
            let failure = &check["failure"];
            let (cause, actual) = (text(&failure["cause"]), text(&failure["seen"]));
            format!("{}: {cause}{} ({actual})", text(&check["verdict"]), text(&check["not_run"]))
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
pub(crate) fn assert_only(verdicts: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    let names: Vec<_> = verdicts.keys().map(String::as_str).collect();
    let mut expected_names: Vec<_> = expected.iter().map(|(name, _)| *name).collect();
    expected_names.sort_unstable();
    assert_eq!(names, expected_names, "{verdicts:#?}");
    for (name, words) in expected {
        assert!(verdicts[*name].contains(words), "{name}: {words:?} {verdicts:#?}");
    }
}
