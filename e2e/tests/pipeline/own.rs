//! Tests of the repository's own pipeline, as far as they need neither an engine nor a cluster.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rstest::rstest;
use serde_json::{Value, json};

use crate::outcome::Run;
use crate::repository::Repository;
use crate::support::{error, project, run};

/// A test repository with the pipeline file of this project, and the tag `v1.0.0`.
fn own() -> Repository {
    Repository::new("main", &std::fs::read_to_string(project().join(".gitlab-ci.yml")).expect("the pipeline file"))
}

fn plan(repository: &Repository, arguments: &[&str]) -> Value {
    let text = run(&mut repository.e2e(&[&["plan", "--format", "json"], arguments].concat()));
    serde_json::from_str(&text).expect("JSON")
}

fn names(plan: &Value) -> Vec<&str> {
    let jobs = plan["jobs"].as_array().expect("jobs");
    jobs.iter().map(|job| job["name"].as_str().expect("a name")).collect()
}

/// The environments of a plan: the job, its action and the name.
fn environments(plan: &Value) -> Vec<String> {
    let jobs = plan["jobs"].as_array().expect("jobs").iter();
    let jobs = jobs.filter(|job| !job["environment"].is_null());
    jobs.map(|job| {
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        let environment = &job["environment"];
        // Jobs that change an environment wait for each other.
        assert!(
            job["resource_group"] == environment["slug"] || job["resource_group"] == environment["name"],
            "{job:#}"
        );
        format!("{} {} {}", text(&job["name"]), text(&environment["action"]), text(&environment["name"]))
    })
    .collect()
}

/// Each branch has its own environment, which can be stopped. No job stops `dev`, not even after the merge of a branch.
#[rstest]
#[case::a_branch(&["--branch", "feature/x"], &["deploy_review start review/feature-x", "stop_review stop review/feature-x"])]
#[case::the_default_branch(&[], &["deploy_dev start dev"])]
#[case::a_release(&["--tag", "v1.0.0"], &["deploy_live start live"])]
fn each_branch_has_an_environment(#[case] reference: &[&str], #[case] expected: &[&str]) {
    let plan = plan(&own(), reference);
    assert_eq!(environments(&plan), expected);
    let stops = |job: &&Value| job["environment"]["action"] == "start" && !job["environment"]["on_stop"].is_null();
    let stoppable: Vec<_> = plan["jobs"].as_array().expect("jobs").iter().filter(stops).collect();
    assert_eq!(stoppable.len(), usize::from(reference.contains(&"--branch")), "{stoppable:#?}");
}

#[test]
fn the_diagram_shows_every_stage_and_job() {
    let diagram = std::fs::read_to_string(project().join("docs/pipeline.svg")).expect("the diagram");
    let shown: std::collections::BTreeSet<_> = diagram.split(['<', '>']).collect();
    let pipeline = std::fs::read_to_string(project().join(".gitlab-ci.yml")).expect("the pipeline file");
    let pipeline: Value = serde_saphyr::from_str(&pipeline).expect("YAML");
    let jobs =
        pipeline.as_object().expect("a hash").iter().filter(|(name, job)| !name.starts_with('.') && job.is_object());
    let jobs = jobs.map(|(name, _)| name.clone()).filter(|name| !["workflow", "variables"].contains(&&**name));
    let stages = pipeline["stages"].as_array().expect("a list").iter().filter_map(Value::as_str);
    let missing: Vec<_> =
        stages.map(|stage| format!("stage {stage}")).chain(jobs).filter(|name| !shown.contains(&**name)).collect();
    assert_eq!(missing, Vec::<String>::new());
}

