//! Tests of failures: each ends with GitLab's reason and names its cause.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rstest::rstest;

use super::{Namespace, Running, runner};
use crate::fixture::owner;
use crate::repository::Repository;
use crate::support::run;

#[test]
fn an_image_is_tried_with_each_policy() {
    let namespace = Namespace::new();
    let pipeline = "a:\n  image: {name: 'none.test/none:1', pull_policy: [always, if-not-present]}\n  script: 'true'\n";
    let run = namespace.run(pipeline, "pull_policy = [\"always\", \"if-not-present\"]");
    run.failed("a", "cannot obtain image `none.test/none:1` with pull policy \"if-not-present\": ");
    run.has("a", "trying pull policy \"if-not-present\" next");
    assert_eq!(run.ended("a")["exit_code"], serde_json::Value::Null);
}

#[test]
fn an_image_that_must_not_be_pulled_fails_at_once() {
    let namespace = Namespace::new();
    let pipeline = "a:\n  image: {name: 'none.test/none:1', pull_policy: never}\n  script: 'true'\n";
    let started = Instant::now();
    let run = namespace.run(pipeline, "pull_policy = [\"never\"]");
    run.failed("a", "ErrImageNeverPull");
    assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
}

#[test]
fn a_policy_that_the_runner_does_not_allow_is_refused() {
    let namespace = Namespace::new();
    let pipeline = "a:\n  image: {name: 'none.test/none:1', pull_policy: never}\n  script: 'true'\n";
    namespace
        .run(pipeline, "pull_policy = [\"always\"]")
        .failed("a", "no pull policy of none.test/none:1 (never) is allowed");
}

/// The image of the sandbox of every pod contains nothing but one program.
#[test]
fn an_image_without_a_shell_is_explained() {
    let namespace = Namespace::new();
    let images = run(&mut owner(&["get", "nodes", "--output=jsonpath={.items[0].status.images[*].names[*]}"]));
    let pause = images.split_whitespace().find(|name| name.contains("/pause:")).expect("the image of the sandboxes");
    let started = Instant::now();
    let run = namespace.run(&format!("a: {{image: '{pause}', script: 'true'}}\n"), "");
    run.failed("a", "the job's image has no shell");
    assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
}

/// The entrypoint of this image is a server, which takes no command as arguments.
#[test]
fn an_entrypoint_that_runs_no_shell_is_explained() {
    let namespace = Namespace::new();
    let flag = "[runners.feature_flags]\nFF_KUBERNETES_HONOR_ENTRYPOINT = true";
    let started = Instant::now();
    let run = namespace.run("a: {image: registry, script: 'true'}\n", flag);
    run.failed("a", "with FF_KUBERNETES_HONOR_ENTRYPOINT, the image's entrypoint must run its arguments");
    assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
    assert_eq!(namespace.run("a: {image: registry, script: 'true'}\n", "").code(), 0);
}

#[test]
fn a_job_that_runs_out_of_memory() {
    let namespace = Namespace::new();
    let pipeline = "a: {script: [echo begun, 'perl -e \"my @a = (1) x 1e9\"']}\n";
    let run = namespace.run(pipeline, "memory_limit = \"64Mi\"");
    let (status, reason) = run.result("a");
    // The kernel kills the whole container with cgroup v2, and only one process with cgroup v1.
    let is_explained = reason.contains("OOMKilled") && reason.contains("64Mi");
    assert!(status == "failed" && (is_explained || run.ended("a")["exit_code"] == 137), "{reason}");
    run.has("a", "begun");
}

#[rstest]
#[case::deleted(&["delete", "--wait=false"], "is being deleted by another program or user")]
#[case::evicted(&["drain"], "EvictionByEvictionAPI")]
fn a_deleted_or_evicted_pod_is_a_system_failure(#[case] how: &[&str], #[case] expected: &str) {
    let namespace = Namespace::new();
    let pipeline = "a:\n  script: [echo begun, 'test $CI_JOB_ID = 100002 || sleep 600']\n  retry: {max: 1, when: runner_system_failure}\n";
    let running = namespace.start(pipeline, "", "begun");
    let pod = namespace.pod();
    match how {
        ["drain"] => {
            let name = pod.trim_start_matches("pod/");
            let eviction = serde_json::json!({"apiVersion": "policy/v1", "kind": "Eviction",
                "metadata": {"name": name, "namespace": namespace.name}});
            let path = format!("/api/v1/namespaces/{}/pods/{name}/eviction", namespace.name);
            crate::fixture::feed(&mut owner(&["create", "--raw", &path, "--filename", "-"]), &eviction.to_string());
        }
        _ => drop(namespace.kubectl(&[how, &[&pod]].concat())),
    }
    let run = running.end();
    assert_eq!((run.code(), run.attempts("a")), (0, 2));
    let first = run.events.iter().find(|event| event["event"] == "job_ended").expect("an end");
    assert!(first["why"].as_str().is_some_and(|reason| reason.contains(expected)), "{first}");
    assert_eq!(namespace.objects(), Vec::<String>::new());
}

