//! Checks that a pod gets no traffic until it is ready, and gets traffic afterwards.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{ListParams, LogParams};
use kube::runtime::watcher;
use tokio::time::timeout;

use super::check::{Evidence, Outcome, end_pod};
use super::environment::{Environment, is_of_proxy, object_ref};
use super::extra_pod::ExtraPod;
use super::failure::expected;
use crate::environment::cluster::conditions::is_endpoint_ready;
use crate::record::Failure;

/// A part of the log line in which the service reports that it is ready.
const READY: &str = "\"message\":\"ready\"";

/// Time that the pod has to respond.
const TIMEOUT: Duration = Duration::from_millis(500);

pub(super) async fn run(environment: Environment) -> Outcome {
    let pod = ExtraPod::create(&environment, "readiness", |_| ()).await?;
    let result = watched(&environment, &pod.name).await;
    end_pod(pod, &environment, result).await
}

async fn watched(environment: &Environment, name: &str) -> Outcome {
    let service = environment.service().await?.name_any();
    let config = watcher::Config::default().labels(&slices_of(&service));
    let is_in = |all: &[Arc<EndpointSlice>]| all.iter().any(|slice| ready_in(slice).contains(name)).then_some(());
    let waited = environment.watch(config, is_in).await;
    // Request /health as soon as the pod is an endpoint: it must be ready by then. The timeout is short because connections to an
    // address that does not exist yet would be retried until the pod is ready.
    let (status, body) = match timeout(TIMEOUT, environment.ask_pod(name, "GET", "/health")).await {
        Ok(answer) => answer?,
        Err(_) => (0, String::new()),
    };
    if let Err(reason) = waited {
        return Err(late(environment, name, &reason, &describe(status, &body)).await?);
    }
    if is_refusal(status, &body) {
        return Err(
            early(environment, name, &format!("an endpoint while /health returns {status}: {}", body.trim())).await?
        );
    }
    compare_times(environment, name).await
}

/// A single request may miss the moment, so the times that the service and the cluster have recorded must also agree.
async fn compare_times(environment: &Environment, name: &str) -> Outcome {
    let mut evidence = Evidence::default();
    let api = environment.api::<Pod>();
    let parameters = LogParams { timestamps: true, ..LogParams::default() };
    let (pod, log) = futures_util::future::try_join(api.get(name), api.logs(name, &parameters)).await?;
    let own = log.lines().find(|line| line.contains(READY)).and_then(|line| line.split(' ').next()).map(str::to_owned);
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let condition = conditions.into_iter().find(|condition| condition.type_ == "Ready" && condition.status == "True");
    let known = condition.and_then(|condition| condition.last_transition_time).map(|time| time.0);
    let Some(known) = known else {
        let seen = "an endpoint while its condition Ready is not true";
        if publishes_unready(&environment.service().await?) {
            return Err(early(environment, name, seen).await?);
        }
        return Err(expected("a pod that is an endpoint is Ready")
            .actual(seen)
            .at(object_ref(&pod))
            .with(&environment.explain_pod(&pod).await)
            .hint("the pod was Ready only for a moment", "read the events of the probe"));
    };
    let Some(own) = own else {
        // The check `version` verifies the log.
        evidence.add(format!(
            "Ready since {known}, no endpoint before; the log does not report when the service was ready"
        ));
        return Ok(evidence);
    };
    // The cluster records whole seconds. The log has the time zone of the node.
    if own.parse::<Timestamp>().is_ok_and(|own| known.as_second() < own.as_second()) {
        return Err(
            early(environment, name, &format!("Ready since {known}, but /health returned 500 until {own}")).await?
        );
    }
    // On a busy node, a pod without a probe may become Ready so late that the service is ready, too.
    if waits_for_nothing(&pod) {
        return Err(early(environment, name, "Ready as soon as its containers run").await?);
    }
    evidence.add(format!("the service was ready at {own}, and the pod Ready at {known}"));
    evidence.add("no endpoint before that".to_owned());
    Ok(evidence)
}

async fn early(environment: &Environment, name: &str, seen: &str) -> Result<Failure, Failure> {
    let (pod, service) = (environment.api::<Pod>().get(name).await?, environment.service().await?);
    let (cause, fix) = why_early(&pod, &service);
    Ok(expected("no endpoint until /health returns 200")
        .actual(seen)
        .at(object_ref(&pod))
        .with(&environment.explain_pod(&pod).await)
        .caused_by(cause, fix))
}

/// Why a pod gets requests before it is ready.
fn why_early(pod: &Pod, service: &Service) -> (String, &'static str) {
    let fix = "make the readinessProbe request /health on port http-metrics";
    if publishes_unready(service) {
        let cause =
            format!("{} has publishNotReadyAddresses: pods get requests before they are ready", object_ref(service));
        return (cause, "remove publishNotReadyAddresses from the Service");
    }
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let Some(probe) = containers.into_iter().find_map(|container| container.readiness_probe.as_ref()) else {
        return ("the pods have no readiness probe".to_owned(), fix);
    };
    let cause = match probe.http_get.as_ref().and_then(|request| request.path.as_deref()) {
        Some("/health") => "the readiness probe requests /health from another program than the service".to_owned(),
        Some(path) => format!("the readiness probe requests {path}, which succeeds before /health does"),
        None => "the readiness probe does not request /health".to_owned(),
    };
    (cause, fix)
}

