//! Tests of what `e2e check` finds in a cluster that it only has a kubeconfig of.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::deployment::{deploy_as, manifest_of};
use crate::fixture::{Cleanup, DEPLOYER, access, deployer, feed, http, owner};
use crate::saboteurs::{COMMIT, reported};
use crate::support::{e2e, error, eventually, run};
use crate::temporary::alone;

const TIMEOUT: Duration = Duration::from_mins(1);

/// The checks that change nothing in the cluster.
const READING: [&str; 5] = ["deployment", "ingress", "scraping", "service", "version"];

/// The verdicts of the checks by their names, and what the command printed before.
pub(crate) fn check(slug: &str, extra_arguments: &[&str]) -> (BTreeMap<String, String>, String) {
    let mut command = e2e(&["check", "--kubeconfig", access("kubeconfig"), "--namespace", "gitlab", "--ref", slug]);
    let output = command.args(["--format", "json"]).args(extra_arguments).output().expect("e2e runs");
    let stderr = error(&output);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let checks = reported(&stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let verdicts = checks.iter().map(|check| (text(&check["name"]), text(&check["verdict"]))).collect();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    (verdicts, stderr)
}

/// The line about a choice.
pub(crate) fn line<'text>(stderr: &'text str, subject: &str) -> &'text str {
    stderr.lines().find(|line| line.trim_start().starts_with(subject)).unwrap_or_else(|| panic!("{subject}: {stderr}"))
}

/// The address of the controller, Prometheus, the registry with its login, and the account are found.
#[test]
fn a_kubeconfig_is_enough_for_all_checks() {
    let (_alone, _deployer) = (alone(), DEPLOYER.read());
    let _cleanup = deploy_as("found", &COMMIT);
    let (verdicts, stderr) = check("found", &[]);
    assert!(verdicts.values().all(|verdict| verdict == "passed"), "{verdicts:?} {stderr}");
    assert_eq!(verdicts.len(), 13, "{verdicts:?}");
    assert!(
        line(&stderr, "environment").contains("the host is that of Ingress gitlab/gitlab-k8s-demo-found"),
        "{stderr}"
    );
    assert!(line(&stderr, "Ingress controller").contains(":80 "), "{stderr}");
    assert!(line(&stderr, "Prometheus").contains("monitoring/prometheus:http"), "{stderr}");
    assert!(line(&stderr, "pipeline's account").contains("system:serviceaccount:gitlab:gitlab"), "{stderr}");
}

/// The `resourceVersion` of each object of the environment, of every kind that a check could change.
fn versions(slug: &str) -> BTreeMap<String, String> {
    let kinds =
        "deployments,replicasets,pods,services,endpointslices,ingresses,poddisruptionbudgets,configmaps,secrets,events";
    let path = "--output=jsonpath={range .items[*]}{.kind}/{.metadata.name}={.metadata.resourceVersion}{'\\n'}{end}";
    let text = run(&mut owner(&["--namespace=gitlab", "get", kinds, path]));
    let pairs = text.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| name.contains(slug));
    pairs.map(|(name, version)| (name.to_owned(), version.to_owned())).collect()
}

