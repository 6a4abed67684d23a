//! Checks that Prometheus scrapes every pod because of the annotations, and that its counters match the number of requests.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::check::{Evidence, Outcome};
use super::environment::{Environment, Prometheus, object_ref};
use super::failure::expected;
use crate::record::Failure;

/// Interval between queries.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Number of requests to each pod.
const REQUESTS: u32 = 23;

/// The method and route of these requests, which no other client uses.
const ROUTE: (&str, &str) = ("HEAD", "/version");

/// A pod as a target of Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    pod: String,
    /// Its labels `instance` and `job`, which exist in every Prometheus configuration.
    instance: String,
    job: String,
    /// The Service through which Prometheus has discovered it.
    service: String,
    is_up: bool,
    /// The address that Prometheus scrapes.
    url: String,
}

/// What the Service's annotations ask Prometheus to scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Annotated {
    port: String,
    path: String,
}

impl Annotated {
    /// Reads a Service's annotations. The error is the value of `prometheus.io/scrape`.
    fn of_service(service: &Service) -> Result<Self, String> {
        let value = |name: &str| service.annotations().get(&format!("prometheus.io/{name}")).cloned();
        match value("scrape").as_deref() {
            Some("true") => {}
            other => return Err(other.unwrap_or("none").to_owned()),
        }
        let path = value("path").unwrap_or_else(|| "/metrics".to_owned());
        Ok(Self { port: value("port").unwrap_or_default(), path })
    }