/// Whether a pod is Ready as soon as its containers run.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-readiness-gate>
fn waits_for_nothing(pod: &Pod) -> bool {
    let spec = pod.spec.clone().unwrap_or_default();
    let has_gates = spec.readiness_gates.is_some_and(|gates| !gates.is_empty());
    !has_gates && spec.containers.iter().all(|container| container.readiness_probe.is_none())
}

fn publishes_unready(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses) == Some(true)
}

/// Whether the service itself returned the error, instead of the API server that cannot reach it.
fn is_refusal(status: u16, body: &str) -> bool {
    status >= 500 && !is_of_proxy(status, body)
}

/// The response to a request for `/health`. A status of the API server's proxy is not the pod's.
fn describe(status: u16, body: &str) -> String {
    match status {
        0 => "/health does not respond".to_owned(),
        _ if is_of_proxy(status, body) => format!("/health does not respond: {}", body.trim()),
        _ => format!("/health returns {status}"),
    }
}

async fn late(environment: &Environment, name: &str, reason: &str, answer: &str) -> Result<Failure, Failure> {
    let pod = environment.api::<Pod>().get(name).await?;
    Ok(expected("an endpoint after /health returns 200")
        .actual(format!("none: {reason}; {answer}"))
        .at(object_ref(&pod))
        .with(&environment.explain_pod(&pod).await)
        .hint(
            "the readiness probe uses another port or path, or the Service's selector matches other pods",
            "make the readinessProbe request /health on port http-metrics, and the Service select `app` and `ref`",
        ))
}

/// The pods that a Service sends requests to.
pub(super) async fn ready_pods(environment: &Environment, service: &str) -> Result<BTreeSet<String>, Failure> {
    let slices = environment.api::<EndpointSlice>().list(&ListParams::default().labels(&slices_of(service))).await?;
    Ok(slices.iter().flat_map(ready_in).map(str::to_owned).collect())
}

/// The selector of a Service's `EndpointSlice`s. There is one for each address family and each hundred pods.
fn slices_of(service: &str) -> String {
    format!("kubernetes.io/service-name={service}")
}

/// The pods in a slice that get requests.
fn ready_in(slice: &EndpointSlice) -> BTreeSet<&str> {
    // Without a port, for example because the pods have none of the targetPort's name, an endpoint gets no requests.
    let has_port = slice.ports.as_ref().is_some_and(|ports| !ports.is_empty());
    let targets = slice
        .endpoints
        .iter()
        .filter(|endpoint| has_port && is_endpoint_ready(endpoint))
        .filter_map(|it| it.target_ref.as_ref());
    targets.filter(|target| target.kind.as_deref() == Some("Pod")).filter_map(|pod| pod.name.as_deref()).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::not_ready_addresses(json!({"httpGet": {"path": "/health", "port": 1}}), true, "Service gitlab/demo has publishNotReadyAddresses: pods get requests before they are ready")]
    #[case::no_probe(json!(null), false, "the pods have no readiness probe")]
    #[case::another_path(json!({"httpGet": {"path": "/livez", "port": 1}}), false, "the readiness probe requests /livez, which succeeds before /health does")]
    #[case::no_request(json!({"tcpSocket": {"port": 1}}), false, "the readiness probe does not request /health")]
    fn the_cause_of_early_requests(#[case] probe: Value, #[case] publishes: bool, #[case] expected: &str) {
        let container = json!({"name": "app", "readinessProbe": probe});
        let pod = serde_json::from_value(json!({"spec": {"containers": [container]}})).unwrap();
        let metadata = json!({"name": "demo", "namespace": "gitlab"});
        let service = json!({"metadata": metadata, "spec": {"publishNotReadyAddresses": publishes}});
        assert_eq!(why_early(&pod, &serde_json::from_value(service).unwrap()).0, expected);
    }

    #[rstest]
    #[case::probe(json!({"containers": [{"name": "app", "readinessProbe": {"tcpSocket": {"port": 1}}}]}), false)]
    #[case::gate(json!({"containers": [{"name": "app"}], "readinessGates": [{"conditionType": "example.com/in"}]}), false)]
    #[case::nothing(json!({"containers": [{"name": "app"}]}), true)]
    fn a_pod_without_a_probe_and_a_gate_waits_for_nothing(#[case] spec: Value, #[case] expected: bool) {
        assert_eq!(waits_for_nothing(&serde_json::from_value(json!({"spec": spec})).unwrap()), expected);
    }

    #[test]
    fn ready_pods_of_a_slice() {
        let endpoint = |kind: &str, name: &str, conditions: serde_json::Value| {
            let target = json!({"kind": kind, "name": name});
            json!({"addresses": ["10.0.0.1"], "targetRef": target, "conditions": conditions})
        };
        let slice = json!({"addressType": "IPv4", "ports": [{"port": 8000}], "endpoints": [
            endpoint("Pod", "web-1", json!({"ready": true, "serving": true, "terminating": false})),
            endpoint("Pod", "starting", json!({"ready": false, "serving": false, "terminating": false})),
            endpoint("Pod", "draining", json!({"ready": false, "serving": true, "terminating": true})),
            endpoint("Node", "not-a-pod", json!({"ready": true})),
            {"addresses": ["10.0.0.3"]},
            endpoint("Pod", "web-2", json!({})),
        ]});
        let mut slice: EndpointSlice = serde_json::from_value(slice).unwrap();
        assert_eq!(ready_in(&slice).into_iter().collect::<Vec<_>>(), ["web-1", "web-2"]);
        slice.ports = None;
        assert!(ready_in(&slice).is_empty());
    }
}
