//! Tests of `manifests/runner`, which installs GitLab Runner: the objects, the permissions, and pipelines with its configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::{Value, json};

use super::connection::image_on_the_node;
use super::security::{PERMISSIONS, run_with};
use super::services::DIND;
use super::{Namespace, TIMEOUT};
use crate::fixture::{Installation, apply, fed, feed, kustomized, owner};
use crate::outcome::Run;
use crate::repository::Repository;
use crate::support::{error, eventually, project, run};

const DIR: &str = "manifests/runner";

/// The namespaces have fixed names, so one test at a time uses them.
static INSTALLATION: Mutex<()> = Mutex::new(());

/// The namespaces of the manifests, which are deleted at the end of the test with all objects in them.
fn installation() -> Installation {
    // Until the namespaces are gone, the next test cannot create them.
    const DELETIONS: &[&[&str]] = &[
        &["rolebinding", "gitlab-runner-deployer", "--namespace=gitlab"],
        &["namespace", "gitlab-runner", "gitlab-runner-jobs", "--timeout=2m"],
    ];
    Installation::new(DIR, &INSTALLATION, DELETIONS)
}

/// Applies all objects, with changes to the pod of the runner.
fn install(change: impl Fn(&mut Value)) {
    let mut items = kustomized(DIR);
    let deployment = items.iter_mut().find(|item| item["kind"] == "Deployment").expect("a Deployment");
    let pod = &mut deployment["spec"]["template"]["spec"];
    // The removal of a namespace waits for its pods, and this runner has no jobs that it must wait for.
    pod["terminationGracePeriodSeconds"] = json!(1);
    change(pod);
    apply(&items);
}

#[test]
fn a_dry_run_accepts_all_objects_without_a_warning() {
    let _installation = installation();
    let dry_run = ["apply", "--server-side", "--dry-run=server"];
    let output = owner(&dry_run).args(["--kustomize", DIR]).output().expect("kubectl");
    assert_eq!((output.status.code(), &*error(&output)), (Some(0), ""));
    let objects = String::from_utf8_lossy(&output.stdout);
    let objects: BTreeSet<_> = objects.lines().filter_map(|line| line.split([' ', '-']).next()).collect();
    let expected = [
        "configmap/gitlab",
        "deployment.apps/gitlab",
        "namespace/gitlab",
        "role.rbac.authorization.k8s.io/gitlab",
        "rolebinding.rbac.authorization.k8s.io/gitlab",
        "serviceaccount/deployer",
        "serviceaccount/gitlab",
        "serviceaccount/job",
    ];
    assert_eq!(objects, BTreeSet::from(expected));
    // The absence of warnings proves something only if a pod with more privileges causes one.
    let rendered = run(&mut owner(&["kustomize", DIR]));
    for (restricted, other) in
        [("runAsNonRoot: true", "runAsNonRoot: false"), ("type: RuntimeDefault", "type: Unconfined")]
    {
        assert!(rendered.contains(restricted), "{rendered}");
        let output = fed(owner(&dry_run).args(["--filename", "-"]), &rendered.replace(restricted, other));
        assert!(error(&output).contains("Warning: would violate PodSecurity \"restricted:latest\""), "{output:?}");
    }
}

/// No registry has the image of GitLab Runner here, so another image with a shell takes its place.
#[test]
fn the_pod_configures_the_runner_as_an_ordinary_user() {
    let image = image_on_the_node(&Namespace::new());
    let _installation = installation();
    // docs/runner.md creates it after the Deployment, whose pod the kubelet then starts within two minutes.
    let secret = ["create", "secret", "generic", "gitlab-runner", "--namespace=gitlab-runner"];
    feed(owner(&secret).arg("--from-file=token=/dev/stdin"), "glrt-abc");
    install(|pod| {
        pod["initContainers"][0]["image"] = json!(image);
        let script =
            "cd /etc/gitlab-runner; stat -c '%a %u' config.toml; grep ^token config.toml; touch id; ls -A; sleep 600";
        pod["containers"] = json!([{"name": "gitlab-runner", "image": image, "command": ["sh", "-ec", script],
        "securityContext": pod["containers"][0]["securityContext"], "volumeMounts": pod["containers"][0]["volumeMounts"]}]);
    });
    let logs = eventually("the output of the pod", TIMEOUT, || {
        let output =
            owner(&["logs", "deployment/gitlab-runner", "--namespace=gitlab-runner"]).output().expect("kubectl");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.ends_with("id\n") { Ok(text) } else { Err(format!("{text}{}", error(&output))) }
    });
    assert_eq!(logs, "600 100\ntoken = \"glrt-abc\"\nconfig.toml\nid\n");
}

