//! Tests the whole scenario on an existing cluster and registry, which are given only by flags, with a pipeline that has other job
//! names and more stages. The cluster has several nodes and restricts the pods of all namespaces.

#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::environment::registry::HOST;
use e2e::environment::registry::login::USER;

use crate::sandbox::{NAME, PORTS, Sandbox};
use crate::support::{docker, error, project, run};

/// Jobs of the repository's pipeline, each with its name in this test.
const RENAMED: [(&str, &str); 6] = [
    ("test2", "examine the binary"),
    ("compile", "build it"),
    ("image_build", "push the image"),
    ("deploy_review", "to review"),
    ("stop_review", "away from review"),
    ("deploy_live", "to live"),
];

/// A branch pipeline that fails, and a tag pipeline that would run longer than the test waits.
const FAILING: &str = "\
default: {image: rust:1.97.1}
stages: [build, deploy]
fails: {stage: build, script: exit 1, rules: [{if: $CI_COMMIT_BRANCH}]}
endless: {stage: build, script: sleep 3000, rules: [{if: $CI_COMMIT_TAG}]}
dev: {stage: deploy, script: echo, environment: dev, rules: [{if: $CI_COMMIT_BRANCH}]}
live: {stage: deploy, script: echo, environment: live, rules: [{if: $CI_COMMIT_TAG}]}
";

/// The author of the test's commits, independent of the user who runs it.
const IDENTITY: [&str; 6] = ["-c", "user.name=Test", "-c", "user.email=test@gitlab.test", "-c", "commit.gpgSign=false"];

