//! Tests of `e2e setup`, and of the deploy jobs in a namespace that only this command has prepared.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fixture::{Cleanup, Client, access, feed, owner};
use crate::outcome::Run;
use crate::repository::Repository;
use crate::support::{docker, e2e, error, eventually, fail, project, run};

const TIMEOUT: Duration = Duration::from_mins(2);

/// The context of GitLab's agent in the kubeconfig that GitLab gives to a job.
const AGENT: &str = "group/agents:staging";

/// `e2e setup` for the cluster of `make up`.
pub(crate) fn setup(namespace: &str, dir: &Path, extra_arguments: &[&str]) -> std::process::Command {
    let context = run(&mut owner(&["config", "current-context"]));
    let dir = dir.to_str().expect("UTF-8");
    let mut command = e2e(&["setup", "--kubeconfig", access("kubeconfig"), "--context", &context]);
    command.args(["--project", "course/setup", "--namespace", namespace, "--directory", dir]);
    command.args(["--registry", access("registry_host"), "--registry-user", "gitlab"]);
    command.args(["--registry-password-file", access("registry_password")]).args(extra_arguments);
    command
}

/// Pushes a new image to the project's registry, with a tag that pushes of the branch `test` have.
fn push(number: u32) -> String {
    let client = Client::new();
    client.login();
    let here = format!("{}/course/setup:test", Client::registry());
    let label = format!("number={number}");
    assert!(project().join("dist/app").is_file(), "dist/app does not exist: run `make build`");
    run(client.docker(&["build", "--quiet", "--label", &label, "--tag", &here]).arg(project()));
    run(&mut client.docker(&["push", "--quiet", &here]));
    docker(&["rmi", &here]);
    format!("{}/course/setup", access("registry_host"))
}

/// A repository with the pipeline and the manifests of this project, and the branch `test`.
fn own() -> Repository {
    let read = |name: &str| std::fs::read_to_string(project().join(name)).expect("a file");
    let repository = Repository::new("main", &read(".gitlab-ci.yml"));
    std::fs::create_dir(repository.path().join("manifests")).expect("a directory");
    for name in ["deployment", "service", "ingress", "http-route", "pod-disruption-budget"] {
        let name = format!("manifests/{name}.yaml");
        std::fs::write(repository.path().join(&name), read(&name)).expect("a file");
    }
    repository.git(&["add", "manifests"]);
    repository.git(&["commit", "--quiet", "--message", "Manifests"]);
    repository.git(&["branch", "test"]);
    repository
}

/// The slug of the environment that the branch `test` is deployed to.
fn slug(repository: &Repository) -> String {
    let plan = run(&mut repository.e2e(&["plan", "--branch", "test", "--format", "json"]));
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    let mut jobs = plan["jobs"].as_array().expect("jobs").iter();
    let job = jobs.find(|job| job["name"] == "deploy_review").expect("the job");
    job["environment"]["slug"].as_str().expect("a slug").to_owned()
}

/// Runs a job of the branch `test` on this machine. It gets only these variables of the project.
fn job(repository: &Repository, name: &str, variables: &Value) -> Run {
    job_of("test", repository, name, variables)
}

fn job_of(branch: &str, repository: &Repository, job: &str, variables: &Value) -> Run {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), variables.to_string()).expect("written");
    let mut command = repository.e2e(&["pipeline", "--executor", "shell", "--format", "json", "--branch", branch]);
    Run::new(command.args(["--job", job, "--variables"]).arg(file.path()).output().expect("e2e runs"))
}

fn passes(repository: &Repository, name: &str, variables: &Value) -> Vec<String> {
    let run = job(repository, name, variables);
    assert_eq!(run.code(), 0, "{:#?}\n{}", run.all_lines(name), error(&run.output));
    run.lines(name)
}

/// The kubeconfig that GitLab gives to a job: a context for each agent, and none of them is the current one.
fn as_of_an_agent(kubeconfig: &Path) -> String {
    let text = std::fs::read_to_string(kubeconfig).expect("a kubeconfig");
    let mut kubeconfig: Value = serde_json::from_str(&text).expect("JSON");
    let mut context = kubeconfig["contexts"][0].clone();
    context["name"] = AGENT.into();
    let other = json!({"name": "group/agents:other", "context": {"cluster": "other", "user": "gitlab"}});
    kubeconfig["contexts"] = json!([other, context]);
    kubeconfig["current-context"] = "".into();
    kubeconfig.to_string()
}

