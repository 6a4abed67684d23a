//! Tests of the checks in a namespace with a `ResourceQuota` and a `LimitRange`.

use serde_json::{Value, json};

use crate::conditions::{Namespace, assert_only};

fn limit_range() -> Value {
    json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "defaults"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "200m", "memory": "64Mi"}, "defaultRequest": {"cpu": "10m", "memory": "16Mi"},
         "max": {"cpu": "1", "memory": "256Mi"}}]}})
}

fn quota(pods: u32) -> Value {
    let hard = json!({"pods": pods.to_string(), "requests.cpu": "1", "requests.memory": "1Gi", "limits.cpu": "10", "limits.memory": "2Gi"});
    json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}, "spec": {"hard": hard}})
}

/// A namespace with this quota, and the service in it.
fn with_quota(name: &'static str, pods: u32) -> Namespace {
    let namespace = Namespace::new(name);
    namespace.apply(limit_range());
    namespace.apply(quota(pods));
    namespace.deploy();
    namespace
}

/// A quota demands limits of every pod, also of those that checks create; the `LimitRange` gives them.
#[test]
fn a_quota_with_enough_room_and_default_limits_fail_no_check() {
    let namespace = with_quota("condition-quota", 20);
    assert_only(&namespace.verdicts(), &[]);
}

/// Room for the pods of the service, and for none of a rollout or a check.
#[test]
#[ignore = "CI has no time for it: make test-variants"]
fn a_quota_without_room_for_another_pod_is_named() {
    let namespace = with_quota("condition-full", 2);
    let full = "ResourceQuota team, requested: pods=1, used: pods=2, limited: pods=2";
    assert_only(
        &namespace.verdicts(),
        &["dns", "liveness", "pull-secret", "readiness", "rollout"].map(|name| (name, full)),
    );
}