/// The rules of the runner's Role.
fn rules() -> Vec<Value> {
    let role = std::fs::read_to_string(project().join(DIR).join("role.yaml")).expect("a Role");
    let role: Value = serde_saphyr::from_str(&role).expect("YAML");
    role["rules"].as_array().expect("rules").clone()
}

/// The permissions that the documentation of GitLab Runner requires with its default feature flags: resources and verbs.
/// <https://docs.gitlab.com/runner/executors/kubernetes/#configure-runner-api-permissions>
const REQUIRED: &[(&str, &str)] = &[
    ("events", "list"),
    ("pods", "create, delete, get, list, watch"),
    ("pods/attach", "create, delete, get, patch"),
    ("pods/exec", "create, delete, get, patch"),
    ("pods/log", "get, list"),
    ("secrets", "create, delete, get, update"),
    ("serviceaccounts", "get"),
    ("services", "create, get"),
];

/// Verbs by resource.
fn verbs<'text>(permissions: &[(&'text str, &'text str)]) -> BTreeMap<&'text str, BTreeSet<&'text str>> {
    permissions.iter().map(|(resource, verbs)| (*resource, verbs.split(", ").collect())).collect()
}

#[test]
fn the_role_has_the_rights_that_the_executor_needs_and_no_others() {
    let rules = rules();
    let list = |value: &'_ Value| -> Vec<String> { serde_json::from_value(value.clone()).expect("a list") };
    let mut role: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for rule in &rules {
        assert_eq!(list(&rule["apiGroups"]), [""], "{rule}");
        for resource in list(&rule["resources"]) {
            role.entry(resource).or_default().extend(list(&rule["verbs"]));
        }
    }
    let role: BTreeMap<&str, BTreeSet<&str>> =
        role.iter().map(|(resource, verbs)| (&**resource, verbs.iter().map(String::as_str).collect())).collect();
    assert_eq!(role, verbs(REQUIRED));
    // `e2e pipeline` needs the same permissions, and ConfigMaps, which GitLab Runner does not create.
    for (resource, needed) in verbs(PERMISSIONS).into_iter().filter(|(resource, _)| *resource != "configmaps") {
        assert!(role[resource].is_superset(&needed), "{resource}: {needed:?}");
    }
}

#[test]
fn the_role_is_enough_for_a_pipeline() {
    let own = PERMISSIONS.iter().filter(|(resource, _)| *resource == "configmaps");
    let own = own.map(|(resource, verbs)| {
        json!({"apiGroups": [""], "resources": [resource], "verbs": verbs.split(", ").collect::<Vec<_>>()})
    });
    let (namespace, run) = run_with(&rules().into_iter().chain(own).collect::<Vec<_>>());
    assert_eq!(run.code(), 0, "{:#?}", run.all_lines("a"));
    assert_eq!(namespace.objects(), Vec::<String>::new());
}

/// An ordinary job and one that deploys.
const JOBS: &str = r#"
plain:
  image: debian-forky
  script:
    - grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status
    - ls /run/secrets /var/run/secrets 2>/dev/null || echo no token
deploy:
  image: alpine/k8s:1.36.4
  variables: {KUBERNETES_SERVICE_ACCOUNT_OVERWRITE: deployer}
  script:
    - kubectl auth whoami
    - echo "create Deployments $(kubectl auth can-i create deployments --namespace gitlab)"
    - echo "get Secrets $(kubectl auth can-i get secrets --namespace gitlab)"
    - echo "create pods here $(kubectl auth can-i create pods)"
"#;

#[test]
fn a_pipeline_runs_with_the_configuration_of_the_runner() {
    let _installation = installation();
    install(|_| {});
    let repository = Repository::new("main", &format!("{DIND}{JOBS}"));
    let config = project().join(DIR).join("config.toml");
    let mut command = repository.e2e(&["pipeline", "--format", "json", "--keep-going"]);
    let run = Run::new(command.arg("--config").arg(config).output().expect("e2e"));
    assert_eq!(run.code(), 0, "{:#?}\n{}", run.events, error(&run.output));
    assert!(!error(&run.output).contains("config.toml"), "a warning: {}", error(&run.output));
    run.has("a", "Status: Downloaded newer image for registry.test:5000/demo:");
    run.has("plain", "NoNewPrivs:\t1");
    run.has("plain", "Seccomp:\t2");
    run.has("plain", "no token");
    run.has("deploy", "system:serviceaccount:gitlab-runner-jobs:deployer");
    run.has("deploy", "create Deployments yes");
    run.has("deploy", "get Secrets no");
    run.has("deploy", "create pods here no");
}
