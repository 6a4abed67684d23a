//! Tests of interrupted runs of `e2e check --deploy`; `rights.rs` tests a complete run. Both install an Ingress controller that serves all
//! namespaces, because that of `make up` serves only two.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::process::{Child, Command, Output, Stdio};
use std::sync::{LockResult, Mutex, MutexGuard, RwLockReadGuard};
use std::time::Duration;

use serde_json::Value;

use crate::discovery::install_traefik;
use crate::fixture::{Cleanup, DEPLOYER, access, feed, owner, pushed_image};
use crate::saboteurs::reported;
use crate::support::{e2e, error, eventually, run};

const TIMEOUT: Duration = Duration::from_mins(2);

/// A class whose controller serves all namespaces. Its account lists all Secrets, so it exists only while the tests run.
const CLASS: &str = "
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: everywhere}
spec: {controller: traefik.io/ingress-controller}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: everywhere, namespace: ingress}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: everywhere}
rules:
  - {apiGroups: [''], resources: [services, secrets, nodes], verbs: [get, list, watch]}
  - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
  - {apiGroups: [networking.k8s.io], resources: [ingresses, ingressclasses], verbs: [get, list, watch]}
  - {apiGroups: [networking.k8s.io], resources: [ingresses/status], verbs: [update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: everywhere}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: everywhere}
subjects: [{kind: ServiceAccount, name: everywhere, namespace: ingress}]
";

/// The controller, for one test at a time: each expects that no other temporary namespace exists.
pub(crate) struct Controller {
    _traefik: Cleanup,
    _rights: [Cleanup; 2],
    _lock: LockResult<MutexGuard<'static, ()>>,
    _deployer: LockResult<RwLockReadGuard<'static, ()>>,
}

/// Waits until no other test runs all checks, in a temporary namespace or in another one: several such runs at the same time would keep the
/// processors too busy for the time limits. A test takes this lock before [`DEPLOYER`].
pub(crate) fn alone() -> LockResult<MutexGuard<'static, ()>> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock()
}

impl Controller {
    pub(crate) fn install() -> Self {
        let (lock, deployer) = (alone(), DEPLOYER.read());
        let everywhere = ["ingressclass/everywhere", "clusterrole/everywhere", "clusterrolebinding/everywhere"];
        let rights = [
            Cleanup(everywhere.map(str::to_owned).to_vec()),
            Cleanup(vec!["--namespace=ingress".into(), "serviceaccount/everywhere".into()]),
        ];
        feed(&mut owner(&["apply", "--filename", "-"]), CLASS);
        let traefik =
            install_traefik("everywhere", "everywhere", &["--providers.kubernetesIngress.ingressClass=everywhere"]);
        Self { _traefik: traefik, _rights: rights, _lock: lock, _deployer: deployer }
    }
}

/// The temporary namespaces.
pub(crate) fn namespaces() -> Vec<String> {
    let names = run(&mut owner(&[
        "get",
        "namespaces",
        "--selector=io.gitlab-ci-k8s-demo.temporary=check",
        "--output=jsonpath={.items[*].metadata.name}",
    ]));
    names.split_whitespace().map(str::to_owned).collect()
}

/// Starts the command, and waits until the service is deployed to a namespace.
fn start_check() -> (Child, String) {
    let image = format!("{}:test", pushed_image());
    let arguments = ["check", "--kubeconfig", access("kubeconfig"), "--quiet", "--deploy", &image];
    let child = e2e(&arguments)
        .args(["--ingress-class", "everywhere"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("e2e runs");
    let namespace = eventually("a namespace with the service", TIMEOUT, || {
        let [namespace] = &*namespaces() else { return Err("no namespace".to_owned()) };
        let pods = run(&mut owner(&["--namespace", namespace, "get", "pods", "--output=name"]));
        if pods.is_empty() { Err("no pods".to_owned()) } else { Ok(namespace.clone()) }
    });
    (child, namespace)
}

fn signal(child: &Child, name: &str) {
    run(Command::new("kill").args(["-s", name, &child.id().to_string()]));
}

fn down(extra_arguments: &[&str]) -> Output {
    e2e(&["down", "--kubeconfig", access("kubeconfig")]).args(extra_arguments).output().expect("e2e runs")
}

/// Asserts that all checks passed in a temporary namespace, and that it is gone.
pub(crate) fn assert_passed_and_removed(output: &Output) {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), error(output));
    let checks = reported(&stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let others: Vec<_> = checks.iter().filter(|check| check["verdict"] != "passed").collect();
    assert!(others.is_empty(), "{others:#?} {stderr}");
    assert_eq!((checks.len(), output.status.code()), (13, Some(0)), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(report["mode"], "deploy");
    // The IDs do not depend on the temporary namespace.
    assert_eq!(checks[0]["id"], "check-registry");
    let namespace = report["environments"][0]["namespace"].as_str().expect("a namespace");
    assert!(stderr.contains(&format!("Deploying to namespace {namespace}")), "{stderr}");
    let host = format!("check.{namespace}.gitlab-k8s-demo.test");
    assert_eq!(report["environments"][0]["host"], *host);
    assert_eq!(namespaces(), Vec::<String>::new());
}

/// Asserts that the cause which the pods of this image show was reported, and that the namespace is gone.
pub(crate) fn assert_cause_reported_and_removed(output: &Output, image: &str) {
    let stderr = error(output);
    assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]), "{stderr}");
    assert!(stderr.contains(&format!("e2e: {image} does not run in namespace e2e-check-")), "{stderr}");
    assert!(stderr.contains("\n  cause: ") && stderr.contains("\n  remedy: "), "{stderr}");
    assert_eq!(namespaces(), Vec::<String>::new());
}

#[test]
#[ignore = "CI has no time for it: make test-variants"]
fn a_check_that_is_terminated_removes_its_namespace() {
    let _controller = Controller::install();
    let (child, _) = start_check();
    signal(&child, "TERM");
    let output = child.wait_with_output().expect("e2e ends");
    assert_eq!(output.status.code(), Some(143), "{}", error(&output));
    assert_eq!(namespaces(), Vec::<String>::new());
}

#[test]
fn the_namespace_of_a_killed_check_is_removed_and_that_of_a_running_one_is_not() {
    let _controller = Controller::install();
    let (mut child, namespace) = start_check();
    let output = down(&[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with(&format!("Namespace {namespace} is in use: ")), "{text}{}", error(&output));
    assert_eq!(namespaces(), [&*namespace]);

    signal(&child, "KILL");
    child.wait().expect("it ends");
    let output = down(&["--format", "json"]);
    let swept: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(swept, serde_json::json!({"removed": [namespace], "in_use": []}), "{}", error(&output));
    assert_eq!(namespaces(), Vec::<String>::new());
    let output = down(&[]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "There is nothing to remove.\n", "{}", error(&output));
}
