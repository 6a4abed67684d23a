//! Saboteurs of what an update deploys, and of how: the checks `version` and `rollout`.

use serde_json::json;

use super::{
    COMMIT, WITHOUT_PODS, assert_causes, caught, container, failing, intact, patch, patch_pods, record_reported, with,
};
use crate::fixture::DEPLOYER;

#[test]
fn the_log_does_not_report_the_commit() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("silent");
    patch_pods("silent", &container(json!({"env": [{"name": "RUST_LOG", "value": "error"}]})));
    caught("silent", "version", &WITHOUT_PODS, "lines without it", &[]);
}

#[test]
fn another_commit_is_deployed() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("stale");
    let other = "0123456789abcdef0123456789abcdef01234567";
    let annotation = json!({"spec": {"template": {"metadata": {"annotations": {"ci-commit-sha": other}}}}});
    patch_pods("stale", &annotation);
    caught("stale", "version", &WITHOUT_PODS, &COMMIT, &[]);
}

#[test]
fn all_pods_are_replaced_at_once() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("reckless");
    patch("deployment", "reckless", &json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null}}}));
    fails_requests("reckless", &with(&WITHOUT_PODS, "rollout"), "its strategy is Recreate");
}

#[test]
#[ignore = "a variant: make test-variants"]
fn all_pods_may_be_unavailable_during_an_update() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("absent");
    let update = json!({"maxUnavailable": "100%", "maxSurge": 0});
    patch("deployment", "absent", &json!({"spec": {"strategy": {"rollingUpdate": update}}}));
    fails_requests("absent", &["rollout", "service", "ingress"], "maxUnavailable is 100%");
}

#[test]
fn the_pods_close_connections_at_once() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("abrupt");
    patch_pods("abrupt", &container(json!({"env": [{"name": "SHUTDOWN_DELAY", "value": "0s"}]})));
    let names = ["rollout", "service", "ingress"];
    let failed = failing("abrupt", &names, "2m", &[]);
    assert_eq!(failed.keys().collect::<Vec<_>>(), ["rollout"], "{failed:?}");
    record_reported(&names, &failed);
}

#[test]
#[ignore = "a variant: make test-variants"]
fn the_log_is_not_json() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("prosaic");
    patch_pods("prosaic", &container(json!({"args": ["--log-format", "text"]})));
    let failure = caught("prosaic", "version", &WITHOUT_PODS, "INFO", &[]);
    assert_eq!(failure["expected"], "a log of JSON lines");
}

/// Asserts that only `rollout` fails, because requests have failed, and that it has seen the cause.
fn fails_requests(slug: &str, names: &[&str], cause: &str) {
    let failed = failing(slug, names, "2m", &[]);
    let actual = failed.get("rollout").and_then(|check| check["failure"]["seen"].as_str());
    assert!(actual.is_some_and(|actual| actual.ends_with(" failed")), "{actual:?}");
    assert_causes(&failed, names, &[("rollout", cause)]);
}
