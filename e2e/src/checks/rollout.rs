//! Checks that no request fails while pods are replaced, during an update and after a pod is deleted.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::runtime::watcher;
use serde_json::json;
use tokio::time::Instant;

use super::check::{Evidence, Outcome};
use super::environment::{Environment, object_ref};
use super::failure::expected;
use super::http::Http;
use super::load::Load;
use super::route::Route;
use crate::environment::cluster::ready;
use crate::record::Failure;

/// The expected result of an update.
const NEW_PODS: &str = "new pods become ready";

pub(super) async fn run(environment: Environment) -> Outcome {
    // Always given, because `CHECKS` lists it as a need.
    let Some(ingress) = environment.ingress else { return Ok(Evidence::default()) };
    let http = Http::new(ingress).map_err(|error| expected("an HTTP client").actual(error))?;
    let deployment = environment.deployment().await?;
    // A Deployment that is not available is not restarted: that would replace the revision that worked last.
    rolled_out(&environment, &deployment, "all replicas are available before the update").await?;
    environment.some_pods().await?;
    responds(&environment, &http).await?;
    let load = Load::begin(&http, &environment.host);
    let result = replace(&environment, &deployment).await;
    let tally = load.end().await;
    let mut evidence = result?;
    if tally.failed > 0 || tally.requests == 0 {
        let failure = expected("no request fails while pods are replaced")
            .actual(format!("{} of {} failed", tally.failed, tally.requests))
            .at(object_ref(&deployment))
            .with(&tally.failures.join("\n"))
            .with(&environment.diagnostics(&deployment).await)
            .after_success();
        return Err(match why_failed(&deployment) {
            Some((cause, fix)) => failure.caused_by(cause, fix),
            None => failure.hint(
                "one of: old pods close connections before they are removed from the endpoints; new pods report Ready too early",
                "make the readinessProbe request /health, and the service drain connections after SIGTERM (--shutdown-delay)",
            ),
        });
    }
    evidence.add(format!("{} requests meanwhile, none failed", tally.requests));
    Ok(evidence)
}

/// Why requests fail during an update, if the Deployment shows it. By default, up to 25 % of the pods may be unavailable during an update.
/// Kubernetes rounds this down: of two pods, none.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#strategy>
fn why_failed(deployment: &Deployment) -> Option<(String, &'static str)> {
    let spec = deployment.spec.as_ref()?;
    let strategy = spec.strategy.clone().unwrap_or_default();
    let fix = "set strategy RollingUpdate with maxUnavailable: 0";
    if strategy.type_.as_deref() == Some("Recreate") {
        return Some(("its strategy is Recreate: all old pods end before new ones start".to_owned(), fix));
    }
    let all = spec.replicas.unwrap_or(1);
    let (number, text) = match strategy.rolling_update?.max_unavailable? {
        IntOrString::Int(number) => (number, number.to_string()),
        IntOrString::String(share) => {
            let percent: i32 = share.trim_end_matches('%').parse().ok()?;
            (percent.saturating_mul(all) / 100, share)
        }
    };
    // If one pod remains, requests fail for another reason.
    (number >= all).then(|| (format!("maxUnavailable is {text}: all old pods may end before new ones are ready"), fix))
}

async fn replace(environment: &Environment, deployment: &Deployment) -> Outcome {
    let mut evidence = Evidence::default();
    let before = names(&environment.pods().await?);
    let started = Instant::now();
    // Like `kubectl rollout restart`.
    let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    let annotation =
        json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": now}}}}});
    let api = environment.api::<Deployment>();
    api.patch(&deployment.name_any(), &PatchParams::default(), &Patch::Merge(annotation)).await?;
    rolled_out(environment, deployment, NEW_PODS).await?;
    evidence.add(format!("a rolling update of {} pods: {:.0} s", before.len(), started.elapsed().as_secs_f64()));
    // Delete a new pod without waiting for the old pods to terminate, which makes the test stricter.
    let pods = environment.pods().await?;
    let victim = pods.iter().map(ResourceExt::name_any).find(|name| !before.contains(name));
    let Some(victim) = victim else {
        wait_until_gone(environment, deployment, &before).await?;
        return Ok(evidence);
    };
    let started = Instant::now();
    environment.api::<Pod>().delete(&victim, &DeleteParams::default()).await?;
    let mut old = before;
    old.insert(victim.clone());
    wait_until_gone(environment, deployment, &old).await?;
    rolled_out(environment, deployment, NEW_PODS).await?;
    evidence.add(format!("{victim} deleted and replaced: {:.0} s", started.elapsed().as_secs_f64()));
    Ok(evidence)
}

