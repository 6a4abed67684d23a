//! Tests of `manifests/checks`: a Job that checks an environment.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::{Job, TIMEOUT, load_image};
use crate::fixture::{DEPLOYER, Installation, access, apply, kustomized, owner};
use crate::saboteurs::{intact, reported};
use crate::support::{e2e, error, eventually, run};

const DIR: &str = "manifests/checks";

const JOB: Job<'_> = Job { namespace: "gitlab-checks", name: "checks" };

/// The objects have fixed names, so one test at a time uses them.
static INSTALLATION: Mutex<()> = Mutex::new(());

fn installation() -> Installation {
    load_image();
    Installation::new(DIR, &INSTALLATION, &[&["--timeout=2m", "--kustomize", DIR]])
}

/// Starts the Job for an environment, with more arguments.
fn start(slug: &str, extra_arguments: &[&str]) {
    JOB.kubectl(&["delete", "job", JOB.name, "--ignore-not-found", "--timeout=2m"]);
    let mut items = kustomized(DIR);
    let job = items.iter_mut().find(|item| item["kind"] == "Job").expect("a Job");
    let arguments = job["spec"]["template"]["spec"]["containers"][0]["args"].as_array_mut().expect("arguments");
    let reference = arguments.iter_mut().find(|argument| **argument == "--ref=dev").expect("--ref");
    *reference = json!(format!("--ref={slug}"));
    arguments.extend(extra_arguments.iter().map(|argument| json!(argument)));
    apply(&items);
}

/// The names of the checks with this verdict.
fn names<'checks>(checks: &'checks [Value], verdict: &str) -> Vec<&'checks str> {
    let checks = checks.iter().filter(|check| check["verdict"] == verdict);
    checks.map(|check| check["name"].as_str().expect("a name")).collect()
}

/// The pods that checks have created for an environment.
fn pods_of_checks(slug: &str) -> String {
    let selector = format!("--selector=io.gitlab-ci-k8s-demo.check,ref={slug}");
    run(&mut owner(&["get", "pods", "--namespace=gitlab", &selector, "--output=name"]))
}

#[test]
fn a_dry_run_accepts_all_objects_without_a_warning() {
    let _installation = installation();
    let dry_run = ["apply", "--server-side", "--dry-run=server", "--kustomize", DIR];
    let output = owner(&dry_run).output().expect("kubectl");
    assert_eq!((output.status.code(), &*error(&output)), (Some(0), ""));
}

#[test]
fn the_job_passes_with_its_own_account_and_fails_when_a_service_leads_nowhere() {
    let _installation = installation();
    let _environment = intact("inside");
    start("inside", &[]);
    let (ended, report) = JOB.end();
    let text = report.get("report.txt").map(String::as_str).unwrap_or_default();
    assert_eq!((&*ended, &*report["result"]), ("Complete", "passed"), "{text}");
    let checks = reported(&report["report.json"]).expect("JSON");
    assert_eq!(names(&checks, "not_run"), ["registry", "rbac"], "{text}");
    assert_eq!(names(&checks, "passed").len(), 11, "{text}");
    assert!(text.ends_with("\nChecks: 11 passed, 2 not run\n"), "{text}");
    let totals = r#"<testsuites name="e2e" tests="14" skipped="2" failures="0" errors="0" "#;
    assert!(report["junit.xml"].contains(totals), "{}", report["junit.xml"]);
    let keys = ["finished", "junit.xml", "report.json", "report.txt", "result", "started"];
    assert_eq!(report.keys().collect::<Vec<_>>(), keys);

    let port = json!({"name": "http-metrics", "port": 8000, "targetPort": "http", "protocol": "TCP"});
    let ports = json!({"spec": {"ports": [port]}}).to_string();
    let patch = ["patch", "service", "gitlab-k8s-demo-inside", "--namespace=gitlab", "--type=merge", "--patch", &ports];
    run(&mut owner(&patch));
    start("inside", &["--timeout=30s", "service", "version"]);
    let (ended, report) = JOB.end();
    let text = report.get("report.txt").map(String::as_str).unwrap_or_default();
    assert_eq!((&*ended, &*report["result"]), ("Failed", "failed"), "{text}");
    assert!(text.contains("service of inside failed: "), "{text}");
    let cause =
        "Service gitlab/gitlab-k8s-demo-inside: its targetPort http is not a port of the pods, which have http-metrics";
    assert!(text.contains(cause), "{text}");
    assert!(text.ends_with("\nChecks: 1 passed, 1 failed\n"), "{text}");
}

#[test]
#[ignore = "CI has no time for it: make test-variants"]
fn a_job_that_is_deleted_reports_the_interruption_and_removes_its_pods() {
    let _installation = installation();
    let _environment = intact("deleted");
    start("deleted", &[]);
    eventually("a pod of a check", TIMEOUT, || {
        let (pods, report) = (pods_of_checks("deleted"), JOB.report());
        if pods.is_empty() { Err(format!("{report:?}")) } else { Ok(()) }
    });
    assert_eq!(JOB.report().keys().collect::<Vec<_>>(), ["result", "started"]);
    assert_eq!(JOB.report()["result"], "running");
    JOB.kubectl(&["delete", "job", JOB.name, "--cascade=foreground", "--timeout=2m"]);
    assert_eq!(JOB.report()["result"], "interrupted");
    eventually("no pods of checks", TIMEOUT, || match pods_of_checks("deleted") {
        pods if pods.is_empty() => Ok(()),
        pods => Err(pods),
    });
}

#[test]
fn an_account_that_may_not_write_the_report_runs_no_check() {
    let _deployer = DEPLOYER.read();
    let arguments = ["check", "--kubeconfig", access("gitlab_kubeconfig"), "--report-configmap", "report", "version"];
    let output = e2e(&arguments).output().expect("e2e");
    assert_eq!((output.status.code(), &*output.stdout), (Some(3), &b""[..]));
    let text = error(&output);
    let begin = "e2e: cannot write the report to ConfigMap gitlab/report: configmaps \"report\" is forbidden: ";
    assert!(text.starts_with(begin), "{text}");
    assert!(
        text.ends_with("; the account of this program needs permission to create and patch ConfigMaps\n"),
        "{text}"
    );
}
