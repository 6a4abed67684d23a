//! Tests of Pod Security, permissions and secrets.

use rstest::rstest;

use super::{Namespace, Run, runner};
use crate::fixture::{feed, owner};
use crate::repository::Repository;

/// The settings with which a pod is allowed where Pod Security is `restricted`.
const RESTRICTED: &str = r#"
allow_privilege_escalation = false
cap_drop = ["ALL"]
[runners.kubernetes.pod_security_context]
run_as_user = 1000
run_as_non_root = true
[runners.kubernetes.pod_security_context.seccomp_profile]
type = "RuntimeDefault"
"#;

#[test]
fn a_job_runs_where_pod_security_is_restricted() {
    let namespace = Namespace::with_level("restricted");
    let pipeline = "a:\n  stage: build\n  script: [id -u, mkdir out, echo 1 > out/x]\n  artifacts: {paths: [out/]}\nb: {script: cat out/x}\n";
    let run = namespace.run(pipeline, RESTRICTED);
    assert_eq!(run.code(), 0, "{:#?}", run.all_lines("a"));
    run.has("a", "1000");
}

#[test]
fn a_job_chooses_its_user() {
    let namespace = Namespace::new();
    let pipeline = "default: {image: {name: debian-forky, kubernetes: {user: '1234:50'}}}\na:\n  stage: build\n  script: ['echo \"user $(id -u):$(id -g)\"', umask 077, echo 1 > x]\n  artifacts: {paths: [x]}\nb: {script: [cat x, stat -c '%u %a' x]}\n";
    let run = namespace.run(pipeline, "");
    assert_eq!(run.code(), 0, "{:#?}", run.all_lines("a"));
    run.has("a", "user 1234:50");
    run.has("b", "1234 600");
}

#[test]
fn a_pod_that_pod_security_forbids_is_explained() {
    let namespace = Namespace::with_level("restricted");
    let run = namespace.run("a: {script: 'true'}\n", "privileged = true");
    run.failed("a", "violates PodSecurity \"restricted:latest\"");
    run.has("a", "  privileged (containers \"build\", \"helper\" must not set securityContext.privileged=true)");
    assert_eq!(namespace.objects(), Vec::<String>::new());
}

#[test]
fn no_secret_is_in_the_pod_or_in_the_logs_of_the_node() {
    let namespace = Namespace::new();
    let pipeline = "a:\n  script: [echo \"password $PASSWORD\", touch /tmp/x, echo begun, sleep 600]\n  variables: {URL: 'db://$PASSWORD@db'}\n";
    let (repository, settings) = (Repository::new("main", pipeline), runner(""));
    let variables = tempfile::NamedTempFile::new().expect("a file");
    let list = serde_json::json!([{"key": "PASSWORD", "value": "pass-w0rd-12345", "masked": true}]);
    std::fs::write(variables.path(), list.to_string()).expect("a file");
    let arguments = ["--variables", variables.path().to_str().expect("a path")];
    let child = namespace.command(&repository, &settings, &arguments).spawn().expect("e2e");
    let running = super::Running { child, repository, _settings: settings };
    running.wait_for("begun");
    let pod = namespace.pod();
    let seen = [
        namespace.kubectl(&["get", &pod, "--output=yaml"]),
        namespace.kubectl(&["logs", &pod, "--all-containers"]),
        namespace.kubectl(&["get", "events", "--output=yaml"]),
    ];
    running.signal("-INT");
    let run = running.end();
    assert_eq!(run.code(), 130);
    run.has("a", "password [MASKED]");
    for text in seen.iter().chain([&String::from_utf8_lossy(&run.output.stdout).into_owned()]) {
        assert!(!text.contains("w0rd-12345"), "{text}");
    }
}

/// The permissions that the documentation names: resources and verbs.
pub(super) const PERMISSIONS: &[(&str, &str)] = &[
    ("pods", "create, get, list, watch, delete"),
    ("pods/exec", "get, create"),
    ("pods/log", "get"),
    ("configmaps", "create, get, list, patch, delete"),
    ("secrets", "create, delete"),
    ("events", "list"),
];

/// Runs a job with a service and an artifact, by an account that has the documented permissions without `missing`, which is a resource or a
/// verb of pods.
fn run_without(missing: &str) -> (Namespace, Run) {
    let needed = PERMISSIONS.iter().filter(|(resource, _)| *resource != missing).map(|(resource, verbs)| {
        let verbs: Vec<_> = verbs.split(", ").filter(|verb| *resource != "pods" || *verb != missing).collect();
        serde_json::json!({"apiGroups": [""], "resources": [resource], "verbs": verbs})
    });
    run_with(&needed.collect::<Vec<_>>())
}

/// Runs a job with a service and an artifact, by an account with the rules of a Role.
pub(super) fn run_with(rules: &[serde_json::Value]) -> (Namespace, Run) {
    let namespace = Namespace::new();
    let role = serde_json::json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "runner"},
        "rules": rules});
    feed(&mut owner(&["apply", "--filename", "-", "--namespace", &namespace.name]), &role.to_string());
    namespace.kubectl(&["create", "serviceaccount", "runner"]);
    let account = format!("--serviceaccount={}:runner", namespace.name);
    namespace.kubectl(&["create", "rolebinding", "runner", "--role=runner", &account]);
    let token = namespace.kubectl(&["create", "token", "runner"]);
    let kubeconfig = super::connection::kubeconfig(None, Some(&token));
    let image = super::connection::image_on_the_node(&namespace);
    let pipeline = format!(
        "a:\n  image: '{image}'\n  script: [echo 1 > x]\n  artifacts: {{paths: [x]}}\n  services: [{{name: '{image}', alias: db, \
         command: [sleep, '1']}}]\n"
    );
    let (repository, settings) = (Repository::new("main", &pipeline), runner(""));
    let mut command = namespace.command(&repository, &settings, &["--context", "test"]);
    let run = Run::new(command.env("KUBECONFIG", kubeconfig.path()).output().expect("e2e"));
    (namespace, run)
}

#[rstest]
#[case::all_rights("")]
#[case::no_watch("watch")]
#[case::no_logs("pods/log")]
#[case::no_events("events")]
#[case::no_secrets("secrets")]
fn the_documented_rights_are_enough(#[case] missing: &str) {
    let (namespace, run) = run_without(missing);
    assert_eq!(run.code(), 0, "{:#?}", run.all_lines("a"));
    assert_eq!(namespace.objects(), Vec::<String>::new());
}

#[rstest]
#[case::config_maps("configmaps", "the account needs permission to create, get, list and delete ConfigMaps")]
#[case::pods("create", "the account needs permission to create pods and Secrets")]
#[case::exec("pods/exec", "cannot get resource \"pods/exec\"")]
fn a_missing_right_is_named(#[case] missing: &str, #[case] expected: &str) {
    let (_, run) = run_without(missing);
    run.failed("a", expected);
}
