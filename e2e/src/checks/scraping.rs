//! Checks that Prometheus scrapes every pod because of the annotations, and that its counters match the number of requests.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::time::{Instant, sleep};

use super::check::{Evidence, Outcome};
use super::environment::{Environment, Prometheus, object_ref};
use super::failure::expected;
use super::scrape_targets::{Annotated, METHOD, ROUTE, Target, Wrong, once_each, why_wrong};
use crate::record::Failure;

/// Interval between queries.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Number of requests to each pod.
const REQUESTS: u32 = 23;

pub(super) async fn run(environment: Environment) -> Outcome {
    // Always given, because `CHECKS` lists it as a need.
    let Some(prometheus) = &environment.prometheus else { return Ok(Evidence::default()) };
    let mut evidence = Evidence::default();
    let pods: BTreeSet<String> = environment.some_pods().await?.iter().map(ResourceExt::name_any).collect();
    let up = all_up(&environment, prometheus, &pods).await?;
    let jobs: BTreeSet<&str> = up.iter().map(|target| &*target.job).collect();
    evidence.add(format!("up: {}", pods.into_iter().collect::<Vec<_>>().join(" and ")));
    evidence.add(format!("each once in job {}", jobs.into_iter().collect::<Vec<_>>().join(" and in job ")));
    // Several jobs may scrape the same pods, and each must count the same. Each pod gets its requests once for all jobs.
    let by_pod = |pod: &str| up.iter().filter(|target| target.pod == pod).cloned().collect::<Vec<_>>();
    let names: BTreeSet<&str> = up.iter().map(|target| &*target.pod).collect();
    try_join_all(names.iter().map(|pod| verify_counts(&environment, prometheus, pod, by_pod(pod)))).await?;
    evidence.add(format!("http_requests_total of each pod rose by {REQUESTS}, the number of requests"));
    Ok(evidence)
}

/// Sends requests to a pod, and waits until Prometheus has counted them. Does not use the Service, because pods of other checks would
/// get some of the requests.
async fn verify_counts(
    environment: &Environment,
    prometheus: &Prometheus,
    pod: &str,
    targets: Vec<Target>,
) -> Result<(), Failure> {
    let before = try_join_all(targets.iter().map(|target| settled(environment, prometheus, target, None))).await?;
    for _ in 0..REQUESTS {
        let (status, body) = environment.ask_pod(pod, METHOD, ROUTE).await?;
        if status != 200 {
            let failure = expected(format!("{METHOD} {ROUTE} of {pod} returns 200"))
                .actual(format!("{status} {}", body.trim()))
                .hint("the image contains another service", "deploy this repository's service");
            return Err(with_diagnostics(failure, environment, pod).await);
        }
    }
    let settle = targets.iter().zip(before).map(|(target, before)| {
        let wanted = Some(before + f64::from(REQUESTS));
        settled(environment, prometheus, target, wanted)
    });
    try_join_all(settle).await?;
    Ok(())
}

async fn with_diagnostics(failure: Failure, environment: &Environment, pod: &str) -> Failure {
    let failure = failure.at(format!("Pod {}/{pod}", environment.namespace));
    match environment.api::<Pod>().get_opt(pod).await {
        Ok(Some(pod)) => failure.with(&environment.explain_pod(&pod).await),
        _ => failure.with("the pod is gone"),
    }
}