/// The names of the pods, and the IDs of their images.
fn pods(namespace: &str) -> Vec<(String, String)> {
    let path =
        "--output=jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[0].imageID}{\"\\n\"}{end}";
    let text =
        run(&mut owner(&["get", "pods", "--field-selector=status.phase=Running", path, "--namespace", namespace]));
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, image)| (name.to_owned(), image.to_owned()))
        .collect()
}

#[test]
fn jobs_deploy_with_only_what_setup_has_created() {
    let namespace = "setup-deploys";
    let _namespace = Cleanup(vec!["namespace".into(), namespace.into()]);
    let dir = tempfile::tempdir().expect("a directory");
    let printed = run(&mut setup(namespace, dir.path(), &["--token-hours", "2", "--apply"]));
    assert!(printed.contains("The token is valid until "), "{printed}");
    // Each step can be repeated.
    run(&mut setup(namespace, dir.path(), &["--apply"]));

    let kubeconfig = dir.path().join("gitlab.kubeconfig");
    let mode = std::os::unix::fs::MetadataExt::mode(&kubeconfig.metadata().expect("a file"));
    assert_eq!(mode & 0o777, 0o600);
    let (repository, image) = (own(), push(1));
    let review = slug(&repository);
    let variables = |context: &str| {
        json!([
            {"key": "KUBECONFIG", "value": as_of_an_agent(&kubeconfig), "variable_type": "file"},
            {"key": "KUBE_CONTEXT", "value": context},
            {"key": "KUBE_NAMESPACE", "value": namespace},
            {"key": "KUBE_ARCH", "value": gitlab_runner::variables::architecture()},
            {"key": "KUBE_INGRESS_BASE_DOMAIN", "value": "setup.test"},
            {"key": "CI_REGISTRY_IMAGE", "value": image},
        ])
    };

    // Without the context, kubectl connects to localhost:8080, where this cluster's Ingress controller may answer.
    assert_eq!(job(&repository, "deploy_review", &variables("")).code(), 1);
    assert_eq!(pods(namespace), []);

    let lines = passes(&repository, "deploy_review", &variables(AGENT)).join("\n");
    assert!(lines.contains(&format!("host: gitlab-k8s-demo-{review}-")), "no smoke test: {lines}");
    let before = pods(namespace);
    assert_eq!(before.len(), 2, "{before:?}");

    // The tag moves to another image. The same job, for the same commit, deploys it.
    push(2);
    passes(&repository, "deploy_review", &variables(AGENT));
    let after = eventually("the end of the old pods", TIMEOUT, || {
        let after = pods(namespace);
        if after.iter().any(|pod| before.contains(pod)) { Err(format!("{after:?}")) } else { Ok(after) }
    });
    assert!(after.iter().all(|(_, image)| before.iter().all(|(_, old)| old != image)), "{before:?} {after:?}");

    an_autoscaler_keeps_its_replicas(namespace, &review, || passes(&repository, "deploy_review", &variables(AGENT)));

    // A Service that leads to no pod fails the smoke test, although the rollout succeeds.
    let service = repository.path().join("manifests/service.yaml");
    let text = std::fs::read_to_string(&service).expect("a file");
    std::fs::write(&service, text.replace("targetPort: http-metrics", "targetPort: 9")).expect("written");
    repository.git(&["switch", "--quiet", "test"]);
    repository.git(&["commit", "--quiet", "--all", "--message", "A wrong port"]);
    let broken = job(&repository, "deploy_review", &variables(AGENT));
    let lines = broken.lines("deploy_review").join("\n");
    assert!(broken.code() == 1 && lines.contains("The Service does not lead to the pods of this job"), "{lines}");

    // The branch is merged, deployed to `dev`, and deleted: GitLab then runs its job `stop_review`.
    repository.git(&["switch", "--quiet", "main"]);
    let mut merged = variables(AGENT);
    merged.as_array_mut().expect("a list").push(json!({"key": "IMAGE_TAG", "value": "test"}));
    let dev = job_of("main", &repository, "deploy_dev", &merged);
    assert_eq!(dev.code(), 0, "{:#?}", dev.all_lines("deploy_dev"));
    passes(&repository, "stop_review", &variables(AGENT));
    let left = run(&mut owner(&["get", "deployments,services,ingresses", "--output=name", "--namespace", namespace]));
    assert!(left.lines().count() == 3 && left.lines().all(|name| name.ends_with("/gitlab-k8s-demo-dev")), "{left}");
}

