//! Saboteurs whose cause the cluster shows. The checks that depend on the changed object must fail, all others must pass, and the cause
//! must be the one that was made. A cause that lasts must be told within seconds, however long the patience is.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use serde_json::{Value, json};

use crate::fixture::{Cleanup, DEPLOYER, access, deployer, feed, http, owner};
use crate::sabotage::{COMMIT, QUICK, container, failing, intact, patch, patch_pods, served};
use crate::support::{eventually, run};

/// A change of the cluster that is taken back at the end of the test, even if it panics.
struct Undo(Vec<String>);

impl Drop for Undo {
    fn drop(&mut self) {
        // Must not panic: a panic during unwinding would abort all tests.
        let _ = owner(&[]).args(&self.0).output();
    }
}

impl Undo {
    fn new(arguments: &[&str]) -> Self {
        Self(arguments.iter().map(ToString::to_string).collect())
    }
}

/// The checks that take at most a minute on an intact environment, with those that replace pods.
fn all() -> Vec<&'static str> {
    [QUICK.as_slice(), &["liveness", "rollout"]].concat()
}

/// Asserts that exactly these checks fail, that each has seen its cause, which contains the words, and that each took less than this number
/// of seconds.
fn explained(slug: &str, names: &[&str], seconds: f64, expected: &[(&str, &str)]) {
    let failed = failing(slug, names, "2m", &["--commit", &COMMIT]);
    let text = serde_json::to_string_pretty(&failed).expect("JSON");
    let mut checks: Vec<&str> = expected.iter().map(|(check, _)| *check).collect();
    checks.sort_unstable();
    assert_eq!(failed.keys().collect::<Vec<_>>(), checks, "{text}");
    for (check, words) in expected {
        let (failure, took) = (&failed[*check]["failure"], &failed[*check]["took"]);
        assert!(failure["cause"].as_str().is_some_and(|cause| cause.contains(words)), "{check}: {words}: {text}");
        assert_eq!(failure["is_seen"], true, "{check}: {text}");
        assert!(took.as_f64().is_some_and(|took| took < seconds), "{check}: {took} s: {text}");
    }
}

#[test]
fn the_pull_secret_has_a_wrong_password() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("mistyped");
    let _secret = Cleanup(vec!["--namespace=gitlab".into(), "secret/mistyped".into()]);
    let secret = run(&mut owner(&["--namespace=gitlab", "get", "secret", "myregistry", "--output=json"]));
    let secret: Value = serde_json::from_str(&secret).expect("JSON");
    let mine = |data: &Value| {
        json!({"apiVersion": "v1", "kind": "Secret", "type": secret["type"], "data": data,
            "metadata": {"name": "mistyped", "namespace": "gitlab"}})
    };
    feed(&mut owner(&["apply", "--filename", "-"]), &mine(&secret["data"]).to_string());
    // A merge of lists would keep the other Secret.
    let patch = json!({"spec": {"template": {"spec": {"imagePullSecrets": [{"name": "mistyped"}]}}}});
    let name = "deployment/gitlab-k8s-demo-mistyped";
    run(&mut owner(&["--namespace=gitlab", "patch", name, "--type=merge", "--patch", &patch.to_string()]));
    run(&mut owner(&["--namespace=gitlab", "rollout", "status", "--timeout=120s", name]));
    let auths = json!({"auths": {access("registry_host"): {"username": "gitlab", "password": "wrong", "auth": "Z2l0bGFiOndyb25n"}}});
    let text = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, auths.to_string());
    feed(&mut owner(&["apply", "--filename", "-"]), &mine(&json!({".dockerconfigjson": text})).to_string());
    explained(
        "mistyped",
        &["pull-secret", "deployment", "readiness", "service", "version"],
        20.0,
        &[("pull-secret", "the registry denies the credentials in Secret mistyped"), ("readiness", "ImagePull")],
    );
}

#[test]
fn the_tag_does_not_exist() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("untagged");
    let image = format!("{}/course/demo:no-such-tag", access("registry_host"));
    patch_template("untagged", &container(json!({"image": image})));
    explained("untagged", &["deployment"], 15.0, &[("deployment", "no-such-tag: ")]);
}

#[test]
fn the_deployment_is_scaled_to_zero() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("empty");
    let name = "deployment/gitlab-k8s-demo-empty";
    run(&mut owner(&["--namespace=gitlab", "scale", "--replicas=0", name]));
    without_pods("gitlab", "ref=empty");
    let names = ["deployment", "service", "scraping", "version", "rollout"];
    explained("empty", &names, 15.0, &names.map(|check| (check, "scaled")));
    // The check's own pods must not count.
    let failed = failing("empty", &["ingress", "readiness"], "30s", &[]);
    assert!(failed.contains_key("ingress"), "{failed:?}");
}