    /// Whether a target is what the annotations ask for. Without a port, Prometheus scrapes every port.
    fn matches(&self, url: &str) -> bool {
        let Self { port, path } = self;
        if port.is_empty() { url.ends_with(&**path) } else { url.ends_with(&format!(":{port}{path}")) }
    }
}

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
        let (status, body) = environment.ask_pod(pod, ROUTE.0, ROUTE.1).await?;
        if status != 200 {
            let failure = expected(format!("{} {} of {pod} returns 200", ROUTE.0, ROUTE.1))
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
    let annotated = Annotated::of_service(&service).map_err(|value| {
        expected("the Service has the annotation prometheus.io/scrape: \"true\"")
            .actual(value)
            .at(object_ref(&service))
            .with("Prometheus may still have the targets of an earlier annotation")
            .because(
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
        if started.elapsed() > environment.patience {
            let is_own = |it: &&Value| it["discoveredLabels"]["__meta_kubernetes_service_name"] == *name;
            let errors = answer.iter().filter(is_own).filter_map(|it| it["lastError"].as_str());
            let errors = errors.filter(|error| !error.is_empty()).collect::<Vec<_>>().join("\n");
            let own: Vec<&Target> = targets.iter().filter(|target| target.service == name).collect();
            let up = own.iter().filter(|target| target.is_up && pods.contains(&target.pod)).count();
            let annotations = service.annotations().iter().map(|(key, value)| format!("{key}: {value}"));
            return Err(expected(format!("{} pods up in Prometheus, each once per job", pods.len()))
                .actual(format!("{up} of {} targets up; {}", own.len(), wrong.join(", ")))
                .at(object_ref(&service))
                .with(&annotations.collect::<Vec<_>>().join("\n"))
                .with(&errors)
                .with(&environment.diagnostics(&service).await)
                .hint(
                    "one of: the Service has no annotation `prometheus.io/scrape: \"true\"`; its annotations have a wrong port or path; \
                    Prometheus' scrape configuration ignores the annotations; two Services with annotations select the same pod, which is \
                    then scraped twice",
                    "keep the four annotations of manifests/service.yaml, in one Service only; configure a Prometheus job with \
                    kubernetes_sd_configs of role endpointslice that keeps Services with these annotations",
                ));
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// The targets of these pods, if each is up and exists exactly once in each job that discovers pods through this Service. The sum over
/// a pod that is in a job twice would count every request twice.
fn once_each(
    targets: &[Target],
    service: &str,
    pods: &BTreeSet<String>,
    annotated: &Annotated,
) -> Result<Vec<Target>, Vec<String>> {
    let own = || targets.iter().filter(|target| pods.contains(&target.pod));
    let jobs: BTreeSet<&str> = own().filter(|it| it.service == service).map(|it| &*it.job).collect();
    if jobs.is_empty() {
        return Err(vec![format!("no job has a pod of the Service {service}")]);
    }
    let mut wrong = Vec::new();
    let mut up = Vec::new();
    for (job, pod) in jobs.iter().flat_map(|job| pods.iter().map(move |pod| (*job, pod))) {
        let found: Vec<&Target> = own().filter(|target| target.job == job && target.pod == *pod).collect();
        match found.as_slice() {
            [] => wrong.push(format!("{pod} is not in job {job}")),
            // Prometheus keeps targets for some seconds after the annotations have changed.
            [one] if !annotated.matches(&one.url) => {
                let Annotated { port, path } = annotated;
                wrong.push(format!(
                    "{pod} is scraped at {}, but the annotations have port {port} and path {path}",
                    one.url
                ));
            }
            [one] if one.is_up => up.push((*one).clone()),
            [_] => wrong.push(format!("{pod} is down in job {job}")),
            several => {
                let services = several.iter().map(|target| &*target.service).collect::<BTreeSet<_>>();
                let services = services.into_iter().collect::<Vec<_>>().join(" and ");
                wrong.push(format!("{pod} is {} times in job {job}, through {services}", several.len()));
            }
        }
    }
    if wrong.is_empty() { Ok(up) } else { Err(wrong) }
}

impl Target {
    /// Parses a target of Prometheus' API. Returns `None` if it is not a pod.
    fn parse(target: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (found, labels) = (&target["discoveredLabels"], &target["labels"]);
        Some(Self {
            pod: text(&found["__meta_kubernetes_pod_name"])?,
            instance: text(&labels["instance"])?,
            job: text(&labels["job"]).unwrap_or_default(),
            service: text(&found["__meta_kubernetes_service_name"]).unwrap_or_else(|| "no Service".to_owned()),
            is_up: target["health"] == "up",
            url: text(&target["scrapeUrl"]).unwrap_or_default(),
        })
    }

    /// The path of the Prometheus query for the number of requests to this pod.
    fn query(&self) -> String {
        let query = format!(
            "sum(http_requests_total{{instance=\"{}\",job=\"{}\",method=\"{}\",route=\"{}\"}})",
            self.instance, self.job, ROUTE.0, ROUTE.1
        );
        let mut path = "/api/v1/query?query=".to_owned();
        for byte in query.bytes() {
            // Writing to a `String` cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
        path
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
        if started.elapsed() > environment.patience {
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
    let (method, route) = (format!("method=\"{}\"", ROUTE.0), format!("route=\"{}\"", ROUTE.1));
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("http_requests_total{") && line.contains(&method) && line.contains(&route));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_pods_own_count_is_the_sum_over_all_statuses() {
        let metrics = "# TYPE http_requests_total counter\n\
                       http_requests_total{method=\"GET\",route=\"/version\",status=\"200\"} 7\n\
                       http_requests_total{method=\"HEAD\",route=\"/version\",status=\"200\"} 23\n\
                       http_requests_total{method=\"HEAD\",route=\"/version\",status=\"500\"} 1\n";
        assert!((own_count(metrics) - 24.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_target_is_parsed_and_queried() {
        let target = json!({
            "health": "up",
            "discoveredLabels": {"__meta_kubernetes_pod_name": "web-1", "__meta_kubernetes_service_name": "web"},
            "labels": {"instance": "10.0.0.1:8000", "job": "services"},
            "scrapeUrl": "http://10.0.0.1:8000/metrics",
        });
        let target = Target::parse(&target).unwrap();
        assert_eq!(target, self::target("web-1", "services", "web", true));
        // sum(http_requests_total{instance="10.0.0.1:8000",…
        let query = target.query();
        assert!(query.starts_with("/api/v1/query?query=%73%75%6D%28"), "{query}");
        assert!(query.contains("%22%31%30%2E%30%2E%30%2E%31%3A%38%30%30%30%22"), "{query}");
    }

    fn target(pod: &str, job: &str, service: &str, is_up: bool) -> Target {
        let [pod, job, service] = [pod, job, service].map(str::to_owned);
        let url = "http://10.0.0.1:8000/metrics".to_owned();
        Target { pod, instance: "10.0.0.1:8000".to_owned(), job, service, is_up, url }
    }

    #[rstest]
    #[case::one_each(&[("web-1", "a", "web", true), ("web-2", "a", "web", true)], Ok(2))]
    #[case::in_two_jobs(
        &[("web-1", "a", "web", true), ("web-2", "a", "web", true), ("web-1", "b", "web", true), ("web-2", "b", "web", true)],
        Ok(4)
    )]
    #[case::in_a_job_without_the_service(
        &[("web-1", "a", "web", true), ("web-2", "a", "web", true), ("web-1", "pods", "no Service", false)],
        Ok(2)
    )]
    #[case::other_pods(&[("web-1", "a", "web", true), ("web-2", "a", "web", true), ("other", "a", "web", false)], Ok(2))]
    #[case::one_twice_and_one_down(
        &[("web-1", "a", "web", true), ("web-1", "a", "web", true), ("web-2", "a", "web", false)],
        Err("web-1 is 2 times in job a, through web, web-2 is down in job a")
    )]
    #[case::through_two_services(
        &[("web-1", "a", "web", true), ("web-1", "a", "detour", true), ("web-2", "a", "web", true)],
        Err("web-1 is 2 times in job a, through detour and web")
    )]
    #[case::one_is_missing(&[("web-1", "a", "web", true)], Err("web-2 is not in job a"))]
    #[case::only_through_another_service(
        &[("web-1", "a", "detour", true), ("web-2", "a", "detour", true)],
        Err("no job has a pod of the Service web")
    )]
    #[case::none(&[], Err("no job has a pod of the Service web"))]
    fn each_pod_must_be_up_once_in_each_job(
        #[case] all: &[(&str, &str, &str, bool)],
        #[case] expected: Result<usize, &str>,
    ) {
        let all: Vec<_> = all.iter().map(|(pod, job, service, is_up)| target(pod, job, service, *is_up)).collect();
        let pods = ["web-1".to_owned(), "web-2".to_owned()].into();
        let annotated = Annotated { port: "8000".to_owned(), path: "/metrics".to_owned() };
        let found = once_each(&all, "web", &pods, &annotated).map(|up| up.len()).map_err(|wrong| wrong.join(", "));
        assert_eq!(found.as_ref().map_err(String::as_str), expected.as_ref().map_err(|it| *it));
    }
}