/// A deployment does not reset the number of replicas that an autoscaler has set.
fn an_autoscaler_keeps_its_replicas(namespace: &str, slug: &str, deploy: impl Fn() -> Vec<String>) {
    let name = format!("gitlab-k8s-demo-{slug}");
    // The controller raises the number to the minimum without metrics.
    let autoscaler = json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "minReplicas": 3,
            "maxReplicas": 4,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        },
    });
    feed(&mut owner(&["apply", "--filename", "-"]), &autoscaler.to_string());
    let deployment = |path: &str| {
        let path = format!("--output=jsonpath={{{path}}}");
        run(&mut owner(&["get", "deployment", &name, &path, "--namespace", namespace]))
    };
    eventually("the autoscaler", TIMEOUT, || match &*deployment(".spec.replicas") {
        "3" => Ok(()),
        other => Err(other.to_owned()),
    });
    deploy();
    // The manifest that the job has applied, because the autoscaler corrects the number in the object itself.
    let applied = deployment(".metadata.annotations.kubectl\\.kubernetes\\.io/last-applied-configuration");
    let applied: Value = serde_json::from_str(&applied).expect("JSON");
    assert_eq!(applied["spec"]["replicas"], 3, "{applied:#}");
    run(&mut owner(&["delete", "horizontalpodautoscaler", &name, "--namespace", namespace]));
    deploy();
    assert_eq!(deployment(".spec.replicas"), "2");
}

#[test]
fn without_apply_nothing_changes() {
    let namespace = "setup-prints";
    let dir = tempfile::tempdir().expect("a directory");
    let script = run(&mut setup(namespace, dir.path(), &[]));
    let missing = fail(&mut owner(&["get", "namespace", namespace]));
    assert!(missing.contains("not found"), "{missing}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0);
    // The output is a script that does the same as --apply. No program gets the password as an argument.
    let _namespace = Cleanup(vec!["namespace".into(), namespace.into()]);
    let password = std::fs::read_to_string(access("registry_password")).expect("a password");
    assert!(!script.contains(password.trim()));
    let printed = feed(std::process::Command::new("sh").args(["-eu"]).current_dir(project()), &script);
    assert!(printed.trim_end().ends_with("yes"), "{printed}");
    run(&mut owner(&["get", "secret", "myregistry", "--namespace", namespace]));
}

#[test]
fn an_agent_gets_the_permissions_of_the_pipeline() {
    let namespace = "setup-agent";
    let _namespace = Cleanup(vec!["namespace".into(), namespace.into()]);
    let dir = tempfile::tempdir().expect("a directory");
    let printed = run(&mut setup(namespace, dir.path(), &["--agent", "staging", "--apply"]));
    assert!(printed.contains(".gitlab/agents/staging/config.yaml"), "{printed}");
    let account = "--as=system:serviceaccount:gitlab-agent:gitlab-agent";
    let may = |verb: &str, resource: &str, namespace: &str| {
        let output = owner(&["auth", "can-i", verb, resource, account, "--namespace", namespace]).output();
        output.expect("kubectl runs").status.success()
    };
    assert!(may("create", "deployments.apps", namespace));
    assert!(!may("create", "deployments.apps", "gitlab") && !may("get", "secrets", namespace));
    // With an agent there is no token.
    assert!(!dir.path().join("gitlab.kubeconfig").exists());
}

#[test]
fn without_a_deploy_token_nothing_is_applied() {
    let dir = tempfile::tempdir().expect("a directory");
    let none = dir.path().join("none");
    let mut command =
        e2e(&["setup", "--context", "none", "--project", "group/demo", "--apply", "--registry-password-file"]);
    let output = command.arg(&none).output().expect("e2e runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(error(&output).contains("write the deploy token with the scope read_registry to it"), "{}", error(&output));
}
