//! Saboteurs of the route from a host to the pods: the checks `service` and `ingress`.

use serde_json::json;

use super::{
    QUICK, TIMEOUT, WITHOUT_PODS, all, caught, explained, failing, intact, patch, record_reported, rule,
    wait_until_unserved,
};
use crate::fixture::{Cleanup, DEPLOYER, feed, http, owner};
use crate::support::{eventually, run};

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
    let rule = rule("deaf.gitlab-k8s-demo.test", "deaf-detour", &json!({"name": "http-metrics"}));
    patch("ingress", "deaf", &json!({"spec": {"rules": [rule]}}));
    let port = json!({"name": "http-metrics", "port": 8000, "targetPort": 9999, "protocol": "TCP"});
    patch("service", "deaf", &json!({"spec": {"ports": [port]}}));
    caught("deaf", "service", &QUICK, "50", &[]);
}

#[test]
fn the_service_selects_no_pod() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("canary");
    patch("service", "canary", &json!({"spec": {"selector": {"track": "canary"}}}));
    wait_until_unserved("canary");
    let words = "matches no pod of the environment";
    explained(
        "canary",
        &["readiness", "service", "ingress", "rollout", "deployment", "version"],
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
    eventually("the endpoints", TIMEOUT, || {
        let failed = failing("open", &["service", "ingress"], "30s", &[]);
        if failed.len() == 2 { Ok(()) } else { Err(format!("{failed:?}")) }
    });
    explained("open", &["deployment", "service", "ingress", "version"], &words);
}

#[test]
fn the_ingress_routes_an_unknown_host() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("greedy");
    // Use a separate domain, so that the unknown hosts of other environments stay unknown.
    let rule = |host: &str| rule(host, "gitlab-k8s-demo-greedy", &json!({"name": "http-metrics"}));
    let rules = [rule("greedy.greedy.test"), rule("no-such-environment.greedy.test")];
    patch("ingress", "greedy", &json!({"spec": {"rules": rules}}));
    eventually("the host", TIMEOUT, || match http("no-such-environment.greedy.test", "/health") {
        (200, _) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    caught("greedy", "ingress", &WITHOUT_PODS, "200", &["--host", "greedy.greedy.test"]);
}

#[test]
fn pods_of_another_environment_respond() {
    let _deployer = DEPLOYER.read();
    let (_cleanup, _other) = (intact("mixed"), intact("mixed-up"));
    let rule = rule("mixed.gitlab-k8s-demo.test", "gitlab-k8s-demo-mixed-up", &json!({"name": "http-metrics"}));
    patch("ingress", "mixed", &json!({"spec": {"rules": [rule]}}));
    let failed = eventually("the controller", TIMEOUT, || {
        let failed = failing("mixed", &["ingress"], "30s", &[]);
        if failed.is_empty() { Err("no failure yet".to_owned()) } else { Ok(failed) }
    });
    let actual = failed["ingress"]["failure"]["seen"].as_str().expect("what was seen");
    assert!(actual.ends_with(", of mixed-up"), "{actual}");
    record_reported(&["ingress"], &failed);
}

#[test]
fn the_ingress_names_a_class_that_does_not_exist() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("classless");
    patch("ingress", "classless", &json!({"spec": {"ingressClassName": "nginx"}}));
    wait_until_unserved("classless");
    let words = "there is no IngressClass nginx";
    explained("classless", &all(), &["ingress", "liveness", "rollout"].map(|check| (check, words)));
}

#[test]
#[ignore = "a variant: make test-variants"]
fn the_ingress_names_a_port_that_does_not_exist() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("portless");
    let rule = rule("portless.gitlab-k8s-demo.test", "gitlab-k8s-demo-portless", &json!({"number": 9999}));
    patch("ingress", "portless", &json!({"spec": {"rules": [rule]}}));
    wait_until_unserved("portless");
    let words = "has no port 9999; existing: http-metrics (8000)";
    explained("portless", &all(), &["ingress", "liveness", "rollout"].map(|check| (check, words)));
}

#[test]
fn the_service_is_deleted() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("serviceless");
    run(&mut owner(&["--namespace=gitlab", "delete", "service", "gitlab-k8s-demo-serviceless"]));
    wait_until_unserved("serviceless");
    let names = ["service", "ingress", "deployment", "version"];
    let failed = failing("serviceless", &names, "30s", &[]);
    assert_eq!(failed.keys().collect::<Vec<_>>(), ["ingress", "service"], "{failed:?}");
    assert_eq!(failed["service"]["failure"]["seen"], "none");
    let words = "there is no Service gitlab-k8s-demo-serviceless, its backend";
    assert!(failed["ingress"]["failure"]["cause"].as_str().is_some_and(|cause| cause.contains(words)), "{failed:?}");
    record_reported(&names, &failed);
}

#[test]
#[ignore = "a variant: make test-variants"]
fn the_service_targets_a_port_name_that_does_not_exist() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("misnamed");
    let port = json!({"name": "http-metrics", "port": 8000, "targetPort": "http", "protocol": "TCP"});
    patch("service", "misnamed", &json!({"spec": {"ports": [port]}}));
    wait_until_unserved("misnamed");
    let words = "its targetPort http is not a port of the pods, which have http-metrics";
    explained(
        "misnamed",
        &["deployment", "readiness", "service", "ingress", "version"],
        &["readiness", "service", "ingress"].map(|check| (check, words)),
    );
}

#[test]
#[ignore = "a variant: make test-variants"]
fn the_ingress_has_another_host() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("renamed");
    let rule = rule("other.gitlab-k8s-demo.test", "gitlab-k8s-demo-renamed", &json!({"name": "http-metrics"}));
    patch("ingress", "renamed", &json!({"spec": {"rules": [rule]}}));
    caught("renamed", "ingress", &["ingress", "service", "scraping"], "other.gitlab-k8s-demo.test", &[]);
}