/// Only a release can be deployed to the live environment.
#[rstest]
#[case::a_release("v1.0.0", true)]
#[case::a_later_release("v10.20.30", true)]
#[case::a_pre_release("v1.0.0-rc.1", false)]
#[case::a_build("v1.0.0+1", false)]
#[case::two_numbers("v1.0", false)]
#[case::no_prefix("1.0.0", false)]
#[case::a_leading_zero("v01.0.0", false)]
#[case::a_name("test", false)]
fn releases(#[case] tag: &str, #[case] is_release: bool) {
    let repository = own();
    repository.git(&["tag", "--force", tag]);
    let plan = plan(&repository, &["--tag", tag]);
    assert_eq!(names(&plan).contains(&"deploy_live"), is_release, "{plan:#}");
    let jobs = plan["jobs"].as_array().expect("jobs");
    let build = jobs.iter().find(|job| job["name"] == "image_build").expect("the job");
    // Pushes of `latest` wait for each other.
    let group = build["resource_group"].as_str().expect("a group");
    assert_eq!(group == "push-latest", is_release, "{group}");
}

/// Replaces the client of the engine by a program that records its arguments. Returns the value of `PATH` with this program, and a file
/// with the variables of a registry and a runner.
fn without_engine(dir: &Path, arm64_runner: &str) -> (String, String) {
    let docker = dir.join("docker");
    std::fs::write(
        &docker,
        format!("#!/bin/sh\necho \"$*\" >>{}/calls\n[ \"$1\" != login ] || cat >/dev/null\n", dir.display()),
    )
    .expect("a file");
    std::fs::set_permissions(&docker, PermissionsExt::from_mode(0o755)).expect("executable");
    let variables = dir.join("variables.json");
    let registry = json!([
        {"key": "CI_REGISTRY", "value": "r.test"},
        {"key": "CI_REGISTRY_IMAGE", "value": "r.test/demo"},
        {"key": "CI_REGISTRY_USER", "value": "ci"},
        {"key": "CI_REGISTRY_PASSWORD", "value": "password-of-ci", "masked": true},
        {"key": "ARM64_RUNNER", "value": arm64_runner},
    ]);
    std::fs::write(&variables, registry.to_string()).expect("a file");
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").expect("PATH"));
    (path, variables.display().to_string())
}