#[test]
fn read_only_changes_nothing() {
    let _deployer = DEPLOYER.read();
    let _cleanup = deploy_as("unchanged", &COMMIT);
    // The status of the Ingress and the events of the start come a moment after the pods.
    let before = eventually("a calm environment", TIMEOUT, || {
        let before = versions("unchanged");
        std::thread::sleep(Duration::from_secs(3));
        if versions("unchanged") == before { Ok(before) } else { Err("it still changes".to_owned()) }
    });
    let (verdicts, stderr) = check("unchanged", &["--read-only"]);
    let (passed, others): (Vec<_>, Vec<_>) = verdicts.iter().partition(|(_, verdict)| *verdict == "passed");
    // The registry of this cluster is that of `make up`, which the program knows.
    let expected = READING.iter().chain(&["registry"]).map(ToString::to_string);
    assert_eq!(passed.into_iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), sorted(expected), "{stderr}");
    assert!(others.iter().all(|(_, verdict)| *verdict == "not_run"), "{others:?}");
    assert_eq!(versions("unchanged"), before);
    assert!(before.keys().any(|name| name.starts_with("Pod/")), "{before:?}");
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Another installation of the cluster's Traefik, without a port of its node and without a Service, as behind the network of a cloud.
pub(crate) fn install_traefik(name: &str, account: &str, options: &[&str]) -> Cleanup {
    let image = "--output=jsonpath={.spec.template.spec.containers[0].image}";
    let image = run(&mut owner(&["--namespace=ingress", "get", "deployment", "traefik", image]));
    let fixed: [&str; 3] = [
        "--entryPoints.web.address=:8000",
        "--global.checkNewVersion=false",
        // As in the first installation: the default of 2 s is too slow for pods that drain for 5 s on a busy machine.
        "--providers.providersThrottleDuration=500ms",
    ];
    let arguments = [&fixed, options].concat();
    let labels = json!({"installation": name, "app.kubernetes.io/name": "traefik"});
    let container = json!({
        "name": "traefik",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": arguments,
        "ports": [{"name": "web", "containerPort": 8000}],
        // Without a request for CPU time, other pods would take all of it while many tests run.
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}
    });
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "ingress"},
        "spec": {
            "selector": {"matchLabels": {"installation": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"serviceAccountName": account, "containers": [container]}
            }
        }
    });
    let deployed = format!("deployment/{name}");
    let cleanup = Cleanup(vec!["--namespace=ingress".into(), deployed.clone()]);
    feed(&mut owner(&["apply", "--filename", "-"]), &deployment.to_string());
    run(&mut owner(&["--namespace=ingress", "rollout", "status", "--timeout=60s", &deployed]));
    cleanup
}

const SECOND_CLASS: &str = "
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: second}
spec: {controller: traefik.io/ingress-controller}
";

#[test]
#[ignore = "CI has no time for it: make test-variants"]
fn a_controller_without_an_address_is_reached_through_the_api_server() {
    let _deployer = DEPLOYER.read();
    let _class = Cleanup(vec!["ingressclass/second".into()]);
    feed(&mut owner(&["apply", "--filename", "-"]), SECOND_CLASS);
    let options =
        ["--providers.kubernetesIngress.ingressClass=second", "--providers.kubernetesIngress.namespaces=gitlab"];
    let _second = install_traefik("second", "traefik", &options);
    let _cleanup = deploy_as("inland", &COMMIT);
    let ingress = manifest_of("ingress.yaml", "inland", &COMMIT);
    let class = ingress.replace("ingressClassName: traefik", "ingressClassName: second");
    assert_ne!(class, ingress);
    feed(&mut deployer(&["apply", "--filename", "-"]), &class);
    // The cluster's first controller served the Ingress before it had this class.
    eventually("the end of the Ingress", TIMEOUT, || match http("inland.gitlab-k8s-demo.test", "/health") {
        (404, _) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let (verdicts, stderr) = check("inland", &["ingress", "rollout"]);
    assert!(verdicts.values().all(|verdict| verdict == "passed"), "{verdicts:?} {stderr}");
    let found = line(&stderr, "Ingress controller");
    assert!(found.contains("127.0.0.1:") && found.contains("Pod ingress/second-"), "{found}");
}

#[test]
fn an_environment_that_does_not_exist_is_a_failure() {
    let output = e2e(&["check", "--quiet", "--ref", "no-such-environment", "--timeout", "5s", "deployment"]).output();
    let output = output.expect("e2e runs");
    assert_eq!(output.status.code(), Some(1), "{}", error(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("a Deployment with label ref=no-such-environment in namespace gitlab"), "{text}");

    let arguments = ["check", "--quiet", "--kubeconfig", access("kubeconfig"), "--namespace", "default"];
    let output = e2e(&arguments).output().expect("e2e runs");
    assert_eq!(output.status.code(), Some(3));
    assert!(error(&output).contains("nothing is deployed in namespace default"), "{}", error(&output));
}
