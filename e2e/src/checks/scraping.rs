//! Prometheus scrapes every pod because of the annotations, and counts what was asked.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use futures_util::future::try_join_all;
use kube::ResourceExt;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::failure::expected;
use super::subject::{Prometheus, Subject, called};
use super::{Evidence, Outcome};
use crate::record::Failure;

/// How often Prometheus is asked.
const BEAT: Duration = Duration::from_millis(500);

/// How many requests each pod gets to count.
const REQUESTS: u32 = 23;

/// Nobody else asks in this way.
const ROUTE: (&str, &str) = ("HEAD", "/version");

/// A pod in Prometheus' eyes.
struct Target {
    pod: String,
    /// Its label `instance`, which every setting of Prometheus has.
    instance: String,
}

pub(super) async fn run(subject: Subject) -> Outcome {
    // Only where it is given: the list of checks says so.
    let Some(prometheus) = &subject.prometheus else { return Ok(Evidence::default()) };
    let mut evidence = Evidence::default();
    let pods: BTreeSet<String> = subject.pods().await?.iter().map(ResourceExt::name_any).collect();
    let up = all_up(&subject, prometheus, &pods).await?;
    evidence.add(format!("up: {}", pods.into_iter().collect::<Vec<_>>().join(" and ")));
    try_join_all(up.iter().map(|target| counts(&subject, prometheus, target))).await?;
    evidence.add(format!("http_requests_total of each rose by {REQUESTS}, as often as it was asked"));
    Ok(evidence)
}

/// Asks a pod, and waits until Prometheus has counted it. Not through the Service: pods that other checks have there would get
/// some of it.
async fn counts(subject: &Subject, prometheus: &Prometheus, target: &Target) -> Result<(), Failure> {
    let before = settled(subject, prometheus, target, None).await?;
    for _ in 0..REQUESTS {
        let (status, body) = subject.ask_pod(&target.pod, ROUTE.0, ROUTE.1).await?;
        if status != 200 {
            return Err(expected(format!("{} {} of {} is 200", ROUTE.0, ROUTE.1, target.pod))
                .saw(format!("{status} {}", body.trim()))
                .because("the image is of another service", "deploy this repository's service"));
        }
    }
    settled(subject, prometheus, target, Some(before + f64::from(REQUESTS))).await?;
    Ok(())
}

/// Waits until Prometheus has every pod up.
async fn all_up(subject: &Subject, prometheus: &Prometheus, pods: &BTreeSet<String>) -> Result<Vec<Target>, Failure> {
    let service = subject.service().await?;
    let began = Instant::now();
    loop {
        let targets = subject.ask_prometheus(prometheus, "/api/v1/targets?state=active").await?;
        let targets = targets["activeTargets"].as_array().cloned().unwrap_or_default();
        let of_service = targets.iter().filter(|target| {
            let labels = &target["discoveredLabels"];
            labels["__meta_kubernetes_service_name"] == *service.name_any()
                && labels["__meta_kubernetes_namespace"] == *subject.namespace
        });
        let of_service: Vec<&Value> = of_service.collect();
        let mut up: Vec<Target> = of_service.iter().filter_map(|target| Target::up(target)).collect();
        up.retain(|target| pods.contains(&target.pod));
        if up.len() == pods.len() && !pods.is_empty() {
            return Ok(up);
        }
        if began.elapsed() > subject.patience {
            let errors = of_service.iter().filter_map(|target| target["lastError"].as_str()).collect::<Vec<_>>();
            let annotations = service.annotations().iter().map(|(key, value)| format!("{key}: {value}"));
            return Err(expected(format!("{} pods up in Prometheus", pods.len()))
                .saw(format!("{} of {} targets of {}", up.len(), of_service.len(), called(&service)))
                .at(called(&service))
                .with(&annotations.collect::<Vec<_>>().join("\n"))
                .with(&errors.join("\n"))
                .because(
                    "the Service lacks `prometheus.io/scrape: \"true\"`, or its port and path are others, or Prometheus' \
                     scrape configuration does not ask for annotations",
                    "keep the four annotations of manifests/service.yaml; give Prometheus a job with \
                     kubernetes_sd_configs of role endpoints that keeps what has them",
                ));
        }
        sleep(BEAT).await;
    }
}