/// Waits until the host responds. Otherwise, requests that fail for another reason would be blamed on the update.
async fn responds(environment: &Environment, http: &Http) -> Result<(), Failure> {
    let Err(last) = http.wait_until_served(&environment.host, environment.timeout).await else { return Ok(()) };
    let failure = expected(format!("{} returns 200 before the update", environment.host)).actual(last);
    let failure = failure.hint("requests to the host do not reach the service", "see the check `ingress`");
    Err(Route::find(environment).await?.with_diagnostics(failure, environment).await)
}

async fn rolled_out(environment: &Environment, deployment: &Deployment, what: &str) -> Result<(), Failure> {
    let name = deployment.name_any();
    let waited = ready::deployment(&environment.client, &environment.namespace, &name, environment.timeout).await;
    waited.map_err(|error| {
        let text = error.to_string();
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        expected(what).actual(first).at(object_ref(deployment)).with(rest).hint(
            "a new pod does not start because of its image, its probe, or missing capacity on the nodes",
            "read its events and last log lines",
        )
    })
}

/// Waits until all of these pods are gone.
async fn wait_until_gone(
    environment: &Environment,
    deployment: &Deployment,
    old: &BTreeSet<String>,
) -> Result<(), Failure> {
    let config = watcher::Config::default().labels(&format!("ref={}", environment.reference));
    let is_gone = |pods: &[Arc<Pod>]| !pods.iter().any(|pod| old.contains(&pod.name_any()));
    let Err(reason) = environment.watch(config, |pods: &[Arc<Pod>]| is_gone(pods).then_some(())).await else {
        return Ok(());
    };
    Err(expected("the old pods terminate")
        .actual(format!("some still exist: {reason}"))
        .at(object_ref(deployment))
        .with(&environment.diagnostics(deployment).await)
        .hint("the service does not exit after SIGTERM", "look at terminationGracePeriodSeconds and the service's log"))
}

fn names(pods: &[Pod]) -> BTreeSet<String> {
    pods.iter().map(ResourceExt::name_any).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::recreate(json!({"type": "Recreate"}), Some("its strategy is Recreate: all old pods end before new ones start"))]
    #[case::one(json!({"rollingUpdate": {"maxUnavailable": 1}}), None)]
    #[case::two(json!({"rollingUpdate": {"maxUnavailable": 2}}), Some("maxUnavailable is 2: all old pods may end before new ones are ready"))]
    #[case::all(json!({"rollingUpdate": {"maxUnavailable": "100%"}}), Some("maxUnavailable is 100%: all old pods may end before new ones are ready"))]
    #[case::none(json!({"rollingUpdate": {"maxUnavailable": 0}}), None)]
    #[case::the_default(json!({"rollingUpdate": {"maxUnavailable": "25%"}}), None)]
    #[case::not_set(json!({}), None)]
    fn the_cause_of_failed_requests(#[case] strategy: Value, #[case] expected: Option<&str>) {
        let spec = json!({"replicas": 2, "strategy": strategy, "selector": {}, "template": {}});
        let deployment = serde_json::from_value(json!({"spec": spec})).unwrap();
        assert_eq!(why_failed(&deployment).map(|(cause, _)| cause).as_deref(), expected);
    }
}
