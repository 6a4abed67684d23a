//! A pod gets no traffic before it wants any, and gets it then.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Endpoints;
use kube::ResourceExt;
use tokio::time::{Instant, sleep, timeout};

use super::extra_pod::ExtraPod;
use super::failure::expected;
use super::subject::{Subject, called};
use super::{Evidence, Outcome};
use crate::cluster::explain;
use crate::record::Failure;

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
    let mut evidence = Evidence::default();
    let service = subject.service().await?;
    let began = Instant::now();
    let (mut refusals, mut wanted_since) = (0, None);
    loop {
        // In this order: what is in the endpoints now must have wanted traffic before.
        let is_in = ready_pods(subject, &service.name_any()).await?.contains(name);
        // A connection to an address that is not there yet would be tried for so long that the pod is ready when it succeeds.
        let (status, body) = match timeout(PATIENCE, subject.ask_pod(name, "GET", "/health")).await {
            Ok(answer) => answer?,
            Err(_) => (0, String::new()),
        };
        match (status, is_in) {
            (200, true) => break,
            (200, false) => _ = wanted_since.get_or_insert_with(Instant::now),
            (_, false) => refusals += usize::from(is_of_service(status, &body)),
            (_, true) => {
                return Err(expected("no endpoint before /health is 200")
                    .saw(format!("an endpoint while it is {status}: {}", body.trim()))
                    .at(called(&service))
                    .because(
                        "there is no readiness probe, or it asks something that says yes too early",
                        "let readinessProbe ask /health of port http-metrics",
                    ));
            }
        }
        if began.elapsed() > subject.patience {
            return Err(late(subject, name, status).await?);
        }
        sleep(BEAT).await;
    }
    if refusals == 0 {
        return Err(expected("a moment in which /health does not say 200")
            .saw("200 from the first answer on")
            .because(
                "the service is ready before it could be asked: nothing is proved by that",
                "start it with --ready-after of some seconds",
            ));
    }
    let after = wanted_since.map_or(Duration::ZERO, |since| since.elapsed());
    evidence.add(format!("not ready {refusals} times while it started, and no endpoint"));
    evidence.add(format!("an endpoint {:.1} s after the first 200", after.as_secs_f64()));
    Ok(evidence)
}

/// Whether it is the service that says no, and not the API server that does not reach it yet.
fn is_of_service(status: u16, body: &str) -> bool {
    status >= 500 && !body.contains("error trying to reach service")
}

async fn late(subject: &Subject, name: &str, status: u16) -> Result<Failure, Failure> {
    let pod = subject.api::<k8s_openapi::api::core::v1::Pod>().get(name).await?;
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
