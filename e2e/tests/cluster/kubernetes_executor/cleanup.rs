//! Tests that a pipeline that ends early leaves nothing in the cluster.

use std::process::Command;
use std::time::{Duration, SystemTime};

use super::{Namespace, Running, TIMEOUT, runner};
use crate::fixture::{fed, feed, owner};
use crate::repository::Repository;
use crate::support::eventually;

const PIPELINE: &str =
    "a: {script: [echo begun, sleep 600], services: [{name: debian-forky, alias: db, command: [sleep, '600']}]}\n";

#[test]
fn an_interrupted_pipeline_leaves_nothing() {
    let namespace = Namespace::new();
    let running = namespace.start(PIPELINE, "", "begun");
    running.signal("-INT");
    let run = running.end();
    assert_eq!((run.code(), run.result("a").0), (130, "canceled"));
    assert_eq!(namespace.objects(), Vec::<String>::new());
}

#[test]
fn the_next_start_removes_what_a_killed_pipeline_has_left() {
    let namespace = Namespace::new();
    // Another pipeline of this machine, which continues.
    let other = namespace.start(PIPELINE, "", "begun");
    let pods = namespace.objects();
    let mut killed = namespace.start(PIPELINE, "", "begun");
    killed.child.kill().expect("kill -9");
    killed.child.wait().expect("its end");
    assert!(namespace.objects().len() > pods.len(), "the killed pipeline has left a pod");
    let next = namespace.run("a: {script: 'true'}\n", "");
    assert_eq!(next.code(), 0);
    eventually("the removal", TIMEOUT, || {
        let left = namespace.objects();
        if left == pods { Ok(()) } else { Err(format!("{left:?}, expected {pods:?}")) }
    });
    other.signal("-INT");
    assert_eq!(other.end().code(), 130);
    assert_eq!(namespace.objects(), Vec::<String>::new());
}

/// The machine of a killed pipeline may never come back. The deadline of a pod is two minutes after that of its job.
#[test]
#[ignore = "it waits for minutes: make test-variants"]
fn the_pod_of_a_killed_pipeline_ends_by_itself() {
    let namespace = Namespace::new();
    let pipeline = PIPELINE.replace("a: {", "a: {timeout: 60s, ");
    let (repository, settings) = (Repository::new("main", &pipeline), runner(""));
    // Without access to its lock, the pipelines of other tests do not remove what it leaves.
    let state = tempfile::tempdir().expect("a directory");
    let mut command = namespace.command(&repository, &settings, &[]);
    let child = command.env("XDG_STATE_HOME", state.path()).spawn().expect("e2e");
    let mut killed = Running { child, repository, _settings: settings };
    killed.wait_for("begun");
    let pod = namespace.pod();
    killed.child.kill().expect("kill -9");
    killed.child.wait().expect("its end");
    eventually("the end of the pod", Duration::from_mins(6), || {
        let status = namespace.kubectl(&["get", &pod, "--output=jsonpath={.status.phase} {.status.reason}"]);
        if status == "Failed DeadlineExceeded" { Ok(()) } else { Err(status) }
    });
    let running = "--output=jsonpath={.status.containerStatuses[*].state.running}";
    assert_eq!(namespace.kubectl(&["get", &pod, running]), "");
}

/// Creates what a pipeline of another machine has left: a `ConfigMap`, which was renewed at `renewed`, and a Secret that it owns.
fn leave(namespace: &Namespace, id: &str, renewed: SystemTime) -> [String; 2] {
    let digest = fed(&mut Command::new("sha1sum"), id).stdout;
    let label = String::from_utf8_lossy(&digest).get(..16).expect("a digest").to_owned();
    let name = format!("e2e-run-{label}");
    let labels = serde_json::json!({"io.gitlab-ci-k8s-demo.pipeline": label, "app.kubernetes.io/managed-by": "gitlab-ci-k8s-demo"});
    let renewed = humantime::format_rfc3339_seconds(renewed).to_string();
    let anchor = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels,
        "annotations": {"io.gitlab-ci-k8s-demo.owner": id, "io.gitlab-ci-k8s-demo.renewed": renewed}}});
    let apply = ["apply", "--filename", "-", "--namespace", &namespace.name];
    // The pipeline of another test may remove it at any time.
    let apply_anchor = [&apply[..], &["--output=jsonpath={.metadata.uid}"]].concat();
    let uid = feed(&mut owner(&apply_anchor), &anchor.to_string());
    let references = serde_json::json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid}]);
    let secret = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("{name}-pull"),
        "labels": labels, "ownerReferences": references}});
    feed(&mut owner(&apply), &secret.to_string());
    [format!("configmap/{name}"), format!("secret/{name}-pull")]
}

#[test]
fn only_a_pipeline_of_another_machine_that_has_ended_long_ago_is_removed() {
    let namespace = Namespace::new();
    let (now, hour) = (SystemTime::now(), Duration::from_hours(1));
    leave(&namespace, "elsewhere.1.0123456789abcdef/1", now - hour * 25);
    let mut recent = leave(&namespace, "elsewhere.2.0123456789abcdef/1", now - hour * 23).to_vec();
    assert_eq!(namespace.run("a: {script: 'true'}\n", "").code(), 0);
    recent.sort();
    eventually("the removal", TIMEOUT, || {
        let mut left = namespace.objects();
        left.sort();
        if left == recent { Ok(()) } else { Err(format!("{left:?}, expected {recent:?}")) }
    });
}

#[test]
fn a_running_pipeline_renews_its_anchor() {
    let namespace = Namespace::new();
    let running = namespace.start(PIPELINE, "", "begun");
    let anchors = [
        "get",
        "configmaps",
        "--selector=io.gitlab-ci-k8s-demo.pipeline",
        "--output=jsonpath={.items[0].metadata.annotations}",
    ];
    eventually("a renewal", TIMEOUT, || {
        let annotations = namespace.kubectl(&anchors);
        if annotations.contains("io.gitlab-ci-k8s-demo.renewed") { Ok(()) } else { Err(annotations) }
    });
    running.signal("-INT");
    assert_eq!(running.end().code(), 130);
    assert_eq!(namespace.objects(), Vec::<String>::new());
}
