//! Tests of the service, deployed with the repository's manifests and the pipeline's account: its Ingress host and its metrics.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use gitlab_runner::variables::architecture;
use serde_json::Value;

use crate::fixture::{Cleanup, DEPLOYER, Load, access, deployer, feed, http, owner, prometheus, pushed_image};
use crate::support::{error, eventually, project, run};

const TIMEOUT: Duration = Duration::from_mins(1);

/// A manifest with its placeholders replaced for the environment `slug`.
pub(crate) fn manifest(file: &str, slug: &str) -> String {
    manifest_of(file, slug, "0123456789abcdef")
}

pub(crate) fn manifest_of(file: &str, slug: &str, commit: &str) -> String {
    let text = std::fs::read_to_string(project().join("manifests").join(file)).expect("a manifest");
    // Without a certificate, like the deploy jobs.
    let (before, tls) = text.split_once("  tls:\n").unwrap_or((&text, ""));
    let text = tls.split_once("__KUBE_TLS_SECRET__\n").map_or(text.clone(), |(_, after)| format!("{before}{after}"));
    let values = [
        ("__CI_ENVIRONMENT_SLUG__", slug),
        ("__CI_COMMIT_SHA__", commit),
        ("__CI_JOB_ID__", "1"),
        ("__KUBE_ARCH__", architecture()),
        ("__KUBE_INGRESS_CLASS__", "traefik"),
        ("__CI_REGISTRY_IMAGE__", if file == "deployment.yaml" { pushed_image() } else { "" }),
        ("__VERSION__", "test"),
        ("__KUBE_NAMESPACE__", "gitlab"),
        ("__KUBE_INGRESS_BASE_DOMAIN__", "gitlab-k8s-demo.test"),
    ];
    values.iter().fold(text, |text, (placeholder, value)| text.replace(placeholder, value))
}

/// Deploys an environment, which is removed at the end of the test.
fn deploy(slug: &str) -> Cleanup {
    deploy_as(slug, "0123456789abcdef")
}

/// Like [`deploy`], with this commit.
pub(crate) fn deploy_as(slug: &str, commit: &str) -> Cleanup {
    let cleanup = Cleanup(vec![
        "--namespace=gitlab".into(),
        "deployments,services,ingresses".into(),
        format!("--selector=ref={slug}"),
    ]);
    let manifests = ["deployment.yaml", "service.yaml", "ingress.yaml"].map(|file| manifest_of(file, slug, commit));
    feed(&mut deployer(&["apply", "--filename", "-"]), &manifests.join("\n---\n"));
    let name = format!("deployment/gitlab-k8s-demo-{slug}");
    run(&mut deployer(&["rollout", "status", "--timeout=120s", &name]));
    cleanup
}

#[test]
fn the_host_responds_and_an_unknown_host_does_not() {
    let _deployer = DEPLOYER.read();
    let _cleanup = deploy("answered");
    let pods = eventually("the host", TIMEOUT, || match http("answered.gitlab-k8s-demo.test", "/version") {
        (200, body) => Ok(body),
        other => Err(format!("{other:?}")),
    });
    assert!(pods.contains("\"version\""), "{pods}");
    assert_eq!(http("unknown.gitlab-k8s-demo.test", "/version").0, 404);
    // Paths below `/` also lead to the service.
    assert_eq!(http("answered.gitlab-k8s-demo.test", "/metrics").0, 200);
    eventually("both pods get their share", TIMEOUT, || {
        let answers: BTreeSet<_> = (0..10).map(|_| http("answered.gitlab-k8s-demo.test", "/").1).collect();
        if answers.len() == 2 { Ok(()) } else { Err(format!("{answers:?}")) }
    });
}

#[test]
fn the_ingress_has_the_controllers_address() {
    let _deployer = DEPLOYER.read();
    let _cleanup = deploy("addressed");
    let path = "--output=jsonpath={.status.loadBalancer.ingress[*].ip}";
    eventually("the address", TIMEOUT, || {
        let address = run(&mut deployer(&["get", "ingress", "gitlab-k8s-demo-addressed", path]));
        if address == "127.0.0.1" { Ok(()) } else { Err(address) }
    });
}

