//! The exercises of the course that need the cluster: each verifier refuses the initial state and a wrong solution, and accepts the answer.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use crate::fixture::{Cleanup, DEPLOYER, SavedPermissions, access, feed, http, owner, pushed_image};
use crate::saboteurs::intact;
use crate::solver::{Student, assert_done, refusal, solution};
use crate::support::{e2e, eventually, run};

/// Time for pods to become available, and for Prometheus to scrape twice.
const TIMEOUT: Duration = Duration::from_mins(3);

fn verify(student: &Student, exercise: &str, reference: &str) -> Output {
    student.verify(exercise).args(["--ref", reference]).output().expect("e2e runs")
}

/// Waits until the exercise is done. Calls `before` before each attempt.
fn eventually_accepted(student: &Student, exercise: &str, reference: &str, before: impl Fn()) {
    let output = eventually(exercise, TIMEOUT, || {
        before();
        let output = verify(student, exercise, reference);
        if output.status.success() { Ok(output) } else { Err(String::from_utf8_lossy(&output.stdout).into_owned()) }
    });
    assert_done(exercise, &output);
}

#[test]
fn a_query_is_verified_with_prometheus() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("queried");
    let student = Student::new();
    let actual = refusal(&verify(&student, "8.2", "queried"));
    assert_eq!(actual, "requests.promql: No such file or directory (os error 2)");
    student.apply(&solution("8.2", ""));
    let requests = || assert_eq!(http("queried.gitlab-k8s-demo.test", "/").0, 200);
    // A rate needs two scrapes of a pod.
    eventually_accepted(&student, "8.2", "queried", requests);
    let student = Student::new();
    student.apply(&solution("8.2", ".wrong"));
    let actual = refusal(&verify(&student, "8.2", "queried"));
    // Without `rate`, environments that were removed in the last five minutes have no value.
    let words = ["which is not the number of requests per second", "the query has "];
    assert!(words.iter().any(|words| actual.contains(words)), "{actual}");
}

/// Applies the manifests of exercise 10.1, with an image that exists.
fn apply_broken(student: &Student) {
    let text = std::fs::read_to_string(student.dir.join("docs/course/broken.yaml")).expect("a manifest");
    let image = "registry.gitlab-k8s-demo.test/local/project:feature-greeting";
    feed(&mut owner(&["apply", "--filename", "-"]), &text.replace(image, &format!("{}:test", pushed_image())));
}

#[test]
fn a_broken_deployment_is_repaired() {
    let _deployer = DEPLOYER.read();
    let _cleanup = Cleanup(vec!["--namespace=gitlab".into(), "deployment/broken".into(), "service/broken".into()]);
    let student = Student::new();
    let actual = refusal(&verify(&student, "10.1", "dev"));
    assert_eq!(actual, "there is no Deployment broken: apply the file");
    apply_broken(&student);
    let actual = refusal(&verify(&student, "10.1", "dev"));
    assert_eq!(actual, "0 of 1 pods of the Deployment are available");
    student.apply(&solution("10.1", ".wrong"));
    apply_broken(&student);
    run(&mut owner(&["--namespace=gitlab", "rollout", "status", "--timeout=120s", "deployment/broken"]));
    let actual = refusal(&verify(&student, "10.1", "dev"));
    assert!(actual.contains("because nothing verifies that it is ready"), "{actual}");
    let student = Student::new();
    student.apply(&solution("10.1", ""));
    apply_broken(&student);
    eventually_accepted(&student, "10.1", "dev", || {});
}

/// The slug of the environment that the checked-out default branch is deployed to.
fn slug(student: &Student) -> String {
    let text = run(e2e(&["plan", "--format", "json", "-C"]).arg(&student.dir));
    let plan: Value = serde_json::from_str(&text).expect("JSON");
    let jobs = plan["jobs"].as_array().cloned().unwrap_or_default();
    let job = jobs.iter().find(|job| job["name"] == "deploy_dev").expect("a deploy job");
    job["environment"]["slug"].as_str().expect("a slug").to_owned()
}

/// A project whose default branch is deployed to an environment of its own: other tests use `dev`. As after page 6, it is checked out.
fn project_with_own_environment() -> Student {
    let student = Student::new();
    run(Command::new("git").arg("-C").arg(&student.dir).args(["switch", "--quiet", "main"]));
    let file = student.dir.join(".gitlab-ci.yml");
    let text = std::fs::read_to_string(&file).expect("the pipeline");
    std::fs::write(&file, text.replace("name: dev\n", "name: exercise\n")).expect("the pipeline");
    let mut commit = Command::new("git");
    commit.arg("-C").arg(&student.dir).args(["-c", "user.name=A", "-c", "user.email=a@b.test"]);
    run(commit.args(["commit", "--quiet", "--all", "--message", "Rename"]));
    student
}

#[test]
fn a_new_kind_of_object_is_deployed() {
    let _deployer = DEPLOYER.write();
    let _permissions = SavedPermissions::save();
    let kubeconfig = std::fs::read_to_string(access("gitlab_kubeconfig")).expect("a kubeconfig");
    let variables = json!([
        {"key": "KUBECONFIG", "variable_type": "file", "value": kubeconfig},
        {"key": "CI_REGISTRY_IMAGE", "value": pushed_image()},
        {"key": "IMAGE_TAG", "value": "test"},
    ]);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), variables.to_string()).expect("a file");
    let paths = [
        ("target/course/cluster/kubeconfig", access("kubeconfig").to_owned()),
        ("target/course/vars.json", file.path().to_string_lossy().into_owned()),
        ("target/debug/e2e", env!("CARGO_BIN_EXE_e2e").to_owned()),
    ];
    let student = project_with_own_environment();
    let slug = slug(&student);
    let kinds = "deployments,services,ingresses,poddisruptionbudgets,configmaps";
    let _cleanup = Cleanup(vec!["--namespace=gitlab".into(), kinds.into(), format!("--selector=ref={slug}")]);
    let actual = refusal(&verify(&student, "6.2", &slug));
    assert_eq!(actual, format!("expected a Deployment with label ref={slug} in namespace gitlab, found none"));
    student.apply_with(&solution("6.2", ".wrong"), &paths);
    let actual = refusal(&verify(&student, "6.2", &slug));
    assert_eq!(actual, "no container of the Deployment gets RUST_LOG from a ConfigMap");
    let student = project_with_own_environment();
    student.apply_with(&solution("6.2", ""), &paths);
    eventually_accepted(&student, "6.2", &slug, || {});
}
