//! The targets of Prometheus that are pods of the service.

use std::collections::BTreeSet;
use std::fmt::Write;

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt;
use serde_json::Value;

/// The method and route of the requests that are counted, which no other client uses.
pub(super) const METHOD: &str = "HEAD";
pub(super) const ROUTE: &str = "/version";

/// Used instead of the Service's name for targets that Prometheus has not discovered through a Service.
const NO_SERVICE: &str = "no Service";

/// A pod as a target of Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) pod: String,
    /// Its labels `instance` and `job`, which exist in every Prometheus configuration.
    pub(super) instance: String,
    pub(super) job: String,
    /// The Service through which Prometheus has discovered it.
    pub(super) service: String,
    pub(super) is_up: bool,
    /// The address that Prometheus scrapes.
    pub(super) url: String,
    /// Why Prometheus could not scrape it last time; empty if it could.
    pub(super) error: String,
}

/// The target that the Service's annotations describe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Annotated {
    pub(super) port: String,
    pub(super) path: String,
}

impl Annotated {
    /// Reads a Service's annotations. The error is the value of `prometheus.io/scrape`.
    pub(super) fn from_service(service: &Service) -> Result<Self, String> {
        let value = |name: &str| service.annotations().get(&format!("prometheus.io/{name}")).cloned();
        match value("scrape").as_deref() {
            Some("true") => {}
            other => return Err(other.unwrap_or("none").to_owned()),
        }
        let path = value("path").unwrap_or_else(|| "/metrics".to_owned());
        Ok(Self { port: value("port").unwrap_or_default(), path })
    }

    /// Whether the port is one that the containers of these pods declare.
    pub(super) fn is_port_of(&self, pods: &[Pod]) -> bool {
        let containers = pods.iter().filter_map(|pod| pod.spec.as_ref()).flat_map(|spec| &spec.containers);
        let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
        ports.any(|port| port.container_port.to_string() == self.port)
    }

    /// Whether a target is what the annotations ask for. Without a port, Prometheus scrapes every port.
    fn matches(&self, url: &str) -> bool {
        let Self { port, path } = self;
        if port.is_empty() { url.ends_with(&**path) } else { url.ends_with(&format!(":{port}{path}")) }
    }
}