#[test]
fn a_pod_that_no_node_can_run_is_explained() {
    let namespace = Namespace::new();
    let run = namespace.run("a: {script: 'true'}\n", "poll_timeout = 20\ncpu_request = \"1000\"");
    run.failed("a", "does not run after 20 s (`poll_timeout`): Unschedulable: ");
    run.failed("a", "Insufficient cpu");
}

#[test]
fn a_quota_is_named() {
    let namespace = Namespace::new();
    namespace.kubectl(&["create", "quota", "no-pods", "--hard=pods=0"]);
    let run = namespace.run("a: {script: 'true'}\n", "");
    run.failed("a", "the cluster refuses the pod of the job: ");
    run.failed("a", "exceeded quota: no-pods");
}

#[test]
fn a_namespace_that_does_not_exist_is_named() {
    let run = Namespace::missing("no-such-namespace").run("a: {script: 'true'}\n", "");
    run.failed("a", "namespaces \"no-such-namespace\" not found; create the namespace");
}

#[test]
fn a_variable_that_breaks_a_rule_fails_the_job() {
    let namespace = Namespace::new();
    let pipeline = "a: {script: 'true', variables: {KUBERNETES_MEMORY_LIMIT: 3Gi}}\n";
    let rule = "memory_limit_overwrite_max_allowed = \"2Gi\"";
    namespace.run(pipeline, rule).failed("a", "KUBERNETES_MEMORY_LIMIT is `3Gi`, more than the maximum `2Gi`");
}

/// A job that kills its own processes ends at once, and not only at its timeout.
#[rstest]
#[case::its_wrapper("kill -9 $PPID; sleep 600")]
#[case::everything("kill -9 -1; sleep 600")]
fn a_job_that_kills_its_own_shell_ends(#[case] command: &str) {
    let namespace = Namespace::new();
    let started = Instant::now();
    let pipeline = format!(
        "a:\n  script: [echo begun, '{command}']\n  after_script: ['echo \"after $CI_JOB_STATUS\"', 'echo \"sleeping: $(cat \
         /proc/[0-9]*/cmdline | tr \"\\0\" \" \" | grep -c \"slee[p] 600\")\"']\n"
    );
    let run = namespace.run(&pipeline, "");
    assert_eq!(run.ended("a")["exit_code"], 137, "{:?}", run.result("a"));
    run.failed("a", "command terminated with exit code 137");
    for text in ["begun", "The process that ran the script was killed", "after failed", "sleeping: 0"] {
        run.has("a", text);
    }
    assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
}

/// Both attempts fail for the same reason; a failure of the script would not be repeated.
#[test]
fn a_helper_that_cannot_start_is_a_system_failure() {
    let namespace = Namespace::new();
    let images = run(&mut owner(&["get", "nodes", "--output=jsonpath={.items[0].status.images[*].names[*]}"]));
    let pause = images.split_whitespace().find(|name| name.contains("/pause:")).expect("the image of the sandboxes");
    let pipeline = "a: {script: 'true', retry: {max: 1, when: runner_system_failure}}\n";
    let run = namespace.run(pipeline, &format!("helper_image = \"{pause}\""));
    run.failed("a", "the image of container helper has no shell; set `helper_image`");
    assert_eq!(run.attempts("a"), 2);
}

#[test]
fn an_account_may_appear_late() {
    let namespace = Namespace::new();
    let (repository, settings) =
        (Repository::new("main", "a: {script: 'true'}\n"), runner("service_account = \"late\""));
    let child = namespace.command(&repository, &settings, &[]).spawn().expect("e2e");
    let running = Running { child, repository, _settings: settings };
    // Long enough for the first attempt, and less than the 30 s of all attempts.
    sleep(Duration::from_secs(10));
    namespace.kubectl(&["create", "serviceaccount", "late"]);
    let run = running.end();
    assert_eq!(run.code(), 0, "{:?}", run.result("a"));
    run.has("a", "error looking up service account");
}