/// Only the newest release becomes `latest`.
#[rstest]
#[case::the_newest_release(&["--tag", "v1.10.0"], "", &["v1.10.0", "latest"])]
#[case::an_older_release(&["--tag", "v1.9.0"], "", &["v1.9.0"])]
#[case::a_pre_release(&["--tag", "v2.0.0-rc.1"], "", &["v2.0.0-rc.1"])]
#[case::another_tag(&["--tag", "latest"], "", &["ref-latest"])]
#[case::a_branch(&["--branch", "feature/x"], "", &["feature-x"])]
#[case::a_release_for_two_architectures(&["--tag", "v1.10.0"], "arm", &["v1.10.0", "latest"])]
#[case::an_older_one(&["--tag", "v1.9.0"], "arm", &["v1.9.0"])]
fn latest_never_goes_backwards(#[case] reference: &[&str], #[case] arm64_runner: &str, #[case] pushed: &[&str]) {
    let repository = own();
    for (number, tag) in ["v1.9.0", "v1.10.0", "v2.0.0-rc.1", "latest"].iter().enumerate() {
        // Each tag has a commit of its own, so only a checkout with all tags has all of them.
        repository.git(&["commit", "--quiet", "--allow-empty", "--message", &number.to_string()]);
        repository.git(&["tag", tag]);
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (path, variables) = without_engine(dir.path(), arm64_runner);
    let fixed =
        ["pipeline", "--executor", "shell", "--job", "image_build", "--format", "json", "--variables", &variables];
    let output = repository.e2e(&[&fixed, reference].concat()).env("PATH", path).output().expect("e2e runs");
    let run = Run::new(output);
    assert_eq!(run.code(), 0, "{:#?}\n{}", run.all_lines("image_build"), error(&run.output));
    let calls = std::fs::read_to_string(dir.path().join("calls")).expect("calls");
    // A tag for two architectures is pushed as a manifest list.
    let push = if arm64_runner.is_empty() { "push r.test/demo:" } else { "manifest push r.test/demo:" };
    let tags: Vec<_> = calls.lines().filter_map(|call| call.strip_prefix(push)).collect();
    assert_eq!(tags, pushed, "{calls}");
}

/// The second architecture has a job only if there is a runner for it. Otherwise, pods run only on nodes of the first architecture.
#[rstest]
#[case::no_runner("", false, json!({"kubernetes.io/arch": "arm64"}))]
#[case::a_runner("arm", true, Value::Null)]
fn a_runner_for_arm64_compiles_the_second_binary(
    #[case] arm64_runner: &str,
    #[case] compiles: bool,
    #[case] selector: Value,
) {
    let repository = own();
    let dir = tempfile::tempdir().expect("a directory");
    let (_, variables) = without_engine(dir.path(), arm64_runner);
    let plan = plan(&repository, &["--variables", &variables]);
    assert_eq!(names(&plan).contains(&"compile_arm64"), compiles, "{plan:#}");
    let runner = [("ARM64_RUNNER", arm64_runner), ("KUBE_TLS_SECRET", "")];
    let deployment = rendered("deployment.yaml", &[&VARIABLES[..], &runner].concat());
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!((&pod["nodeSelector"], pod["securityContext"].is_object()), (&selector, true), "{deployment:#}");
}

/// A protected variable exists only in pipelines of protected branches and tags.
#[rstest]
#[case::the_default_branch(&["--protected"], true)]
#[case::a_branch(&["--branch", "feature/x"], false)]
#[case::a_protected_branch(&["--branch", "feature/x", "--protected"], true)]
#[case::a_tag(&["--tag", "v1.0.0"], false)]
#[case::a_protected_tag(&["--tag", "v1.0.0", "--protected"], true)]
fn a_protected_kubeconfig(#[case] reference: &[&str], #[case] is_given: bool) {
    let repository = own();
    let file = repository.path().join("variables.json");
    let kubeconfig = json!([{"key": "KUBECONFIG", "value": "{}", "variable_type": "file", "protected": true}]);
    std::fs::write(&file, kubeconfig.to_string()).expect("a file");
    let job = match reference[0] {
        "--tag" => "deploy_live",
        "--branch" => "deploy_review",
        _ => "deploy_dev",
    };
    let fixed = ["plan", "--show-variables", job, "--variables", file.to_str().expect("a path")];
    let text = run(&mut repository.e2e(&[&fixed, reference].concat()));
    assert_eq!(text.lines().any(|line| line.trim_start().starts_with("KUBECONFIG ")), is_given, "{text}");
}

/// README.md: branches are confined to a namespace of their own. The more specific scope wins, also on a protected branch.
#[rstest]
#[case::a_branch(&["--branch", "feature/x"], "deploy_review", Some("demo-review"))]
#[case::a_protected_branch(&["--branch", "feature/x", "--protected"], "deploy_review", Some("demo-review"))]
#[case::the_default_branch(&["--protected"], "deploy_dev", Some("demo"))]
#[case::a_protected_tag(&["--tag", "v1.0.0", "--protected"], "deploy_live", Some("demo"))]
#[case::a_tag_that_any_developer_can_push(&["--tag", "v1.0.0"], "deploy_live", None)]
fn branches_deploy_to_the_namespace_of_their_scope(
    #[case] reference: &[&str],
    #[case] job: &str,
    #[case] namespace: Option<&str>,
) {
    let repository = own();
    let file = repository.path().join("variables.json");
    let variables = json!([
        {"key": "KUBE_NAMESPACE", "value": "demo", "protected": true},
        {"key": "KUBE_NAMESPACE", "value": "demo-review", "environment_scope": "review/*"},
    ]);
    std::fs::write(&file, variables.to_string()).expect("a file");
    let fixed = ["plan", "--show-variables", job, "--variables", file.to_str().expect("a path")];
    let text = run(&mut repository.e2e(&[&fixed, reference].concat()));
    let line = text.lines().find(|line| line.trim_start().starts_with("KUBE_NAMESPACE ")).expect("the variable");
    // Without a variable of the project, the job has the value of the pipeline file, and no kubeconfig for it.
    assert_eq!(line.split_whitespace().nth(1), Some(namespace.unwrap_or("gitlab")), "{text}");
}

/// The manifests as a deploy job applies them.
fn rendered(file: &str, variables: &[(&str, &str)]) -> Value {
    let pipeline = std::fs::read_to_string(project().join(".gitlab-ci.yml")).expect("the pipeline file");
    let pipeline: Value = serde_saphyr::from_str(&pipeline).expect("YAML");
    let script = pipeline[".deploy"]["script"].as_array().expect("a list").iter().filter_map(Value::as_str);
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["deployment.yaml", "service.yaml", "ingress.yaml", "http-route.yaml", "pod-disruption-budget.yaml"] {
        std::fs::copy(project().join("manifests").join(name), dir.path().join(name)).expect("copied");
    }
    // The commands after `cd manifests` and before the first one that needs a cluster.
    for line in script.skip(1).take_while(|line| !line.contains("kubectl")) {
        run(std::process::Command::new("sh")
            .args(["-euc", line])
            .current_dir(dir.path())
            .envs(variables.iter().copied()));
    }
    let text = std::fs::read_to_string(dir.path().join(file)).expect("a manifest");
    assert!(!text.contains("__"), "{text}");
    serde_saphyr::from_str(&text).expect("YAML")
}

const VARIABLES: [(&str, &str); 11] = [
    ("CI_ENVIRONMENT_SLUG", "dev"),
    ("CI_COMMIT_SHA", "0123"),
    ("CI_JOB_ID", "42"),
    ("IMAGE_TAG", "main"),
    ("CI_REGISTRY_IMAGE", "r.test/demo"),
    ("KUBE_ARCH", "arm64"),
    ("ARM64_RUNNER", ""),
    ("KUBE_NAMESPACE", "demo"),
    ("KUBE_INGRESS_BASE_DOMAIN", "example.test"),
    ("KUBE_INGRESS_CLASS", "nginx"),
    ("KUBE_GATEWAY", ""),
];

#[rstest]
#[case::without_a_certificate("", Value::Null)]
#[case::with_a_certificate("certificate", json!([{"hosts": ["dev.example.test"], "secretName": "certificate"}]))]
fn variables_decide_the_class_and_the_certificate_of_the_ingress(#[case] secret: &str, #[case] tls: Value) {
    let ingress = rendered("ingress.yaml", &[&VARIABLES[..], &[("KUBE_TLS_SECRET", secret)]].concat());
    assert_eq!((&ingress["spec"]["ingressClassName"], &ingress["spec"]["tls"]), (&json!("nginx"), &tls), "{ingress:#}");
    assert_eq!(ingress["spec"]["rules"][0]["host"], "dev.example.test");
}

#[test]
fn with_a_gateway_the_environment_has_a_route_instead_of_an_ingress() {
    let gateway = [("KUBE_GATEWAY", "infra/web"), ("KUBE_TLS_SECRET", "")];
    let route = rendered("ingress.yaml", &[&VARIABLES[..], &gateway].concat());
    assert_eq!(route["kind"], "HTTPRoute");
    assert_eq!(route["metadata"]["labels"]["ref"], "dev");
    assert_eq!(route["spec"]["parentRefs"], json!([{"namespace": "infra", "name": "web"}]));
    assert_eq!(route["spec"]["hostnames"], json!(["dev.example.test"]));
    assert_eq!(route["spec"]["rules"][0]["backendRefs"], json!([{"name": "gitlab-k8s-demo-dev", "port": 8000}]));
}

/// Each job has another pod template, pods run only where the binary does, and the cluster may choose their user.
#[test]
fn the_pods_of_a_job() {
    let deployment = rendered("deployment.yaml", &[&VARIABLES[..], &[("KUBE_TLS_SECRET", "")]].concat());
    let template = &deployment["spec"]["template"];
    assert_eq!(template["metadata"]["annotations"], json!({"ci-commit-sha": "0123", "ci-job-id": "42"}));
    assert_eq!(template["spec"]["nodeSelector"], json!({"kubernetes.io/arch": "arm64"}));
    let security = &template["spec"]["securityContext"];
    assert_eq!((&security["runAsNonRoot"], &security["runAsUser"]), (&json!(true), &Value::Null), "{security:#}");
}
