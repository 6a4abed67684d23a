//! Saboteurs of the probes: the checks `readiness` and `liveness`.

use serde_json::json;

use super::{QUICK, WITHOUT_PODS, caught, container, intact, patch, patch_pods, with};
use crate::fixture::DEPLOYER;

#[test]
fn the_readiness_probe_requests_a_path_that_succeeds_too_early() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("hasty");
    let probe =
        json!({"readinessProbe": {"httpGet": {"path": "/livez"}, "initialDelaySeconds": 0, "periodSeconds": 1}});
    patch_pods("hasty", &container(probe));
    caught("hasty", "readiness", &with(&WITHOUT_PODS, "readiness"), "500", &[]);
}

#[test]
#[ignore = "a variant: make test-variants"]
fn the_liveness_probe_requests_a_path_that_always_succeeds() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("immortal");
    patch_pods("immortal", &container(json!({"livenessProbe": {"httpGet": {"path": "/version"}}})));
    caught("immortal", "liveness", &with(&QUICK, "liveness"), "0 restarts", &[]);
}

#[test]
#[ignore = "a variant: make test-variants"]
fn the_liveness_probe_runs_once_an_hour() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("patient");
    patch_pods("patient", &container(json!({"livenessProbe": {"periodSeconds": 3600}})));
    // Three periods, plus the manifest's timeout of two seconds for the last probe.
    caught("patient", "liveness", &with(&WITHOUT_PODS, "liveness"), "up to 10802 s", &[]);
}

#[test]
fn there_is_no_readiness_probe() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("probeless");
    patch_pods("probeless", &container(json!({"readinessProbe": null})));
    let failure = caught("probeless", "readiness", &with(&WITHOUT_PODS, "readiness"), "", &[]);
    // The second text is that of a node so busy that the pod became Ready only after the service.
    let texts = ["500", "Ready as soon as its containers run"];
    assert!(failure["seen"].as_str().is_some_and(|seen| texts.iter().any(|text| seen.contains(text))), "{failure}");
    assert_eq!(failure["cause"], "the pods have no readiness probe");
}

#[test]
fn the_service_publishes_pods_that_are_not_ready() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("premature");
    patch("service", "premature", &json!({"spec": {"publishNotReadyAddresses": true}}));
    let failure =
        caught("premature", "readiness", &["readiness", "service", "ingress", "version"], "an endpoint while", &[]);
    assert!(failure["cause"].as_str().is_some_and(|cause| cause.contains("publishNotReadyAddresses")), "{failure}");
}

#[test]
fn there_is_no_liveness_probe() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("unwatched");
    patch_pods("unwatched", &container(json!({"livenessProbe": null})));
    caught("unwatched", "liveness", &with(&WITHOUT_PODS, "liveness"), "no liveness probe", &[]);
}

#[test]
#[ignore = "a variant: make test-variants"]
fn the_liveness_probe_tolerates_a_thousand_failures() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("lenient");
    patch_pods("lenient", &container(json!({"livenessProbe": {"failureThreshold": 1000}})));
    caught("lenient", "liveness", &["liveness", "service", "ingress"], "up to 5002 s", &[]);
}
