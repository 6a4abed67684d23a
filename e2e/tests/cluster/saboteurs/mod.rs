//! Saboteurs: each changes the cluster in one way that breaks a claim of a check. Exactly the checks that depend on the changed state
//! must fail, with words that name the change; all others that run must pass. `liveness` and `rollout`, which take longest, run only
//! where they are of interest. `stop` has its saboteurs in `stop.rs`.
//!
//! Every saboteur records its row of the matrix in docs/saboteurs.md: see [`record`].

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

mod health;
mod images;
mod metrics;
mod names;
mod pods;
mod policies;
mod record;
mod shared;
mod traffic;
mod updates;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};

pub(crate) use self::record::record;
use crate::deployment::deploy_as;
use crate::fixture::{Cleanup, DEPLOYER, deployer, feed, http, owner, wait_for_pods};
use crate::support::{e2e, eventually, project, run};
use crate::temporary::alone;

/// The commit that `dist/app` was built from.
pub(crate) static COMMIT: LazyLock<String> = LazyLock::new(|| {
    let printed = run(Command::new(project().join("dist/app")).arg("--version"));
    let (_, rest) = printed.split_once("revision: ").expect("a revision");
    rest.split_once(')').expect("an end").0.to_owned()
});

/// All checks that take less than half a minute.
pub(crate) const QUICK: [&str; 11] = [
    "registry",
    "pull-secret",
    "rbac",
    "pod-security",
    "deployment",
    "readiness",
    "dns",
    "service",
    "scraping",
    "ingress",
    "version",
];

/// The checks of `QUICK` that start no pod, for saboteurs whose change cannot affect the others.
pub(crate) const WITHOUT_PODS: [&str; 8] =
    ["registry", "rbac", "pod-security", "deployment", "service", "scraping", "ingress", "version"];

/// These checks, and one more.
fn with(checks: &[&'static str], more: &'static str) -> Vec<&'static str> {
    [checks, &[more]].concat()
}

/// Maximum time of a check that stops early, in seconds.
const MAX_EARLY_STOP: f64 = 60.0;

/// Time for a change to take effect.
const TIMEOUT: Duration = Duration::from_mins(1);

/// All checks of one environment.
pub(crate) fn all() -> Vec<&'static str> {
    [QUICK.as_slice(), &["liveness", "rollout"]].concat()
}

/// Deploys an intact environment, which is removed at the end of the test.
pub(crate) fn intact(slug: &str) -> Cleanup {
    let cleanup = deploy_as(slug, &COMMIT);
    wait_until_served(slug);
    cleanup
}