/// The targets of these pods, if each is up and exists exactly once in each job that discovers pods through this Service. The sum over
/// a pod that is in a job twice would count every request twice.
pub(super) fn once_each(
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

/// Why not every pod is up once in each job, and the remedy.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Prometheus' targets show it.
    Shown(String, &'static str),
    /// Something keeps Prometheus from connecting to the pods.
    Blocked(String, &'static str),
}

/// Why not every pod is up once in each job, if Prometheus' targets show it. `is_declared` is whether the pods declare the annotated port.
pub(super) fn why_wrong(
    targets: &[Target],
    service: &str,
    pods: &BTreeSet<String>,
    annotated: &Annotated,
    is_declared: bool,
) -> Option<Wrong> {
    let own: Vec<&Target> = targets.iter().filter(|target| pods.contains(&target.pod)).collect();
    let is_own = |target: &&&Target| target.service == service;
    let jobs: BTreeSet<&str> = own.iter().filter(is_own).map(|target| &*target.job).collect();
    let selected = own.iter().filter(|target| jobs.contains(&*target.job) && target.service != NO_SERVICE);
    let services: BTreeSet<&str> = selected.map(|target| &*target.service).collect();
    if services.len() > 1 {
        let services = services.into_iter().collect::<Vec<_>>().join(" and ");
        let cause = format!("the Services {services} have the annotations and select the same pods");
        return Some(Wrong::Shown(cause, "keep the annotations of manifests/service.yaml in one Service only"));
    }
    let Annotated { port, path } = annotated;
    if own.iter().filter(is_own).any(|target| !annotated.matches(&target.url)) {
        let cause = format!("Prometheus does not yet scrape port {port} and path {path}, which the annotations have");
        let fix = "look at Prometheus' log and at its permissions to watch Services and EndpointSlices";
        return Some(Wrong::Shown(cause, fix));
    }
    let down = own.iter().filter(is_own).find(|target| !target.error.is_empty())?;
    if is_declared && down.has_no_answer() {
        let cause = format!("Prometheus gets no answer from port {port} of the pods: {}", down.error);
        let fix =
            "allow connections from Prometheus to this port: look for NetworkPolicies and for firewalls between nodes";
        return Some(Wrong::Blocked(cause, fix));
    }
    let cause =
        format!("Prometheus cannot scrape port {port} and path {path}, which the annotations have: {}", down.error);
    Some(Wrong::Shown(
        cause,
        "make the annotations prometheus.io/port and prometheus.io/path those of the service: 8000 and /metrics",
    ))
}

impl Target {
    /// Parses a target of Prometheus' API. Returns `None` if it is not a pod.
    pub(super) fn parse(target: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (found, labels) = (&target["discoveredLabels"], &target["labels"]);
        Some(Self {
            pod: text(&found["__meta_kubernetes_pod_name"])?,
            instance: text(&labels["instance"])?,
            job: text(&labels["job"]).unwrap_or_default(),
            service: text(&found["__meta_kubernetes_service_name"]).unwrap_or_else(|| NO_SERVICE.to_owned()),
            is_up: target["health"] == "up",
            url: text(&target["scrapeUrl"]).unwrap_or_default(),
            error: text(&target["lastError"]).unwrap_or_default(),
        })
    }

    /// Whether Prometheus could not connect, or timed out. Its errors are those of Go's package net.
    fn has_no_answer(&self) -> bool {
        ["dial tcp", "i/o timeout", "context deadline exceeded"].iter().any(|words| self.error.contains(words))
    }

    /// The path of the Prometheus query for the number of requests to this pod.
    pub(super) fn query(&self) -> String {
        let query = format!(
            "sum(http_requests_total{{instance=\"{}\",job=\"{}\",method=\"{}\",route=\"{}\"}})",
            self.instance, self.job, METHOD, ROUTE
        );
        let mut path = "/api/v1/query?query=".to_owned();
        for byte in query.bytes() {
            // Writing to a `String` cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

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
        let error = if is_up { "" } else { "connection refused" }.to_owned();
        Target { pod, instance: "10.0.0.1:8000".to_owned(), job, service, is_up, url, error }
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

    #[rstest]
    #[case::two_services(
        &[("web-1", "a", "web", true), ("web-1", "a", "detour", true)], "8000",
        Some("the Services detour and web have the annotations and select the same pods")
    )]
    #[case::also_without_a_service(&[("web-1", "a", "web", true), ("web-1", "a", "no Service", true)], "8000", None)]
    #[case::another_job_without_a_service(&[("web-1", "a", "web", true), ("web-1", "pods", "no Service", true)], "8000", None)]
    #[case::not_yet(
        &[("web-1", "a", "web", true)], "9999",
        Some("Prometheus does not yet scrape port 9999 and path /metrics, which the annotations have")
    )]
    #[case::down(
        &[("web-1", "a", "web", false)], "8000",
        Some("Prometheus cannot scrape port 8000 and path /metrics, which the annotations have: connection refused")
    )]
    #[case::nothing(&[], "8000", None)]
    fn the_cause_is_read_from_the_targets(
        #[case] all: &[(&str, &str, &str, bool)],
        #[case] port: &str,
        #[case] expected: Option<&str>,
    ) {
        let all: Vec<_> = all.iter().map(|(pod, job, service, is_up)| target(pod, job, service, *is_up)).collect();
        let annotated = Annotated { port: port.to_owned(), path: "/metrics".to_owned() };
        let found = why_wrong(&all, "web", &["web-1".to_owned()].into(), &annotated, true);
        let shown = found.map(|wrong| match wrong {
            Wrong::Shown(cause, _) => cause,
            Wrong::Blocked(..) => panic!("{wrong:?}"),
        });
        assert_eq!(shown.as_deref(), expected);
    }

    #[rstest]
    #[case::refused("dial tcp 10.244.0.9:8000: connect: connection refused", true, true)]
    #[case::no_answer("context deadline exceeded", true, true)]
    #[case::another_port("dial tcp 10.244.0.9:8000: connect: connection refused", false, false)]
    #[case::no_metrics("server returned HTTP status 404 Not Found", true, false)]
    fn a_declared_port_without_an_answer_is_blocked(
        #[case] error: &str,
        #[case] is_declared: bool,
        #[case] expected: bool,
    ) {
        let all = [Target { error: error.to_owned(), ..target("web-1", "a", "web", false) }];
        let annotated = Annotated { port: "8000".to_owned(), path: "/metrics".to_owned() };
        let found = why_wrong(&all, "web", &["web-1".to_owned()].into(), &annotated, is_declared);
        assert_eq!(matches!(found, Some(Wrong::Blocked(..))), expected, "{found:?}");
    }
}
