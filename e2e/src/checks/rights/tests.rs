//! Tests of the computation, with events as the API server of Kubernetes writes them.

use rstest::rstest;
use serde_json::{Value, json};

use super::Rights;
use crate::record::check_report::Mode;

const USER: &str = "system:serviceaccount:e2e-rights:default";

fn event(verb: &str, uri: &str, object: Value, more: &Value) -> String {
    let mut event = json!({
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "stage": "ResponseComplete",
        "requestURI": uri,
        "verb": verb,
        "user": {"username": USER, "groups": ["system:serviceaccounts"]},
        "responseStatus": {"metadata": {}, "code": 200},
    });
    if !object.is_null() {
        event["objectRef"] = object;
    }
    for (key, value) in more.as_object().into_iter().flatten() {
        event[key] = value.clone();
    }
    event.to_string()
}

/// A request to a resource of the core group.
fn core(verb: &str, resource: &str, namespace: &str, name: &str) -> String {
    let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
    let mut object = json!({"resource": resource, "apiVersion": "v1"});
    for (key, value) in [("namespace", namespace), ("name", name), ("subresource", part)] {
        if !value.is_empty() {
            object[key] = json!(value);
        }
    }
    event(verb, "/api/v1/…", object, &json!({}))
}

fn computed(events: &[String]) -> Rights {
    Rights::from_audit_log(&events.join("\n"), USER, "e2e-check-").unwrap()
}

/// The rules without the beginning of the manifest.
fn rules(events: &[String]) -> String {
    let text = computed(events).manifest(Mode::Default);
    let documents = text.split("---\n").map(|document| {
        let (head, rules) = document.split_once("rules:\n").unwrap();
        let namespace = head.lines().find(|line| line.starts_with("  namespace:")).unwrap_or("  cluster");
        format!("{}\n{rules}", namespace.trim())
    });
    documents.collect()
}

#[test]
fn a_manifest_has_a_rule_for_each_set_of_verbs() {
    let deployments = json!({"resource": "deployments", "namespace": "gitlab", "apiGroup": "apps", "apiVersion": "v1"});
    let events = [
        core("list", "pods", "gitlab", ""),
        core("watch", "pods", "gitlab", ""),
        core("list", "services", "gitlab", ""),
        core("watch", "services", "gitlab", ""),
        core("create", "pods", "gitlab", "web-1"),
        event("patch", "/apis/apps/v1/…", deployments, &json!({})),
        core("get", "pods/log", "gitlab", "web-1"),
        core("get", "services/proxy", "monitoring", "prometheus:http"),
        core("list", "nodes", "", ""),
    ];
    insta::assert_snapshot!(computed(&events).manifest(Mode::Default));
}

#[rstest]
#[case::a_secret(
    core("get", "secrets", "gitlab", "myregistry"),
    "namespace: gitlab\n  - apiGroups: [\"\"]\n    resources: [secrets]\n    resourceNames: [myregistry]\n    verbs: [get]\n"
)]
#[case::a_namespace_has_no_namespace(
    core("get", "namespaces", "gitlab", "gitlab"),
    "cluster\n  - apiGroups: [\"\"]\n    resources: [namespaces]\n    resourceNames: [gitlab]\n    verbs: [get]\n"
)]
#[case::a_temporary_namespace_has_another_name_next_time(
    core("get", "namespaces", "e2e-check-1", "e2e-check-1"),
    "cluster\n  - apiGroups: [\"\"]\n    resources: [namespaces]\n    verbs: [get]\n"
)]
#[case::in_a_temporary_namespace(
    core("create", "services", "e2e-check-1", "web"),
    "cluster\n  - apiGroups: [\"\"]\n    resources: [services]\n    verbs: [create]\n"
)]
#[case::a_pod_has_another_name_next_time(
    core("get", "pods", "gitlab", "web-1"),
    "namespace: gitlab\n  - apiGroups: [\"\"]\n    resources: [pods]\n    verbs: [get]\n"
)]
#[case::an_upgraded_connection(
    core("get", "pods/portforward", "ingress", "traefik-1"),
    "namespace: ingress\n  - apiGroups: [\"\"]\n    resources: [pods/portforward]\n    verbs: [create, get]\n"
)]
fn one_request_needs_one_rule(#[case] event: String, #[case] expected: &str) {
    assert_eq!(rules(&[event]), expected);
}

