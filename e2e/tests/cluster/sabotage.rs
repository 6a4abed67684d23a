//! Every check has a saboteur: a small change to the cluster that makes only this check fail. The slow checks (`liveness`, `rollout`)
//! run only with their own saboteurs and on an intact environment. The saboteurs of `dns` are in `causes.rs`, that of
//! `stop` is in `stop.rs`.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::deployment::deploy_as;
use crate::fixture::{Cleanup, Client, DEPLOYER, PodSecurityLevel, Rights, access, feed, http, owner, prometheus};
use crate::support::{e2e, eventually, project, run};

/// The commit that `dist/app` was built from.
pub(crate) static COMMIT: LazyLock<String> = LazyLock::new(|| {
    let said = run(Command::new(project().join("dist/app")).arg("--version"));
    let (_, rest) = said.split_once("revision: ").expect("a revision");
    rest.split_once(')').expect("an end").0.to_owned()
});

/// All checks that take less than half a minute.
pub(crate) const QUICK: [&str; 11] = [
    "registry",
    "pull-secret",
    "rbac",
    "pod-security",
    "deployment",
    "readiness",
    "dns",
    "service",
    "scraping",
    "ingress",
    "version",
];

/// Deploys an intact environment, which is removed at the end of the test.
pub(crate) fn intact(slug: &str) -> Cleanup {
    let cleanup = deploy_as(slug, &COMMIT);
    served(slug);
    cleanup
}

/// Waits until the environment's host responds.
pub(crate) fn served(slug: &str) {
    let host = format!("{slug}.gitlab-k8s-demo.test");
    eventually("the host", std::time::Duration::from_mins(1), || match http(&host, "/health") {
        (200, _) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// Runs these checks, and returns the failed ones.
pub(crate) fn failing(slug: &str, names: &[&str], patience: &str, more: &[&str]) -> BTreeMap<String, Value> {
    let mut command = e2e(&["check", "--quiet", "--format", "json", "--ref", slug, "--patience", patience]);
    let output = command.args(more).args(names).output().expect("e2e runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    let checks: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{said}"));
    assert_eq!(checks.len(), names.len(), "{text}");
    let not_run: Vec<_> = checks.iter().filter(|check| check["verdict"] == "not_run").collect();
    assert!(not_run.is_empty(), "{not_run:?}");
    let failed = checks.into_iter().filter(|check| check["verdict"] != "passed");
    let failed: BTreeMap<_, _> =
        failed.map(|check| (check["name"].as_str().expect("a name").to_owned(), check)).collect();
    assert_eq!(output.status.code(), Some(i32::from(!failed.is_empty())), "{said}");
    failed
}

/// Asserts that only this check fails, and that its failure contains `words`. Returns the failure.
fn caught(slug: &str, name: &str, names: &[&str], words: &str, more: &[&str]) -> Value {
    let failed = failing(slug, names, "30s", more);
    let text = serde_json::to_string_pretty(&failed).expect("JSON");
    assert_eq!(failed.keys().collect::<Vec<_>>(), [name], "{text}");
    let failure = &failed[name]["failure"];
    assert!(failure["seen"].as_str().is_some_and(|seen| seen.contains(words)), "{words}: {text}");
    for part in ["expected", "object", "cause", "fix"] {
        assert!(failure[part].as_str().is_some_and(|it| !it.is_empty()), "{part}: {text}");
    }
    assert!(failure["details"].as_array().is_some_and(|it| !it.is_empty()), "details: {text}");
    failure.clone()
}

pub(crate) fn patch(kind: &str, slug: &str, patch: &Value) {
    let name = format!("{kind}/gitlab-k8s-demo-{slug}");
    run(&mut owner(&["--namespace=gitlab", "patch", &name, "--type=merge", "--patch", &patch.to_string()]));
}

/// Changes the pods' template, and waits for the new pods.
pub(crate) fn patch_pods(slug: &str, change: &Value) {
    let name = format!("deployment/gitlab-k8s-demo-{slug}");
    run(&mut owner(&["--namespace=gitlab", "patch", &name, "--type=strategic", "--patch", &change.to_string()]));
    run(&mut owner(&["--namespace=gitlab", "rollout", "status", "--timeout=120s", &name]));
    // Terminating pods still have the label.
    eventually("the end of the old pods", std::time::Duration::from_mins(3), || {
        let selector = format!("--selector=ref={slug}");
        let pods = run(&mut owner(&["--namespace=gitlab", "get", "pods", &selector, "--output=name"]));
        if pods.lines().count() == 2 { Ok(()) } else { Err(pods) }
    });
}

pub(crate) fn container(change: Value) -> Value {
    let mut container = change;
    container["name"] = json!("app");
    json!({"spec": {"template": {"spec": {"containers": [container]}}}})
}

#[test]
fn an_intact_environment_passes() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("whole");
    let names = [QUICK.as_slice(), &["liveness", "rollout"]].concat();
    let failed = failing("whole", &names, "2m", &["--commit", &COMMIT]);
    assert!(failed.is_empty(), "{}", serde_json::to_string_pretty(&failed).expect("JSON"));
}

#[test]
fn the_tag_is_pushed_again_after_the_deployment() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("retagged");
    // Use a separate tag, so that other environments are not affected.
    let client = Client::new();
    client.login();
    let repository = format!("{}/course/demo", Client::registry());
    let push = |label: &str| {
        let image = format!("{repository}:retagged");
        run(client.docker(&["build", "--quiet", "--label", label, "--tag", &image]).arg(project()));
        run(&mut client.docker(&["push", "--quiet", &image]));
        run(&mut client.docker(&["rmi", &image]));
    };
    push("sabotage=before");
    let image = format!("{}/course/demo:retagged", access("registry_host"));
    patch_pods("retagged", &container(json!({"image": image})));
    push("sabotage=after");
    caught("retagged", "registry", &QUICK, "@sha256:", &[]);
}