#[test]
fn pod_security_rejects_the_template() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("bare");
    let bare = json!({"spec": {"template": {"spec": {"securityContext": null, "containers": [{"name": "app", "securityContext": null}]}}}});
    patch_template("bare", &bare);
    let words = "PodSecurity rejects the pod";
    explained(
        "bare",
        &["pull-secret", "deployment", "readiness", "liveness", "service", "rollout"],
        15.0,
        &["pull-secret", "deployment", "readiness", "liveness", "rollout"].map(|check| (check, words)),
    );
}

#[test]
fn a_quota_admits_no_more_pods() {
    let _deployer = DEPLOYER.write();
    let _cleanup = intact("counted");
    let _quota = Cleanup(vec!["--namespace=gitlab".into(), "resourcequota/counted".into()]);
    run(&mut owner(&["--namespace=gitlab", "create", "quota", "counted", "--hard=pods=0"]));
    let words = "ResourceQuota counted";
    explained(
        "counted",
        &all(),
        30.0,
        &["pull-secret", "readiness", "dns", "liveness", "rollout"].map(|check| (check, words)),
    );
}

#[test]
fn no_node_takes_another_pod() {
    let _deployer = DEPLOYER.write();
    let _cleanup = intact("cordoned");
    let nodes = run(&mut owner(&["get", "nodes", "--output=jsonpath={.items[*].metadata.name}"]));
    let _undo: Vec<Undo> = nodes.split_whitespace().map(|node| Undo::new(&["uncordon", node])).collect();
    for node in nodes.split_whitespace() {
        run(&mut owner(&["cordon", node]));
    }
    let words = "unschedulable";
    explained(
        "cordoned",
        &all(),
        30.0,
        &["pull-secret", "readiness", "dns", "liveness", "rollout"].map(|check| (check, words)),
    );
}

#[test]
fn the_ingress_names_a_class_that_does_not_exist() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("classless");
    patch("ingress", "classless", &json!({"spec": {"ingressClassName": "nginx"}}));
    unserved("classless");
    let words = "there is no IngressClass nginx; existing: traefik";
    explained("classless", &all(), 15.0, &["ingress", "liveness", "rollout"].map(|check| (check, words)));
}

#[test]
fn the_ingress_names_a_port_that_does_not_exist() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("portless");
    let backend = json!({"service": {"name": "gitlab-k8s-demo-portless", "port": {"number": 9999}}});
    let rule = json!({"host": "portless.gitlab-k8s-demo.test", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}});
    patch("ingress", "portless", &json!({"spec": {"rules": [rule]}}));
    unserved("portless");
    let words = "has no port 9999; existing: http-metrics (8000)";
    explained("portless", &all(), 15.0, &["ingress", "liveness", "rollout"].map(|check| (check, words)));
}

#[test]
fn the_ingress_controller_has_no_pod() {
    let _deployer = DEPLOYER.write();
    let _cleanup = intact("uncontrolled");
    let undo = Undo::new(&["--namespace=ingress", "scale", "--replicas=1", "deployment/traefik"]);
    run(&mut owner(&["--namespace=ingress", "scale", "--replicas=0", "deployment/traefik"]));
    let words = "the Ingress controller has no ready pod: 0 of 0";
    explained("uncontrolled", &all(), 15.0, &["ingress", "liveness", "rollout"].map(|check| (check, words)));
    drop(undo);
    run(&mut owner(&["--namespace=ingress", "rollout", "status", "--timeout=120s", "deployment/traefik"]));
    served("uncontrolled");
}

#[test]
fn the_clusters_dns_has_no_pod() {
    let _deployer = DEPLOYER.write();
    let _cleanup = intact("nameless");
    let undo = Undo::new(&["--namespace=kube-system", "scale", "--replicas=2", "deployment/coredns"]);
    run(&mut owner(&["--namespace=kube-system", "scale", "--replicas=0", "deployment/coredns"]));
    without_pods("kube-system", "k8s-app=kube-dns");
    explained(
        "nameless",
        &["dns", "deployment", "service", "ingress"],
        15.0,
        &[("dns", "the cluster's DNS has no ready pod")],
    );
    drop(undo);
    run(&mut owner(&["--namespace=kube-system", "rollout", "status", "--timeout=120s", "deployment/coredns"]));
}

