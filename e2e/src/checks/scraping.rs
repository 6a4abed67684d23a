//! Prometheus scrapes every pod because of the annotations, and counts what was asked.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::ResourceExt;
use reqwest::Method;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::failure::expected;
use super::http::Http;
use super::subject::{Prometheus, Subject, called};
use super::{Evidence, Outcome};
use crate::record::Failure;

/// How often Prometheus is asked.
const BEAT: Duration = Duration::from_millis(500);

/// How many requests are made to be counted.
const REQUESTS: u32 = 23;

/// Nobody else asks in this way.
const ROUTE: (&Method, &str) = (&Method::HEAD, "/version");

pub(super) async fn run(subject: Subject) -> Outcome {
    // Only where both are given: the list of checks says so.
    let (Some(prometheus), Some(ingress)) = (&subject.prometheus, subject.ingress) else {
        return Ok(Evidence::default());
    };
    let mut evidence = Evidence::default();
    let http = Http::new(ingress).map_err(|error| expected("a client").saw(error))?;
    let pods: BTreeSet<String> = subject.pods().await?.iter().map(ResourceExt::name_any).collect();
    let up = all_up(&subject, prometheus, &pods).await?;
    evidence.add(format!("up: {}", up.into_iter().collect::<Vec<_>>().join(" and ")));
    let before = settled(&subject, prometheus, &pods, None).await?;
    for _ in 0..REQUESTS {
        let (status, _) = http.send(ROUTE.0.clone(), &subject.host, ROUTE.1).await.map_err(|why| unanswered(&why))?;
        if status != 200 {
            return Err(unanswered(&format!("{status}")));
        }
    }
    let wanted = before + f64::from(REQUESTS);
    settled(&subject, prometheus, &pods, Some(wanted)).await?;
    evidence.add(format!("http_requests_total rose by {REQUESTS}, as often as was asked"));
    Ok(evidence)
}

fn unanswered(why: &str) -> Failure {
    expected(format!("{} {} through the Ingress is 200", ROUTE.0, ROUTE.1))
        .saw(why)
        .because("the Ingress does not reach the service", "look at the check `ingress`")
}

/// Waits until Prometheus has every pod up.
async fn all_up(
    subject: &Subject,
    prometheus: &Prometheus,
    pods: &BTreeSet<String>,
) -> Result<BTreeSet<String>, Failure> {
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
        let up: BTreeSet<String> = of_service
            .iter()
            .filter(|target| target["health"] == "up")
            .filter_map(|target| Some(target["discoveredLabels"]["__meta_kubernetes_pod_name"].as_str()?.to_owned()))
            .collect();
        if pods.is_subset(&up) && !pods.is_empty() {
            return Ok(pods.clone());
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

/// Waits until Prometheus counts what the pods count, and that is `wanted`, and returns it.
async fn settled(
    subject: &Subject,
    prometheus: &Prometheus,
    pods: &BTreeSet<String>,
    wanted: Option<f64>,
) -> Result<f64, Failure> {
    let began = Instant::now();
    let query = format!(
        "sum(http_requests_total%7Bnamespace%3D%22{}%22%2Cref%3D%22{}%22%2Cmethod%3D%22{}%22%2Croute%3D%22{}%22%7D)",
        subject.namespace, subject.reference, ROUTE.0, ROUTE.1
    );
    loop {
        let mut own = 0.0;
        for pod in pods {
            own += counted(&subject.ask_pod(pod, "GET", "/metrics").await?.1);
        }
        let answer = subject.ask_prometheus(prometheus, &format!("/api/v1/query?query={query}")).await?;
        let told = answer["result"][0]["value"][1].as_str().and_then(|it| it.parse().ok()).unwrap_or(0.0);
        // Both are whole numbers.
        let is_same = |one: f64, other: f64| (one - other).abs() < 0.5;
        if is_same(own, told) && wanted.is_none_or(|wanted| is_same(wanted, told)) {
            return Ok(told);
        }
        if began.elapsed() > subject.patience {
            let wanted = wanted.map_or_else(|| format!("{own}, as the pods count"), |wanted| wanted.to_string());
            return Err(expected(format!("http_requests_total of {wanted} in Prometheus"))
                .saw(format!("{told} in Prometheus, {own} in the pods"))
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
    use super::*;

    #[test]
    fn a_pods_own_count() {
        let metrics = "# TYPE http_requests_total counter\n\
                       http_requests_total{method=\"GET\",route=\"/version\",status=\"200\"} 7\n\
                       http_requests_total{method=\"HEAD\",route=\"/version\",status=\"200\"} 23\n\
                       http_requests_total{method=\"HEAD\",route=\"/version\",status=\"500\"} 1\n";
        assert!((counted(metrics) - 24.0).abs() < f64::EPSILON);
    }
}