#[test]
fn a_service_account_gives_a_pull_secret_to_every_pod() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("generous");
    let _account = Cleanup(vec!["--namespace=gitlab".into(), "serviceaccount/generous".into()]);
    feed(
        &mut owner(&["apply", "--filename", "-"]),
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: generous, namespace: gitlab}\nimagePullSecrets: [{name: myregistry}]\n",
    );
    patch_pods("generous", &json!({"spec": {"template": {"spec": {"serviceAccountName": "generous"}}}}));
    caught("generous", "pull-secret", &QUICK, "pulled the image with myregistry", &[]);
}

#[test]
fn a_pull_secret_is_missing_or_wrong() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("secretless");
    let _secret = Cleanup(vec!["--namespace=gitlab".into(), "secret/secretless".into()]);
    // The pods still have a valid pull secret in addition, so only the check notices this one.
    let secrets = json!([{"name": "secretless"}]);
    patch_pods("secretless", &json!({"spec": {"template": {"spec": {"imagePullSecrets": secrets}}}}));
    caught("secretless", "pull-secret", &QUICK, "no Secret secretless", &[]);
    run(&mut owner(&["--namespace=gitlab", "create", "secret", "generic", "secretless", "--from-literal=password=x"]));
    let failure = caught("secretless", "pull-secret", &["pull-secret"], "secretless of type Opaque", &[]);
    assert_eq!(failure["object"], "Secret gitlab/secretless");
}

#[test]
fn the_account_has_permissions_elsewhere() {
    let _deployer = DEPLOYER.write();
    let _cleanup = intact("mighty");
    let _binding = Cleanup(vec!["--namespace=kube-system".into(), "rolebinding/mighty".into()]);
    let binding = ["--namespace=kube-system", "create", "rolebinding", "mighty"];
    run(owner(&binding).args(["--clusterrole=admin", "--serviceaccount=gitlab:gitlab"]));
    let failure = caught("mighty", "rbac", &QUICK, "list secrets in kube-system", &[]);
    assert_eq!(failure["object"], "RoleBinding kube-system/mighty (ClusterRole admin)");
}

#[test]
fn the_account_cannot_deploy() {
    let _deployer = DEPLOYER.write();
    let _cleanup = intact("powerless");
    let _rights = Rights::keep();
    let rules = json!([{"op": "remove", "path": "/rules/0"}]).to_string();
    run(&mut owner(&["--namespace=gitlab", "patch", "role", "gitlab", "--type=json", "--patch", &rules]));
    let failure = caught("powerless", "rbac", &QUICK, "it cannot get deployments in gitlab", &[]);
    assert_eq!(failure["object"], "RoleBinding gitlab/gitlab (Role gitlab)");
}

#[test]
fn the_namespace_allows_privileged_pods() {
    // Runs alone: the namespace's label affects all environments.
    let _deployer = DEPLOYER.write();
    let _cleanup = intact("privileged");
    let _level = PodSecurityLevel;
    PodSecurityLevel::set("privileged");
    let failure = caught("privileged", "pod-security", &QUICK, "pod-security.kubernetes.io/enforce=privileged", &[]);
    assert_eq!(failure["object"], "Namespace gitlab");
    PodSecurityLevel::set("baseline");
    assert!(failing("privileged", &["pod-security"], "30s", &[]).is_empty());
}