#[test]
#[ignore = "it runs the whole pipeline again: make test-variants"]
fn an_existing_cluster_with_another_pipeline() {
    let sandbox = Sandbox::restricted_with_workers();
    run(&mut sandbox.e2e(&["up"]));
    let nodes = run(&mut sandbox.kubectl(&["get", "nodes", "--output=name"]));
    assert_eq!(nodes.lines().count(), 3, "{nodes}");
    // A namespace without a label.
    let privileged = ["run", "privileged", "--namespace=default", "--image=none.invalid/none", "--privileged"];
    let refused = sandbox.kubectl(&privileged).output().unwrap();
    assert!(error(&refused).contains("violates PodSecurity \"restricted:latest\""), "{}", error(&refused));
    let dir = tempfile::tempdir().unwrap();
    let source = changed(dir.path());
    let report = dir.path().join("report");
    let output = run(&mut run_command(&sandbox, dir.path(), &source, &report));
    assert!(output.contains("PASSED: "), "{output}");

    let report: serde_json::Value = serde_json::from_slice(&fs::read(report.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["verdict"], "passed");
    let statuses = |pipeline: &serde_json::Value| -> BTreeMap<String, String> {
        let jobs = pipeline["jobs"].as_array().unwrap().iter();
        jobs.map(|job| (text(&job["name"]), text(&job["status"]))).collect()
    };
    let pipelines: Vec<_> = report["pipelines"].as_array().unwrap().iter().map(statuses).collect();
    let passed = |name: &str| pipelines.iter().any(|jobs| jobs.get(name).is_some_and(|status| status == "success"));
    for (_, name) in RENAMED {
        assert!(passed(name), "{name}: {pipelines:?}");
    }
    assert!(passed("announce"), "{pipelines:?}");
    let is_not_run = |check: &serde_json::Value| check["verdict"] == "not_run";
    let checks = report["checks"].as_array().unwrap();
    assert!(!checks.is_empty() && !checks.iter().any(is_not_run), "{checks:#?}");

    a_failed_push_cancels_the_tag_pipeline(&sandbox, dir.path());

    // The run must not change an existing cluster, and must remove everything that it has deployed.
    assert!(sandbox.is_complete());
    let left = run(&mut sandbox.kubectl(&[
        "get",
        "all",
        "--namespace=gitlab",
        "--selector=app=gitlab-k8s-demo",
        "--output=name",
    ]));
    assert_eq!(left, "");
    sandbox.down();
}

/// The tag pipeline does not wait for the jobs of the branch pipeline, because no job of this file has a cache.
fn a_failed_push_cancels_the_tag_pipeline(sandbox: &Sandbox, dir: &Path) {
    let source = dir.join("failing");
    let lines = [&["init", "--quiet"][..], &["add", ".gitlab-ci.yml"], &["commit", "--quiet", "--message", "It fails"]];
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join(".gitlab-ci.yml"), FAILING).unwrap();
    for line in lines {
        run(Command::new("git").arg("-C").arg(&source).args(IDENTITY).args(line));
    }
    let report = dir.join("report-of-failing");
    let output = run_command(sandbox, dir, &source, &report).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", error(&output));
    let report: serde_json::Value = serde_json::from_slice(&fs::read(report.join("report.json")).unwrap()).unwrap();
    let step = |name: &str| {
        let mut steps = report["steps"].as_array().unwrap().iter();
        let step = steps.find(|step| text(&step["name"]).starts_with(name)).unwrap();
        (text(&step["verdict"]), text(&step["outcome"]))
    };
    assert_eq!(step("A push").0, "failed");
    assert_eq!(step("Tag"), ("interrupted".to_owned(), "the branch's pipeline did not pass".to_owned()));
    assert_eq!(step("The checks on live").0, "not_run");
    assert!(report["took"].as_f64().unwrap() < 300.0, "{report:#}");
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A clone of the project with another pipeline. Its test jobs do not run the project's own tests, which run elsewhere.
fn changed(dir: &Path) -> PathBuf {
    let clone = dir.join("service");
    run(Command::new("git").args(["clone", "--quiet"]).arg(project()).arg(&clone));
    let file = clone.join(".gitlab-ci.yml");
    let mut pipeline = fs::read_to_string(&file).unwrap();
    for (name, other) in RENAMED {
        pipeline = gitlab_ci::testing::rename_job(&pipeline, name, other);
    }
    let mut change = |from: &str, to: &str| {
        assert!(pipeline.contains(from), "{from:?}: {pipeline}");
        pipeline = pipeline.replace(from, to);
    };
    change("stages: [test, ", "stages: [test, announce, ");
    change("    - cargo test --locked -p app --lib --test router\n", "    - cargo --version\n");
    change("    - cargo test --locked -p app --test binary\n", "    - cargo --version\n");
    pipeline.push_str(
        "\nannounce:\n  extends: .rust\n  stage: announce\n  cache: []\n  script: echo \"$CI_COMMIT_REF_NAME\"\n",
    );
    fs::write(&file, pipeline).unwrap();
    let commit = ["commit", "--quiet", "--all", "--message", "Another pipeline"];
    run(Command::new("git").arg("-C").arg(&clone).args(IDENTITY).args(commit));
    clone
}

/// `e2e run` with only flags. The names of the registry and the API server resolve to their containers, on this machine and in jobs.
/// It runs in its own mount namespace, because a test must not change the machine's hosts file.
fn run_command(sandbox: &Sandbox, dir: &Path, source: &Path, report: &Path) -> Command {
    let template = format!("{{{{(index .NetworkSettings.Networks {NAME:?}).IPAddress}}}}");
    let address = |container: &str| docker(&["inspect", container, "--format", &template]);
    let (registry, control_plane) = (format!("{NAME}-registry"), format!("{NAME}-control-plane"));
    let lines =
        [("127.0.0.1", "localhost"), (&*address(&registry), HOST), (&*address(&control_plane), &*control_plane)];
    let names = dir.join("hosts");
    fs::write(&names, lines.map(|(address, name)| format!("{address} {name}\n")).concat()).unwrap();
    let state = sandbox.state().join(NAME);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-euc", "mount --bind \"$1\" /etc/hosts; shift; exec \"$@\"", "sh"]).arg(&names);
    command.current_dir(project()).arg(env!("CARGO_BIN_EXE_e2e")).arg("run");
    command.arg("--directory").arg(source).arg("--report").arg(report);
    command.arg("--cluster").arg(format!("kind-{NAME}")).arg("--kubeconfig").arg(state.join("kubeconfig"));
    command.arg("--deployer-kubeconfig").arg(state.join("gitlab-internal.kubeconfig"));
    command.args(["--registry", HOST, "--registry-user", USER]);
    command.arg("--registry-password-file").arg(state.join("registry-password"));
    command.arg("--registry-ca").arg(state.join("registry-ca.crt"));
    command.arg("--ingress").arg(format!("127.0.0.1:{}", PORTS[0]));
    command.args(["--prometheus", "monitoring/prometheus:9090", "--network", NAME]);
    command
}