#[test]
fn the_pods_use_the_resolver_of_the_node() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("outward");
    patch_pods("outward", &json!({"spec": {"template": {"spec": {"dnsPolicy": "Default"}}}}));
    let failed = failing("outward", &["dns", "deployment", "service", "version"], "10s", &[]);
    assert_eq!(failed.keys().collect::<Vec<_>>(), ["dns"], "{failed:?}");
    let cause = failed["dns"]["failure"]["cause"].as_str().expect("a cause");
    assert!(cause.contains("dnsPolicy") && !cause.contains("probe"), "{cause}");
}

#[test]
fn the_service_selects_no_pod() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("canary");
    patch("service", "canary", &json!({"spec": {"selector": {"track": "canary"}}}));
    unserved("canary");
    let words = "matches no pod of the environment";
    explained(
        "canary",
        &["readiness", "service", "ingress", "rollout", "deployment", "version"],
        15.0,
        &["readiness", "service", "ingress", "rollout"].map(|check| (check, words)),
    );
}

#[test]
fn the_service_selects_the_pods_of_all_environments() {
    let _deployer = DEPLOYER.read();
    let (_cleanup, _other) = (intact("open"), intact("opened"));
    patch("service", "open", &json!({"spec": {"selector": {"ref": null}}}));
    let words =
        [("service", "the Service selects the pods of another environment"), ("ingress", "select the same pods")];
    eventually("the endpoints", std::time::Duration::from_mins(1), || {
        let failed = failing("open", &["service", "ingress"], "30s", &[]);
        if failed.len() == 2 { Ok(()) } else { Err(format!("{failed:?}")) }
    });
    explained("open", &["deployment", "service", "ingress", "version"], 15.0, &words);
}

#[test]
fn the_account_may_read_one_more_namespace() {
    let _deployer = DEPLOYER.write();
    let _cleanup = intact("curious");
    let _binding = Cleanup(vec!["--namespace=kube-public".into(), "rolebinding/curious".into()]);
    let account = ["--clusterrole=view", "--serviceaccount=gitlab:gitlab"];
    run(owner(&["--namespace=kube-public", "create", "rolebinding", "curious"]).args(account));
    let failed = failing("curious", &["rbac"], "30s", &[]);
    let seen = failed["rbac"]["failure"]["seen"].as_str().expect("what was seen");
    assert!(seen.contains(" in kube-public"), "{seen}");
    assert!(failed["rbac"]["failure"]["details"].to_string().contains("curious"), "{failed:?}");
}

/// Right after the change, Prometheus still scrapes the port of before.
#[test]
fn the_annotation_has_a_wrong_port() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("misnumbered");
    let settled = failing("misnumbered", &["scraping"], "1m", &[]);
    assert!(settled.is_empty(), "{settled:?}");
    patch("service", "misnumbered", &json!({"metadata": {"annotations": {"prometheus.io/port": "9999"}}}));
    let failed = failing("misnumbered", &["scraping"], "10s", &[]);
    assert!(failed.contains_key("scraping"), "Prometheus' old targets were counted");
}

/// Changes the pods' template without waiting for new pods, which never become ready.
fn patch_template(slug: &str, change: &Value) {
    let name = format!("deployment/gitlab-k8s-demo-{slug}");
    run(&mut owner(&["--namespace=gitlab", "patch", &name, "--type=strategic", "--patch", &change.to_string()]));
    // Until the controller has seen it, the Deployment counts as complete.
    eventually("a new ReplicaSet", std::time::Duration::from_mins(1), || {
        let sets = run(&mut deployer(&["get", "replicasets", &format!("--selector=ref={slug}"), "--output=name"]));
        if sets.lines().count() > 1 { Ok(()) } else { Err(sets) }
    });
}

/// Waits until a namespace has no pods with this label.
fn without_pods(namespace: &str, label: &str) {
    let (namespace, selector) = (format!("--namespace={namespace}"), format!("--selector={label}"));
    eventually("the end of the pods", std::time::Duration::from_mins(1), || {
        let pods = run(&mut owner(&[&namespace, "get", "pods", &selector, "--output=name"]));
        if pods.is_empty() { Ok(()) } else { Err(pods) }
    });
}

/// Waits until the controller has processed a change after which it does not serve the host.
fn unserved(slug: &str) {
    let host = format!("{slug}.gitlab-k8s-demo.test");
    eventually("the host", std::time::Duration::from_mins(1), || match http(&host, "/health") {
        (200, _) => Err("still served".to_owned()),
        _ => Ok(()),
    });
}

#[test]
fn the_template_names_a_secret_that_does_not_exist() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("secretive");
    let secret = json!({"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "no-such-secret", "key": "x"}}}]});
    patch_template("secretive", &container(secret));
    let words = "CreateContainerConfigError: secret \"no-such-secret\" not found";
    explained("secretive", &["deployment"], 15.0, &[("deployment", words)]);
}
