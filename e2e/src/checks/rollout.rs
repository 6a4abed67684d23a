//! Pods are replaced, by an update and by accident, and no request is lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::runtime::watcher;
use serde_json::json;
use tokio::time::Instant;

use super::check::{Evidence, Outcome};
use super::failure::expected;
use super::http::Http;
use super::load::Load;
use super::subject::{Subject, called};
use crate::environment::cluster::ready;
use crate::record::Failure;

pub(super) async fn run(subject: Subject) -> Outcome {
    // Only where it is given: the list of checks says so.
    let Some(ingress) = subject.ingress else { return Ok(Evidence::default()) };
    let http = Http::new(ingress).map_err(|error| expected("a client").saw(error))?;
    let deployment = subject.deployment().await?;
    let load = Load::begin(&http, &subject.host);
    let result = replaced(&subject, &deployment).await;
    let tally = load.end().await;
    let mut evidence = result?;
    if tally.failed > 0 || tally.requests == 0 {
        return Err(expected("no request fails while pods are replaced")
            .saw(format!("{} of {} failed", tally.failed, tally.requests))
            .at(called(&deployment))
            .with(&tally.failures.join("\n"))
            .with(&subject.around(&deployment).await)
            .because(
                "old pods go before new ones are ready (maxUnavailable), close before they are out of the endpoints, or the new \
                 ones say that they are ready too early",
                "maxUnavailable: 0, a readinessProbe that asks /health, and a service that drains after SIGTERM",
            ));
    }
    evidence.add(format!("{} requests meanwhile, none failed", tally.requests));
    Ok(evidence)
}

async fn replaced(subject: &Subject, deployment: &Deployment) -> Outcome {
    let mut evidence = Evidence::default();
    let before = names(&subject.pods().await?);
    let began = Instant::now();
    // As `kubectl rollout restart` does.
    let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    let annotation =
        json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": now}}}}});
    let api = subject.api::<Deployment>();
    api.patch(&deployment.name_any(), &PatchParams::default(), &Patch::Merge(annotation)).await?;
    rolled_out(subject, deployment).await?;
    evidence.add(format!("a rolling update of {} pods: {:.0} s", before.len(), began.elapsed().as_secs_f64()));
    // The last of the old ones may still answer what it has been asked, which makes this no easier.
    let pods = subject.pods().await?;
    let victim = pods.iter().map(ResourceExt::name_any).find(|name| !before.contains(name));
    let Some(victim) = victim else {
        gone(subject, deployment, &before).await?;
        return Ok(evidence);
    };
    let began = Instant::now();
    subject.api::<Pod>().delete(&victim, &DeleteParams::default()).await?;
    let mut old = before;
    old.insert(victim.clone());
    gone(subject, deployment, &old).await?;
    rolled_out(subject, deployment).await?;
    evidence.add(format!("{victim} deleted and replaced: {:.0} s", began.elapsed().as_secs_f64()));
    Ok(evidence)
}

async fn rolled_out(subject: &Subject, deployment: &Deployment) -> Result<(), Failure> {
    let name = deployment.name_any();
    let waited = ready::deployment(&subject.client, &subject.namespace, &name, subject.patience).await;
    waited.map_err(|error| {
        let text = error.to_string();
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        expected("new pods become ready").saw(first).at(called(deployment)).with(rest).because(
            "a new pod does not start: the image, the probe, or the room on the nodes",
            "read its events and last lines",
        )
    })
}

/// Waits until none of these pods is there any more.
async fn gone(subject: &Subject, deployment: &Deployment, old: &BTreeSet<String>) -> Result<(), Failure> {
    let config = watcher::Config::default().labels(&format!("ref={}", subject.reference));
    let is_gone = |pods: &[Arc<Pod>]| !pods.iter().any(|pod| old.contains(&pod.name_any()));
    let Err(why) = subject.watch(config, |pods: &[Arc<Pod>]| is_gone(pods).then_some(())).await else { return Ok(()) };
    Err(expected("the old pods end")
        .saw(format!("some are there: {why}"))
        .at(called(deployment))
        .with(&subject.around(deployment).await)
        .because("they do not end after SIGTERM", "look at terminationGracePeriodSeconds and the service's log"))
}

fn names(pods: &[Pod]) -> BTreeSet<String> {
    pods.iter().map(ResourceExt::name_any).collect()
}