impl Target {
    /// A target of Prometheus' API, if it is up.
    fn up(target: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let is_up = target["health"] == "up";
        let pod = is_up.then(|| text(&target["discoveredLabels"]["__meta_kubernetes_pod_name"]))??;
        Some(Self { pod, instance: text(&target["labels"]["instance"])? })
    }

    /// The path of Prometheus' API that tells how often it was asked.
    fn query(&self) -> String {
        let query = format!(
            "sum(http_requests_total{{instance=\"{}\",method=\"{}\",route=\"{}\"}})",
            self.instance, ROUTE.0, ROUTE.1
        );
        let mut path = "/api/v1/query?query=".to_owned();
        for byte in query.bytes() {
            // A text takes everything.
            let _ = write!(path, "%{byte:02X}");
        }
        path
    }
}

/// Waits until Prometheus counts what the pod counts, and that is `wanted`, and returns it.
async fn settled(
    subject: &Subject,
    prometheus: &Prometheus,
    target: &Target,
    wanted: Option<f64>,
) -> Result<f64, Failure> {
    let began = Instant::now();
    let query = target.query();
    loop {
        let own = counted(&subject.ask_pod(&target.pod, "GET", "/metrics").await?.1);
        let answer = subject.ask_prometheus(prometheus, &query).await?;
        let told = answer["result"][0]["value"][1].as_str().and_then(|it| it.parse().ok()).unwrap_or(0.0);
        // Both are whole numbers.
        let is_same = |one: f64, other: f64| (one - other).abs() < 0.5;
        if is_same(own, told) && wanted.is_none_or(|wanted| is_same(wanted, told)) {
            return Ok(told);
        }
        if began.elapsed() > subject.patience {
            let wanted = wanted.map_or_else(|| format!("{own}, as the pod counts"), |wanted| wanted.to_string());
            return Err(expected(format!("http_requests_total of {wanted} in Prometheus"))
                .saw(format!("{told} in Prometheus, {own} in {}", target.pod))
                .because(
                    "Prometheus scrapes something else by that name, scrapes one pod twice or another not at all",
                    "look at the targets of Prometheus: one for each pod, with the label `ref`",
                ));
        }
        sleep(BEAT).await;
    }
}

/// What a pod's own metrics count of the route.
fn counted(metrics: &str) -> f64 {
    let (method, route) = (format!("method=\"{}\"", ROUTE.0), format!("route=\"{}\"", ROUTE.1));
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("http_requests_total{") && line.contains(&method) && line.contains(&route));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pods_own_count() {
        let metrics = "# TYPE http_requests_total counter\n\
                       http_requests_total{method=\"GET\",route=\"/version\",status=\"200\"} 7\n\
                       http_requests_total{method=\"HEAD\",route=\"/version\",status=\"200\"} 23\n\
                       http_requests_total{method=\"HEAD\",route=\"/version\",status=\"500\"} 1\n";
        assert!((counted(metrics) - 24.0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_prometheus_is_asked() {
        let target = json!({
            "health": "up",
            "discoveredLabels": {"__meta_kubernetes_pod_name": "web-1"},
            "labels": {"instance": "10.0.0.1:8000"},
        });
        let target = Target::up(&target).unwrap();
        assert_eq!(target.pod, "web-1");
        // sum(http_requests_total{instance="10.0.0.1:8000",…
        let query = target.query();
        assert!(query.starts_with("/api/v1/query?query=%73%75%6D%28"), "{query}");
        assert!(query.contains("%22%31%30%2E%30%2E%30%2E%31%3A%38%30%30%30%22"), "{query}");
    }

    #[test]
    fn what_is_down_is_no_target() {
        let target = json!({
            "health": "down",
            "discoveredLabels": {"__meta_kubernetes_pod_name": "web-1"},
            "labels": {"instance": "10.0.0.1:8000"},
        });
        assert!(Target::up(&target).is_none());
    }
}