#[test]
fn a_removed_host_does_not_respond() {
    let _deployer = DEPLOYER.read();
    let cleanup = deploy("gone");
    eventually("the host", TIMEOUT, || match http("gone.gitlab-k8s-demo.test", "/health") {
        (200, _) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    drop(cleanup);
    eventually("its end", TIMEOUT, || match http("gone.gitlab-k8s-demo.test", "/health") {
        (404, _) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn prometheus_scrapes_only_services_with_annotations() {
    let _deployer = DEPLOYER.read();
    let _cleanup = deploy("scraped");
    let _plain = Cleanup(vec!["--namespace=gitlab".into(), "service/unannotated".into()]);
    feed(
        &mut owner(&["apply", "--filename", "-"]),
        "apiVersion: v1\nkind: Service\nmetadata: {name: unannotated, namespace: gitlab}\n\
         spec: {selector: {ref: scraped}, ports: [{port: 8000, protocol: TCP}]}\n",
    );
    let service_targets = |targets: &Value, label: &str, service: &str| {
        let targets = targets.as_array().into_iter().flatten();
        targets.filter(|target| target[label]["__meta_kubernetes_service_name"] == service).cloned().collect::<Vec<_>>()
    };
    let up = eventually("both pods", TIMEOUT, || {
        let targets = prometheus("/api/v1/targets")["data"].clone();
        let up = service_targets(&targets["activeTargets"], "discoveredLabels", "gitlab-k8s-demo-scraped");
        let healthy = up.iter().filter(|target| target["health"] == "up").count();
        let dropped = service_targets(&targets["droppedTargets"], "discoveredLabels", "unannotated");
        if healthy == 2 && !dropped.is_empty() { Ok(targets) } else { Err(format!("{up:?} {dropped:?}")) }
    });
    assert_eq!(service_targets(&up["activeTargets"], "discoveredLabels", "unannotated"), Vec::<Value>::new());

    // Prometheus scrapes the service at the path and port of the annotations.
    let query = "/api/v1/query?query=app_build_info%7Bref%3D%22scraped%22%7D";
    let result = eventually("its metrics", TIMEOUT, || {
        let result = prometheus(query)["data"]["result"].clone();
        if result.as_array().is_some_and(|it| it.len() == 2) { Ok(result) } else { Err(result.to_string()) }
    });
    assert_eq!(result[0]["metric"]["namespace"], "gitlab");
}

/// The host has the certificate in its Secret, and connections to a host without one are rejected before a request is sent.
#[test]
fn the_host_has_the_certificate_in_its_secret() {
    let _deployer = DEPLOYER.read();
    let _cleanup = deploy("secured");
    let host = "secured.gitlab-k8s-demo.test";
    let _secret = Cleanup(vec!["--namespace=gitlab".into(), "secret/secured".into()]);
    let pair = rcgen::generate_simple_self_signed([host.to_owned()]).expect("a certificate");
    let dir = tempfile::tempdir().expect("a directory");
    let (certificate, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    std::fs::write(&certificate, pair.cert.pem()).expect("written");
    std::fs::write(&key, pair.signing_key.serialize_pem()).expect("written");
    let (cert, key) = (format!("--cert={}", certificate.display()), format!("--key={}", key.display()));
    run(&mut owner(&["create", "secret", "tls", "secured", "--namespace=gitlab", &cert, &key]));
    let tls = format!("{{\"spec\":{{\"tls\":[{{\"hosts\":[\"{host}\"],\"secretName\":\"secured\"}}]}}}}");
    run(&mut deployer(&["patch", "ingress", "gitlab-k8s-demo-secured", "--type=merge", "--patch", &tls]));

    let address = access("ingress_https");
    let port = address.rsplit_once(':').expect("an address").1;
    let curl = |host: &str| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "5", "--cacert"]).arg(&certificate);
        command.args(["--resolve", &format!("{host}:{port}:127.0.0.1"), &format!("https://{host}:{port}/health")]);
        command.output().expect("curl runs")
    };
    eventually("TLS", TIMEOUT, || {
        let output = curl(host);
        if output.status.success() { Ok(()) } else { Err(error(&output)) }
    });
    assert!(!curl("unknown.gitlab-k8s-demo.test").status.success());
}

/// Pods are replaced one after the other under load, and no request fails.
#[test]
fn no_request_fails_while_pods_are_replaced() {
    let _deployer = DEPLOYER.read();
    let _cleanup = deploy("renewed");
    let host = "renewed.gitlab-k8s-demo.test";
    eventually("the host", TIMEOUT, || match http(host, "/health") {
        (200, _) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let pods = || run(&mut deployer(&["get", "pods", "--selector=ref=renewed", "--output=name"]));
    let before = pods();
    let load = Load::begin(host);
    let annotation = r#"{"spec":{"template":{"metadata":{"annotations":{"renewed":"yes"}}}}}"#;
    run(&mut deployer(&["patch", "deployment", "gitlab-k8s-demo-renewed", "--patch", annotation]));
    run(&mut deployer(&["rollout", "status", "--timeout=120s", "deployment/gitlab-k8s-demo-renewed"]));
    eventually("the end of the old pods", TIMEOUT, || {
        let now = pods();
        if before.lines().any(|pod| now.contains(pod)) { Err(now) } else { Ok(()) }
    });
    let answers = load.end().expect("the load");
    let failed = answers.iter().filter(|status| **status != 200).collect::<Vec<_>>();
    assert!(!answers.is_empty() && failed.is_empty(), "{} requests, failed: {failed:?}", answers.len());
}
