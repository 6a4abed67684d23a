//! A pod that hangs is started again, and whoever asks does not notice.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher;
use tokio::time::Instant;

use super::extra_pod::ExtraPod;
use super::failure::expected;
use super::http::Http;
use super::load::Load;
use super::subject::{Subject, called};
use super::{Evidence, Outcome};
use crate::cluster::explain;
use crate::cluster::ready::{is_pod_ready, until};
use crate::record::Failure;

pub(super) async fn run(subject: Subject) -> Outcome {
    // What is deployed cannot be broken from outside; this one can. It is asked more often than those: the path and the number
    // of answers that may be missing are what counts, and a check should not wait for the rest.
    let pod = ExtraPod::make(&subject, "liveness", |spec| {
        if let Some(container) = spec.containers.first_mut() {
            container.args.get_or_insert_default().push("--enable-faults".to_owned());
            for probe in [&mut container.liveness_probe, &mut container.readiness_probe].into_iter().flatten() {
                (probe.period_seconds, probe.timeout_seconds) = (Some(1), Some(1));
            }
        }
    })
    .await?;
    let result = hung(&subject, &pod.name).await;
    pod.remove().await?;
    result
}

async fn hung(subject: &Subject, name: &str) -> Outcome {
    let mut evidence = Evidence::default();
    wait(subject, name, "Ready", is_pod_ready).await?;
    let load = match subject.ingress {
        Some(ingress) => {
            Some(Load::begin(&Http::new(ingress).map_err(|error| expected("a client").saw(error))?, &subject.host))
        }
        None => None,
    };
    let (status, body) = subject.ask_pod(name, "POST", "/fault/hang").await?;
    if status != 200 {
        return Err(expected("/fault/hang answers 200")
            .saw(format!("{status}: {}", body.trim()))
            .because("the image is of a service without /fault/…", "deploy this repository's service"));
    }
    let began = Instant::now();
    wait(subject, name, "started again by the kubelet", |pod| restarts(pod) > 0).await?;
    evidence.add(format!("started again {:.0} s after /livez stopped answering", began.elapsed().as_secs_f64()));
    wait(subject, name, "Ready again", |pod| restarts(pod) > 0 && is_pod_ready(pod)).await?;
    let Some(load) = load else { return Ok(evidence) };
    let tally = load.end().await;
    if tally.failed > 0 {
        return Err(expected("no request fails while it is started again")
            .saw(format!("{} of {} failed", tally.failed, tally.requests))
            .with(&tally.failures.join("\n"))
            .because(
                "a pod that is stopped is still sent requests, or ends with some unanswered",
                "let the service wait after SIGTERM before it closes (--shutdown-delay), and terminationGracePeriodSeconds be longer",
            ));
    }
    let own = tally.by_pod.get(name).copied().unwrap_or_default();
    evidence.add(format!("{} requests meanwhile, {own} of them to it, none failed", tally.requests));
    Ok(evidence)
}

async fn wait(subject: &Subject, name: &str, what: &str, is_so: impl Fn(&Pod) -> bool) -> Result<(), Failure> {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let is_so = |pods: &[Arc<Pod>]| pods.iter().any(|pod| is_so(pod));
    let waited = tokio::time::timeout(subject.patience, until(subject.api::<Pod>(), config, is_so)).await;
    if matches!(waited, Ok(Ok(()))) {
        return Ok(());
    }
    let pod = subject.api::<Pod>().get(name).await?;
    Err(expected(format!("a pod that is {what}"))
        .saw(format!("not within {} s, {} restarts", subject.patience.as_secs(), restarts(&pod)))
        .at(called(&pod))
        .with(&explain::explain_pod(&subject.client, &pod).await)
        .because(
            "there is no liveness probe, it asks a path that answers whatever the service's state is, or is too patient",
            "let livenessProbe ask /livez of port http-metrics",
        ))
}

fn restarts(pod: &Pod) -> i32 {
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    containers.map(|container| container.restart_count).sum()
}
