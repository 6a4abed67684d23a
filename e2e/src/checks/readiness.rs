//! A pod gets no traffic before it wants any, and gets it then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::ResourceExt;
use kube::api::{ListParams, LogParams};
use kube::runtime::watcher;
use tokio::time::timeout;

use super::check::end_pod;
use super::check::{Evidence, Outcome};
use super::extra_pod::ExtraPod;
use super::failure::expected;
use super::subject::{Subject, called};
use crate::record::Failure;

/// What is in the line of its log by which the service says that it wants traffic.
const READY: &str = "\"message\":\"ready\"";

/// Time that the pod has for an answer.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) async fn run(subject: Subject) -> Outcome {
    let pod = ExtraPod::make(&subject, "readiness", |_| ()).await?;
    let result = watched(&subject, &pod.name).await;
    end_pod(pod, &subject, result).await
}

async fn watched(subject: &Subject, name: &str) -> Outcome {
    let service = subject.service().await?.name_any();
    let config = watcher::Config::default().labels(&slices_of(&service));
    let is_in = |all: &[Arc<EndpointSlice>]| all.iter().any(|slice| ready_in(slice).contains(name)).then_some(());
    let waited = subject.watch(config, is_in).await;
    // Asked the moment that it is in the endpoints: it must have wanted traffic before. A connection to an address that is not
    // there yet would be tried for longer than the pod needs.
    let (status, body) = match timeout(PATIENCE, subject.ask_pod(name, "GET", "/health")).await {
        Ok(answer) => answer?,
        Err(_) => (0, String::new()),
    };
    if let Err(why) = waited {
        return Err(late(subject, name, &why, status).await?);
    }
    if is_refusal(status, &body) {
        return Err(early(subject, name, &format!("an endpoint while it is {status}: {}", body.trim())).await?);
    }
    compared(subject, name).await
}

/// Whoever looks now and then may miss the moment: what service and cluster noted of it must agree as well.
async fn compared(subject: &Subject, name: &str) -> Outcome {
    let mut evidence = Evidence::default();
    let api = subject.api::<Pod>();
    let parameters = LogParams { timestamps: true, ..LogParams::default() };
    let (pod, log) = futures_util::future::try_join(api.get(name), api.logs(name, &parameters)).await?;
    let own = log.lines().find(|line| line.contains(READY)).and_then(|line| line.split(' ').next()).map(str::to_owned);
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let condition = conditions.into_iter().find(|condition| condition.type_ == "Ready" && condition.status == "True");
    let known = condition.and_then(|condition| condition.last_transition_time).map(|time| time.0.to_string());
    let Some(known) = known else {
        return Err(expected("a pod that is in the endpoints is Ready")
            .saw("its condition says otherwise")
            .at(called(&pod))
            .with(&subject.explain_pod(&pod).await)
            .because(
                "the Service has publishNotReadyAddresses, or the pod stopped being Ready at once",
                "leave publishNotReadyAddresses out of the Service; read what the probe's events say",
            ));
    };
    let Some(own) = own else {
        // Whether it must say so is another check's question.
        evidence.add(format!("Ready since {known}, no endpoint before; its log does not say when it wanted traffic"));
        return Ok(evidence);
    };
    // The cluster notes whole seconds: `2026-01-31T10:20:30`
    let second = |time: &str| time.get(..19).unwrap_or_default().to_owned();
    if second(&known) < second(&own) {
        return Err(early(subject, name, &format!("Ready since {known}, and 500 until {own}")).await?);
    }
    evidence.add(format!("it wanted traffic from {own} on, and was Ready from {known} on"));
    evidence.add("no endpoint before that".to_owned());
    Ok(evidence)
}

async fn early(subject: &Subject, name: &str, seen: &str) -> Result<Failure, Failure> {
    let pod = subject.api::<Pod>().get(name).await?;
    Ok(expected("no endpoint before /health is 200")
        .saw(seen)
        .at(called(&pod))
        .with(&subject.explain_pod(&pod).await)
        .because(
            "there is no readiness probe, or it asks something that says yes too early",
            "let readinessProbe ask /health of port http-metrics",
        ))
}

/// Whether it is the service that says no, and not the API server that does not reach it.
fn is_refusal(status: u16, body: &str) -> bool {
    status >= 500 && !body.contains("error trying to reach service")
}

async fn late(subject: &Subject, name: &str, why: &str, status: u16) -> Result<Failure, Failure> {
    let pod = subject.api::<Pod>().get(name).await?;
    Ok(expected("an endpoint once /health is 200")
        .saw(format!("none: {why}; /health says {status}"))
        .at(called(&pod))
        .with(&subject.explain_pod(&pod).await)
        .because(
            "the readiness probe asks another port or path, or the Service's selector fits other pods",
            "let readinessProbe ask /health of port http-metrics, and let the Service select app and ref",
        ))
}

/// The pods that a Service sends requests to.
pub(super) async fn ready_pods(subject: &Subject, service: &str) -> Result<BTreeSet<String>, Failure> {
    let slices = subject.api::<EndpointSlice>().list(&ListParams::default().labels(&slices_of(service))).await?;
    Ok(slices.iter().flat_map(ready_in).map(str::to_owned).collect())
}

/// The selector of a Service's `EndpointSlice`s: there is one for each address family and each hundred pods.
fn slices_of(service: &str) -> String {
    format!("kubernetes.io/service-name={service}")
}

/// The pods of a slice that get requests. An endpoint without the condition counts as ready, as for kube-proxy.
fn ready_in(slice: &EndpointSlice) -> BTreeSet<&str> {
    let is_ready =
        |endpoint: &&Endpoint| endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false);
    let targets = slice.endpoints.iter().filter(is_ready).filter_map(|it| it.target_ref.as_ref());
    targets.filter(|target| target.kind.as_deref() == Some("Pod")).filter_map(|pod| pod.name.as_deref()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_is_ready() {
        let endpoint = |kind: &str, name: &str, conditions: serde_json::Value| {
            let target = json!({"kind": kind, "name": name});
            json!({"addresses": ["10.0.0.1"], "targetRef": target, "conditions": conditions})
        };
        let slice = json!({"addressType": "IPv4", "endpoints": [
            endpoint("Pod", "web-1", json!({"ready": true, "serving": true, "terminating": false})),
            endpoint("Pod", "starting", json!({"ready": false, "serving": false, "terminating": false})),
            endpoint("Pod", "draining", json!({"ready": false, "serving": true, "terminating": true})),
            endpoint("Node", "not-a-pod", json!({"ready": true})),
            {"addresses": ["10.0.0.3"]},
            endpoint("Pod", "web-2", json!({})),
        ]});
        let slice = serde_json::from_value(slice).unwrap();
        assert_eq!(ready_in(&slice).into_iter().collect::<Vec<_>>(), ["web-1", "web-2"]);
    }
}
