//! A pod gets no traffic before it wants any, and gets it then.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Endpoints, Pod};
use kube::ResourceExt;
use kube::api::LogParams;
use tokio::time::{Instant, sleep, timeout};

use super::extra_pod::ExtraPod;
use super::failure::expected;
use super::subject::{Subject, called};
use super::{Evidence, Outcome};
use crate::cluster::explain;
use crate::record::Failure;

/// What is in the line of its log by which the service says that it wants traffic.
const READY: &str = "\"message\":\"ready\"";

/// Time that the pod has for an answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often pod and endpoints are looked at.
const BEAT: Duration = Duration::from_millis(200);

pub(super) async fn run(subject: Subject) -> Outcome {
    let pod = ExtraPod::make(&subject, "readiness", |_| ()).await?;
    let result = watched(&subject, &pod.name).await;
    pod.remove().await?;
    result
}

async fn watched(subject: &Subject, name: &str) -> Outcome {
    let service = subject.service().await?;
    let began = Instant::now();
    loop {
        // In this order: what is in the endpoints now must have wanted traffic before.
        let is_in = ready_pods(subject, &service.name_any()).await?.contains(name);
        // A connection to an address that is not there yet would be tried for longer than the pod needs.
        let (status, body) = match timeout(PATIENCE, subject.ask_pod(name, "GET", "/health")).await {
            Ok(answer) => answer?,
            Err(_) => (0, String::new()),
        };
        if is_in && is_refusal(status, &body) {
            return Err(early(&format!("an endpoint while it is {status}: {}", body.trim())).at(called(&service)));
        }
        if is_in {
            break;
        }
        if began.elapsed() > subject.patience {
            return Err(late(subject, name, status).await?);
        }
        sleep(BEAT).await;
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
            .at(called(&pod)));
    };
    let Some(own) = own else {
        // Whether it must say so is another check's question.
        evidence.add(format!("Ready since {known}, no endpoint before; its log does not say when it wanted traffic"));
        return Ok(evidence);
    };
    // The cluster notes whole seconds: `2026-01-31T10:20:30`
    let second = |time: &str| time.get(..19).unwrap_or_default().to_owned();
    if second(&known) < second(&own) {
        return Err(early(&format!("Ready since {known}, and 500 until {own}")).at(called(&pod)));
    }
    evidence.add(format!("it wanted traffic from {own} on, and was Ready from {known} on"));
    evidence.add("no endpoint before that".to_owned());
    Ok(evidence)
}

fn early(seen: &str) -> Failure {
    expected("no endpoint before /health is 200").saw(seen).because(
        "there is no readiness probe, or it asks something that says yes too early",
        "let readinessProbe ask /health of port http-metrics",
    )
}

/// Whether it is the service that says no, and not the API server that does not reach it.
fn is_refusal(status: u16, body: &str) -> bool {
    status >= 500 && !body.contains("error trying to reach service")
}

async fn late(subject: &Subject, name: &str, status: u16) -> Result<Failure, Failure> {
    let pod = subject.api::<Pod>().get(name).await?;
    Ok(expected("an endpoint once /health is 200")
        .saw(format!("none after {} s; /health says {status}", subject.patience.as_secs()))
        .at(called(&pod))
        .with(&explain::explain_pod(&subject.client, &pod).await)
        .because(
            "the readiness probe asks another port or path, or the Service's selector fits other pods",
            "let readinessProbe ask /health of port http-metrics, and let the Service select app and ref",
        ))
}

/// The pods that a Service sends requests to. `Endpoints` and not `EndpointSlice`, which clusters before 1.21 serve in another
/// version.
pub(super) async fn ready_pods(subject: &Subject, service: &str) -> Result<BTreeSet<String>, Failure> {
    let endpoints = subject.api::<Endpoints>().get_opt(service).await?;
    let subsets = endpoints.into_iter().filter_map(|it| it.subsets).flatten();
    let ready = subsets.flat_map(|subset| subset.addresses.unwrap_or_default());
    Ok(ready.filter_map(|address| address.target_ref?.name).collect())
}
