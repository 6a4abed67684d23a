//! Saboteurs of the metrics: the check `scraping`.

use serde_json::json;

use super::{TIMEOUT, WITHOUT_PODS, caught, failing, intact, patch, record};
use crate::fixture::{Cleanup, DEPLOYER, feed, owner, prometheus};
use crate::support::eventually;

#[test]
fn the_scrape_annotation_is_missing() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("unseen");
    patch("service", "unseen", &json!({"metadata": {"annotations": {"prometheus.io/scrape": null}}}));
    eventually("Prometheus", std::time::Duration::from_mins(1), || {
        let targets = prometheus("/api/v1/targets?state=active").to_string();
        if targets.contains("gitlab-k8s-demo-unseen") { Err("still scraped".to_owned()) } else { Ok(()) }
    });
    caught("unseen", "scraping", &WITHOUT_PODS, "none", &[]);
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
    caught("twice", "scraping", &WITHOUT_PODS, words, &[]);
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
    let cause = failed.get("scraping").and_then(|check| check["failure"]["cause"].as_str());
    assert!(cause.is_some_and(|cause| cause.contains("port 9999")), "Prometheus' old targets were counted: {failed:?}");
    // Prometheus may not have scraped the new port yet.
    record(&["scraping"], &[("scraping", "port 9999")]);
}

#[test]
#[ignore = "a variant: make test-variants"]
fn the_annotation_has_a_path_without_metrics() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("misdirected");
    patch("service", "misdirected", &json!({"metadata": {"annotations": {"prometheus.io/path": "/version"}}}));
    eventually("Prometheus", TIMEOUT, || {
        let targets = prometheus("/api/v1/targets?state=active").to_string();
        if targets.contains(":8000/version") { Ok(()) } else { Err("not scraped yet".to_owned()) }
    });
    caught("misdirected", "scraping", &["scraping", "service", "ingress"], "", &[]);
}