/// The pipeline's account cannot create pods. The check must not mistake RBAC's rejection for one by `PodSecurity`.
#[test]
fn pod_security_is_not_run_for_an_account_that_cannot_create_pods() {
    let _deployer = DEPLOYER.read();
    let kubeconfig = access("gitlab_kubeconfig");
    let mut command = e2e(&["check", "--quiet", "--format", "json", "--kubeconfig", kubeconfig, "pod-security"]);
    let output = command.output().expect("e2e runs");
    assert_eq!(output.status.code(), Some(1), "a named check must be run");
    let checks: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(checks[0]["verdict"], "not_run", "{checks}");
    assert!(
        checks[0]["not_run"].as_str().is_some_and(|reason| reason.contains("is not allowed to create pods")),
        "{checks}"
    );
}

#[test]
fn the_deployment_is_scaled_down() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("lonely");
    run(&mut owner(&["--namespace=gitlab", "scale", "--replicas=1", "deployment/gitlab-k8s-demo-lonely"]));
    eventually("one pod", std::time::Duration::from_mins(1), || {
        let pods = run(&mut owner(&["--namespace=gitlab", "get", "pods", "--selector=ref=lonely", "--output=name"]));
        if pods.lines().count() == 1 { Ok(()) } else { Err(pods) }
    });
    caught("lonely", "deployment", &QUICK, "1", &[]);
}

#[test]
fn a_new_pod_cannot_start() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("stuck");
    let change = container(json!({"args": ["--no-such-flag"]}));
    run(&mut owner(&[
        "--namespace=gitlab",
        "patch",
        "deployment/gitlab-k8s-demo-stuck",
        "--type=strategic",
        "--patch",
        &change.to_string(),
    ]));
    let failed = failing("stuck", &["deployment"], "15s", &[]);
    let failure = &failed["deployment"]["failure"];
    let details = failure["details"].to_string();
    assert!(details.contains("BackOff") || details.contains("Error"), "{failure}");
    assert!(details.contains("unexpected argument '--no-such-flag'"), "last log lines: {failure}");
}

#[test]
fn the_readiness_probe_requests_a_path_that_succeeds_too_early() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("hasty");
    let probe =
        json!({"readinessProbe": {"httpGet": {"path": "/livez"}, "initialDelaySeconds": 0, "periodSeconds": 1}});
    patch_pods("hasty", &container(probe));
    caught("hasty", "readiness", &QUICK, "500", &[]);
}

#[test]
fn the_liveness_probe_requests_a_path_that_always_succeeds() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("immortal");
    patch_pods("immortal", &container(json!({"livenessProbe": {"httpGet": {"path": "/version"}}})));
    caught("immortal", "liveness", &[QUICK.as_slice(), &["liveness"]].concat(), "0 restarts", &[]);
}

#[test]
fn the_liveness_probe_runs_once_an_hour() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("patient");
    patch_pods("patient", &container(json!({"livenessProbe": {"periodSeconds": 3600}})));
    // Three periods, plus the manifest's timeout of two seconds for the last probe.
    caught("patient", "liveness", &[QUICK.as_slice(), &["liveness"]].concat(), "up to 10802 s", &[]);
}

#[test]
fn the_service_targets_a_closed_port() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("deaf");
    // The Ingress uses another Service, and Prometheus uses the port in the annotation.
    let _other = Cleanup(vec!["--namespace=gitlab".into(), "service/deaf-detour".into()]);
    feed(
        &mut owner(&["apply", "--filename", "-"]),
        "apiVersion: v1\nkind: Service\nmetadata: {name: deaf-detour, namespace: gitlab}\n\
         spec: {selector: {ref: deaf}, ports: [{name: http-metrics, port: 8000, targetPort: 8000}]}\n",
    );
    let backend = json!({"service": {"name": "deaf-detour", "port": {"name": "http-metrics"}}});
    let rule = json!({"host": "deaf.gitlab-k8s-demo.test", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}});
    patch("ingress", "deaf", &json!({"spec": {"rules": [rule]}}));
    let port = json!({"name": "http-metrics", "port": 8000, "targetPort": 9999, "protocol": "TCP"});
    patch("service", "deaf", &json!({"spec": {"ports": [port]}}));
    caught("deaf", "service", &QUICK, "50", &[]);
}