#[rstest]
#[case::discovery(event("get", "/apis/apps/v1", Value::Null, &json!({})))]
#[case::version(event("get", "/version?timeout=5s", Value::Null, &json!({})))]
#[case::about_itself(core("create", "selfsubjectaccessreviews", "", ""))]
#[case::another_account(event("list", "/api/v1/pods", json!({"resource": "pods"}), &json!({"user": {"username": "jane"}})))]
fn what_every_account_may_do_needs_no_rule(#[case] event: String) {
    assert_eq!(computed(&[event]), Rights::default());
}

#[rstest]
#[case::a_path(event("get", "/metrics", Value::Null, &json!({})), "get /metrics")]
#[case::a_path_with_a_known_beginning(event("get", "/versions", Value::Null, &json!({})), "get /versions")]
#[case::acting_as_a_user(event("list", "/api/v1/pods", json!({"resource": "pods"}), &json!({"impersonatedUser": {"username": "jane"}})), "list /api/v1/pods")]
fn a_request_without_a_known_rule_is_an_error(#[case] event: String, #[case] expected: &str) {
    let error = Rights::from_audit_log(&event, USER, "e2e-check-").unwrap_err().to_string();
    assert_eq!(error, format!("line 1 of the audit log: no rule is known for {expected}"));
}

#[test]
fn acting_as_an_account_needs_only_that_permission() {
    let other = json!({"impersonatedUser": {"username": "system:serviceaccount:gitlab:gitlab"}});
    let events = [event("list", "/api/v1/secrets", json!({"resource": "secrets"}), &other)];
    let expected = "  - apiGroups: [\"\"]\n    resources: [serviceaccounts]\n    resourceNames: [gitlab]\n    verbs: [impersonate]\n";
    assert!(rules(&events).ends_with(expected), "{}", rules(&events));
}

#[test]
fn a_role_is_created_only_with_its_permissions() {
    let object = json!({"resource": "roles", "namespace": "e2e-check-1", "apiGroup": "rbac.authorization.k8s.io"});
    let rule = json!({"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["delete"]});
    let events = [event("create", "/apis/…", object, &json!({"requestObject": {"rules": [rule]}}))];
    let expected = "cluster\n  - apiGroups: [batch]\n    resources: [jobs]\n    verbs: [delete]\n  \
                    - apiGroups: [rbac.authorization.k8s.io]\n    resources: [roles]\n    verbs: [create]\n";
    assert_eq!(rules(&events), expected);
}

#[test]
fn server_side_apply_of_a_new_object_needs_the_verb_create() {
    let object = json!({"resource": "configmaps", "namespace": "gitlab", "name": "report"});
    let events = [event("patch", "/api/v1/…", object, &json!({"responseStatus": {"code": 201}}))];
    assert!(rules(&events).ends_with("verbs: [create, patch]\n"), "{}", rules(&events));
}

#[test]
fn a_wider_permission_includes_a_narrower_one() {
    let wide = [core("list", "pods", "", ""), core("get", "secrets", "", "")];
    let narrow = [core("list", "pods", "gitlab", ""), core("get", "secrets", "gitlab", "myregistry")];
    assert_eq!(computed(&[&wide[..], &narrow[..]].concat()), computed(&wide));
}

#[test]
fn a_line_that_is_no_event_is_named() {
    let log = format!("{}\n{{", core("list", "pods", "", ""));
    let error = Rights::from_audit_log(&log, USER, "e2e-check-").unwrap_err().to_string();
    assert_eq!(error, "line 2 of the audit log is not an event");
}

/// The manifests are those that the program prints, and can be applied together.
#[rstest]
#[case(Mode::Default)]
#[case(Mode::ReadOnly)]
#[case(Mode::Deploy)]
fn the_committed_manifests_are_roles(#[case] mode: Mode) {
    let objects: Vec<Value> = serde_saphyr::from_multiple(mode.rights()).unwrap();
    assert_eq!(objects[0]["kind"], "ClusterRole");
    for object in &objects {
        assert_eq!(object["metadata"]["name"], mode.role());
        assert!(object["rules"].as_array().is_some_and(|rules| !rules.is_empty()), "{object}");
    }
}

/// `--read-only` cannot change anything. A GET request to a Service or pod passes the API server.
#[test]
fn the_permissions_of_read_only_only_read() {
    let objects: Vec<Value> = serde_saphyr::from_multiple(Mode::ReadOnly.rights()).unwrap();
    let rules = objects.iter().flat_map(|object| object["rules"].as_array().unwrap());
    let verbs = rules.flat_map(|rule| rule["verbs"].as_array().unwrap().iter().map(|verb| verb.as_str().unwrap()));
    for verb in verbs {
        assert!(["get", "list", "watch"].contains(&verb), "{verb}");
    }
}