/// Waits until every pod is up in Prometheus, once in each job that discovers pods through the Service.
async fn all_up(
    environment: &Environment,
    prometheus: &Prometheus,
    pods: &BTreeSet<String>,
) -> Result<Vec<Target>, Failure> {
    let service = environment.service().await?;
    let name = service.name_any();
    let annotated = Annotated::from_service(&service).map_err(|value| {
        expected("the Service has the annotation prometheus.io/scrape: \"true\"")
            .actual(value)
            .at(object_ref(&service))
            .with("Prometheus may still have the targets of an earlier annotation")
            .caused_by(
                "Prometheus scrapes only Services with this annotation",
                "keep the four annotations of manifests/service.yaml",
            )
    })?;
    let started = Instant::now();
    loop {
        let answer = environment.ask_prometheus(prometheus, "/api/v1/targets?state=active").await?;
        let answer = answer["activeTargets"].as_array().cloned().unwrap_or_default();
        let in_namespace =
            answer.iter().filter(|it| it["discoveredLabels"]["__meta_kubernetes_namespace"] == *environment.namespace);
        let targets: Vec<Target> = in_namespace.filter_map(Target::parse).collect();
        let wrong = match once_each(&targets, &name, pods, &annotated) {
            Ok(up) => return Ok(up),
            Err(wrong) => wrong,
        };
        if started.elapsed() > environment.timeout {
            let own: Vec<&Target> = targets.iter().filter(|target| target.service == name).collect();
            let up = own.iter().filter(|target| target.is_up && pods.contains(&target.pod)).count();
            let annotations = service.annotations().iter().map(|(key, value)| format!("{key}: {value}"));
            let errors: BTreeSet<&str> = own.iter().map(|target| &*target.error).filter(|it| !it.is_empty()).collect();
            let failure = expected(format!("{} pods up in Prometheus, each once per job", pods.len()))
                .actual(format!("{up} of {} targets up; {}", own.len(), wrong.join(", ")))
                .at(object_ref(&service))
                .with(&errors.into_iter().collect::<Vec<_>>().join("\n"))
                .with(&annotations.collect::<Vec<_>>().join("\n"))
                .with(&environment.diagnostics(&service).await);
            let is_declared = annotated.is_port_of(&environment.pods().await?);
            return Err(match why_wrong(&targets, &name, pods, &annotated, is_declared) {
                Some(Wrong::Shown(cause, fix)) => failure.caused_by(cause, fix),
                Some(Wrong::Blocked(cause, fix)) => failure.hint(cause, fix),
                None => failure.hint(
                    "one of: Prometheus' scrape configuration ignores the annotations; Prometheus has not discovered the pods yet, or may \
                    not list them",
                    "configure a Prometheus job with kubernetes_sd_configs of role endpointslice that keeps Services with these annotations",
                ),
            });
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Waits until Prometheus and the pod have the same count, which must be `wanted` if given, and returns it.
async fn settled(
    environment: &Environment,
    prometheus: &Prometheus,
    target: &Target,
    wanted: Option<f64>,
) -> Result<f64, Failure> {
    let started = Instant::now();
    let query = target.query();
    loop {
        let own = own_count(&environment.ask_pod(&target.pod, "GET", "/metrics").await?.1);
        let answer = environment.ask_prometheus(prometheus, &query).await?;
        let scraped = answer["result"][0]["value"][1].as_str().and_then(|it| it.parse().ok()).unwrap_or(0.0);
        // Counts are whole numbers, so the tolerance only absorbs rounding.
        let is_same = |one: f64, other: f64| (one - other).abs() < 0.5;
        if is_same(own, scraped) && wanted.is_none_or(|wanted| is_same(wanted, scraped)) {
            return Ok(scraped);
        }
        if started.elapsed() > environment.timeout {
            let wanted = wanted.map_or_else(|| format!("{own}, the pod's own count,"), |wanted| wanted.to_string());
            let failure = expected(format!("http_requests_total of {wanted} in job {} of Prometheus", target.job))
            .actual(format!("{scraped} in Prometheus, {own} in {}", target.pod))
                .hint(
                    "Prometheus scrapes another target with the same labels, scrapes one pod twice, or does not scrape a pod",
                    "look at Prometheus' targets: there must be one for each pod, with the label `ref`",
                );
            return Err(with_diagnostics(failure, environment, &target.pod).await);
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// The number of requests to the route according to the pod's own metrics.
fn own_count(metrics: &str) -> f64 {
    let (method, route) = (format!("method=\"{METHOD}\""), format!("route=\"{ROUTE}\""));
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("http_requests_total{") && line.contains(&method) && line.contains(&route));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_own_count_is_the_sum_over_all_statuses() {
        let metrics = "# TYPE http_requests_total counter\n\
                       http_requests_total{method=\"GET\",route=\"/version\",status=\"200\"} 7\n\
                       http_requests_total{method=\"HEAD\",route=\"/version\",status=\"200\"} 23\n\
                       http_requests_total{method=\"HEAD\",route=\"/version\",status=\"500\"} 1\n";
        assert!((own_count(metrics) - 24.0).abs() < f64::EPSILON);
    }
}