#[test]
fn the_scrape_annotation_is_missing() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("unseen");
    patch("service", "unseen", &json!({"metadata": {"annotations": {"prometheus.io/scrape": null}}}));
    eventually("Prometheus", std::time::Duration::from_mins(1), || {
        let targets = prometheus("/api/v1/targets?state=active").to_string();
        if targets.contains("gitlab-k8s-demo-unseen") { Err("still scraped".to_owned()) } else { Ok(()) }
    });
    caught("unseen", "scraping", &QUICK, "none", &[]);
}

#[test]
fn prometheus_scrapes_the_pods_twice_through_another_service() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("twice");
    let _other = Cleanup(vec!["--namespace=gitlab".into(), "service/twice-as-much".into()]);
    // It has no label `ref`, so it does not belong to the environment.
    feed(
        &mut owner(&["apply", "--filename", "-"]),
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: twice-as-much\n  namespace: gitlab\n  annotations:\n    \
         {prometheus.io/scrape: \"true\", prometheus.io/port: \"8000\", prometheus.io/path: /metrics}\n\
         spec: {selector: {ref: twice}, ports: [{name: http-metrics, port: 8000, targetPort: 8000}]}\n",
    );
    eventually("Prometheus", std::time::Duration::from_mins(1), || {
        let targets = prometheus("/api/v1/targets?state=active").to_string();
        if targets.contains("twice-as-much") { Ok(()) } else { Err("not scraped yet".to_owned()) }
    });
    let words = "times in job kubernetes-service-endpoints, through gitlab-k8s-demo-twice and twice-as-much";
    caught("twice", "scraping", &QUICK, words, &[]);
}

#[test]
fn the_service_responds_to_an_unknown_host() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("greedy");
    // Use a separate domain, so that the unknown hosts of other environments stay unknown.
    let backend = json!({"service": {"name": "gitlab-k8s-demo-greedy", "port": {"name": "http-metrics"}}});
    let rule = |host: &str| json!({"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}});
    let rules = [rule("greedy.greedy.test"), rule("no-such-environment.greedy.test")];
    patch("ingress", "greedy", &json!({"spec": {"rules": rules}}));
    eventually("the host", std::time::Duration::from_mins(1), || {
        match http("no-such-environment.greedy.test", "/health") {
            (200, _) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    caught("greedy", "ingress", &QUICK, "200", &["--host", "greedy.greedy.test"]);
}

#[test]
fn pods_of_another_environment_respond() {
    let _deployer = DEPLOYER.read();
    let (_cleanup, _other) = (intact("mixed"), intact("mixed-up"));
    let backend = json!({"service": {"name": "gitlab-k8s-demo-mixed-up", "port": {"name": "http-metrics"}}});
    let rule = json!({"host": "mixed.gitlab-k8s-demo.test", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}});
    patch("ingress", "mixed", &json!({"spec": {"rules": [rule]}}));
    let failed = eventually("the controller", std::time::Duration::from_mins(1), || {
        let failed = failing("mixed", &["ingress"], "30s", &[]);
        if failed.is_empty() { Err("not yet") } else { Ok(failed) }.map_err(str::to_owned)
    });
    let seen = failed["ingress"]["failure"]["seen"].as_str().expect("what was seen");
    assert!(seen.ends_with(", of mixed-up"), "{seen}");
}

#[test]
fn the_log_does_not_report_the_commit() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("silent");
    patch_pods("silent", &container(json!({"env": [{"name": "RUST_LOG", "value": "error"}]})));
    caught("silent", "version", &QUICK, "lines without it", &[]);
}

#[test]
fn another_commit_is_deployed() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("stale");
    let other = "0123456789abcdef0123456789abcdef01234567";
    let annotation = json!({"spec": {"template": {"metadata": {"annotations": {"ci-commit-sha": other}}}}});
    patch_pods("stale", &annotation);
    caught("stale", "version", &QUICK, &COMMIT, &[]);
}

#[test]
fn all_pods_are_replaced_at_once() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("reckless");
    patch("deployment", "reckless", &json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null}}}));
    let names = [QUICK.as_slice(), &["rollout"]].concat();
    let failed = failing("reckless", &names, "2m", &[]);
    assert_eq!(failed.keys().collect::<Vec<_>>(), ["rollout"], "{failed:?}");
    let seen = failed["rollout"]["failure"]["seen"].as_str().expect("what was seen");
    assert!(seen.ends_with(" failed"), "{seen}");
}