/// Waits until the environment's host responds.
fn wait_until_served(slug: &str) {
    let host = format!("{slug}.gitlab-k8s-demo.test");
    eventually("the host", TIMEOUT, || match http(&host, "/health") {
        (200, _) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// Waits until the controller has processed a change after which it does not serve the host.
fn wait_until_unserved(slug: &str) {
    let host = format!("{slug}.gitlab-k8s-demo.test");
    eventually("the host", TIMEOUT, || match http(&host, "/health") {
        (200, _) => Err("still served".to_owned()),
        _ => Ok(()),
    });
}

/// The checks in the output of `e2e check --format json`.
pub(crate) fn reported(text: &str) -> serde_json::Result<Vec<Value>> {
    let mut report: Value = serde_json::from_str(text)?;
    serde_json::from_value(report["checks"].take())
}

/// Runs these checks, and returns the failed ones.
pub(crate) fn failing(slug: &str, names: &[&str], timeout: &str, extra_arguments: &[&str]) -> BTreeMap<String, Value> {
    let mut command = e2e(&["check", "--quiet", "--format", "json", "--ref", slug, "--timeout", timeout]);
    let output = command.args(extra_arguments).args(names).output().expect("e2e runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let checks = reported(&text).unwrap_or_else(|error| panic!("{error}: {text}{stderr}"));
    assert_eq!(checks.len(), names.len(), "{text}");
    let not_run: Vec<_> = checks.iter().filter(|check| check["verdict"] == "not_run").collect();
    assert!(not_run.is_empty(), "{not_run:?}");
    let failed = checks.into_iter().filter(|check| check["verdict"] != "passed");
    let failed: BTreeMap<_, _> =
        failed.map(|check| (check["name"].as_str().expect("a name").to_owned(), check)).collect();
    assert_eq!(output.status.code(), Some(i32::from(!failed.is_empty())), "{stderr}");
    failed
}

/// Asserts that only this check fails, and that the state that it reports contains `words`. Returns the failure.
fn caught(slug: &str, name: &str, names: &[&str], words: &str, extra_arguments: &[&str]) -> Value {
    let failed = failing(slug, names, "30s", extra_arguments);
    let text = serde_json::to_string_pretty(&failed).expect("JSON");
    assert_eq!(failed.keys().collect::<Vec<_>>(), [name], "{text}");
    let failure = &failed[name]["failure"];
    assert!(failure["seen"].as_str().is_some_and(|actual| actual.contains(words)), "{words}: {text}");
    for part in ["expected", "object", "cause", "fix"] {
        assert!(failure[part].as_str().is_some_and(|it| !it.is_empty()), "{part}: {text}");
    }
    assert!(failure["details"].as_array().is_some_and(|it| !it.is_empty()), "details: {text}");
    record_reported(names, &failed);
    failure.clone()
}

/// Records the causes that the checks have reported.
fn record_reported(names: &[&str], failed: &BTreeMap<String, Value>) {
    let cause = |check: &Value| record::stable(check["failure"]["cause"].as_str().unwrap_or_default());
    let causes: Vec<(&str, String)> = failed.iter().map(|(name, check)| (&**name, cause(check))).collect();
    record(names, &causes.iter().map(|(name, cause)| (*name, &**cause)).collect::<Vec<_>>());
}

/// Asserts that exactly these checks fail, that each has observed its cause, which contains the words, and that each ended long before its
/// timeout of two minutes. The limit leaves time for a machine that runs other tests.
fn explained(slug: &str, names: &[&str], expected: &[(&str, &str)]) {
    let failed = failing(slug, names, "2m", &["--commit", &COMMIT]);
    assert_causes(&failed, names, expected);
    for (check, record) in &failed {
        let duration = record["took"].as_f64();
        assert!(duration.is_some_and(|duration| duration < MAX_EARLY_STOP), "{check}: {duration:?} s: {record:#}");
    }
}

/// Asserts that exactly these checks have failed, and that each has observed its cause, which contains the words.
fn assert_causes(failed: &BTreeMap<String, Value>, names: &[&str], expected: &[(&str, &str)]) {
    let text = serde_json::to_string_pretty(&failed).expect("JSON");
    let mut checks: Vec<&str> = expected.iter().map(|(check, _)| *check).collect();
    checks.sort_unstable();
    assert_eq!(failed.keys().collect::<Vec<_>>(), checks, "{text}");
    for (check, words) in expected {
        let failure = &failed[*check]["failure"];
        assert!(failure["cause"].as_str().is_some_and(|cause| cause.contains(words)), "{check}: {words}: {text}");
        assert_eq!(failure["is_seen"], true, "{check}: {text}");
    }
    record(names, expected);
}

/// Reverts a change of the cluster at the end of the test, even if the test panics.
struct Undo(Vec<String>);

impl Drop for Undo {
    fn drop(&mut self) {
        // Must not panic: a panic during unwinding would abort all tests.
        let _ = owner(&[]).args(&self.0).output();
    }
}

impl Undo {
    fn new(arguments: &[&str]) -> Self {
        Self(arguments.iter().map(ToString::to_string).collect())
    }
}

/// Applies an object, which is deleted at the end of the test, even if the test panics.
pub(crate) fn object(object: &Value) -> Cleanup {
    let name = |field: &str| object[field].as_str().unwrap_or_default().to_lowercase();
    let metadata = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    let mut arguments = vec![format!("{}/{}", name("kind"), metadata("name"))];
    if !metadata("namespace").is_empty() {
        arguments.push(format!("--namespace={}", metadata("namespace")));
    }
    let cleanup = Cleanup(arguments);
    feed(&mut owner(&["apply", "--filename", "-"]), &object.to_string());
    cleanup
}

fn patch(kind: &str, slug: &str, patch: &Value) {
    patch_as("merge", kind, slug, patch);
}

fn patch_as(how: &str, kind: &str, slug: &str, patch: &Value) {
    let (name, how) = (format!("{kind}/gitlab-k8s-demo-{slug}"), format!("--type={how}"));
    run(&mut owner(&["--namespace=gitlab", "patch", &name, &how, "--patch", &patch.to_string()]));
}

/// Changes the pods' template, and waits for the new pods.
fn patch_pods(slug: &str, change: &Value) {
    patch_as("strategic", "deployment", slug, change);
    wait_until_replaced(slug);
}

/// Waits until the Deployment has replaced its pods.
fn wait_until_replaced(slug: &str) {
    let name = format!("deployment/gitlab-k8s-demo-{slug}");
    run(&mut owner(&["--namespace=gitlab", "rollout", "status", "--timeout=120s", &name]));
    wait_for_pods("gitlab", &format!("ref={slug}"), 2, Duration::from_mins(3));
}

/// Changes the pods' template, and waits until the new pods exist or the Deployment reports why it cannot create them. It does not wait
/// until they are ready, because they never become ready.
fn patch_template(slug: &str, change: &Value) {
    patch_as("strategic", "deployment", slug, change);
    // Until the controller has processed the change, the Deployment still counts as complete.
    let count = |kind: &str| {
        run(&mut deployer(&["get", kind, &format!("--selector=ref={slug}"), "--output=name"])).lines().count()
    };
    eventually("new pods, or the reason why there are none", TIMEOUT, || {
        let path = "--output=jsonpath={.status.conditions[?(@.type=='ReplicaFailure')].status}";
        let failure = run(&mut deployer(&["get", "deployment", &format!("gitlab-k8s-demo-{slug}"), path]));
        let (sets, pods) = (count("replicasets"), count("pods"));
        if sets > 1 && (pods > 2 || failure == "True") { Ok(()) } else { Err(format!("{sets} {pods}")) }
    });
}

fn container(change: Value) -> Value {
    let mut container = change;
    container["name"] = json!("app");
    pod_spec(&json!({"containers": [container]}))
}

fn pod_spec(change: &Value) -> Value {
    json!({"spec": {"template": {"spec": change}}})
}

/// The backend and the path of an Ingress that lead to a port of a Service.
fn rule(host: &str, service: &str, port: &Value) -> Value {
    let backend = json!({"service": {"name": service, "port": port}});
    json!({"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}})
}

#[test]
fn an_intact_environment_passes() {
    let (_alone, _deployer) = (alone(), DEPLOYER.read());
    let _cleanup = intact("whole");
    let failed = failing("whole", &all(), "2m", &["--commit", &COMMIT]);
    assert!(failed.is_empty(), "{}", serde_json::to_string_pretty(&failed).expect("JSON"));
}
