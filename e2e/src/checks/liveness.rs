//! Checks that a hanging pod is restarted, and that no request fails meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::{EnvVar, Pod, Probe};
use tokio::time::{Instant, sleep};

use super::check::{Evidence, Outcome, end_pod};
use super::environment::{Environment, object_ref};
use super::extra_pod::ExtraPod;
use super::failure::expected;
use super::http::Http;
use super::load::{Load, host_of};
use super::route::Route;
use crate::environment::cluster::conditions::is_pod_ready;
use crate::record::Failure;

/// Maximum time that a pod may hang before the probe detects it. Kubernetes' default probe settings result in half of it.
const MAX_HANG: Duration = Duration::from_mins(1);

/// Pause between two requests.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

pub(super) async fn run(environment: Environment) -> Outcome {
    let deployed = deployed_probe(&environment).await?;
    // The deployed pods do not allow fault injection; this one does. Its probes run more often and without initial delays to make
    // the check fast. It tests the probes' paths and failure thresholds; the deployed probe's timing is verified above.
    let pod = ExtraPod::create(&environment, "liveness", |spec| {
        if let Some(container) = spec.containers.first_mut() {
            container.args.get_or_insert_default().push("--enable-faults".to_owned());
            let name = "READY_AFTER".to_owned();
            let at_once = EnvVar { name, value: Some("0s".to_owned()), ..EnvVar::default() };
            container.env.get_or_insert_default().push(at_once);
            for probe in [&mut container.liveness_probe, &mut container.readiness_probe].into_iter().flatten() {
                (probe.period_seconds, probe.timeout_seconds) = (Some(1), Some(1));
            }
            if let Some(probe) = &mut container.readiness_probe {
                probe.initial_delay_seconds = None;
            }
        }
    })
    .await?;
    let result = Box::pin(hang(&environment, &pod.name)).await.map(|mut evidence| {
        evidence.add(deployed);
        evidence
    });
    end_pod(pod, &environment, result).await
}

/// Checks how long a deployed pod can hang before its probe detects it.
async fn deployed_probe(environment: &Environment) -> Result<String, Failure> {
    let deployment = environment.deployment().await?;
    let spec = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let container = spec.and_then(|spec| spec.containers.first());
    let probe = container.and_then(|container| container.liveness_probe.as_ref());
    let wanted = format!("a liveness probe that detects a hanging pod within {} s", MAX_HANG.as_secs());
    let failure = match probe.map(detection) {
        Some(Detection { longest, settings }) if longest <= MAX_HANG => {
            return Ok(format!(
                "probed every second; the deployed probe detects a hang within {} s: {settings}",
                longest.as_secs()
            ));
        }
        Some(Detection { longest, settings }) => {
            expected(wanted).actual(format!("up to {} s: {settings}", longest.as_secs()))
        }
        None => expected(wanted).actual("no liveness probe"),
    };
    Err(failure.at(object_ref(&deployment)).with(&environment.diagnostics(&deployment).await).caused_by(
        "there is no livenessProbe, or its periodSeconds, failureThreshold or timeoutSeconds are too large",
        "copy the livenessProbe from manifests/deployment.yaml: every 5 s, 3 times",
    ))
}

/// How a probe detects a hanging container.
struct Detection {
    /// The maximum time until it does.
    longest: Duration,
    /// The probe's settings in words.
    settings: String,
}

/// In the worst case a pod starts to hang right after a successful probe: then detection takes as many periods as the failure
/// threshold, plus the timeout of the last probe. Unset fields have Kubernetes' defaults.
/// <https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#configure-probes>
fn detection(probe: &Probe) -> Detection {
    let number = |value: Option<i32>, default: u64| value.and_then(|it| u64::try_from(it).ok()).unwrap_or(default);
    let (period, threshold) = (number(probe.period_seconds, 10), number(probe.failure_threshold, 3));
    let timeout = number(probe.timeout_seconds, 1);
    Detection {
        longest: Duration::from_secs(period.saturating_mul(threshold).saturating_add(timeout)),
        settings: format!("every {period} s, {threshold} times, with a timeout of {timeout} s"),
    }
}

async fn hang(environment: &Environment, name: &str) -> Outcome {
    let mut evidence = Evidence::default();
    wait(environment, name, "Ready", is_pod_ready).await?;
    let load = match environment.ingress {
        Some(ingress) => {
            let http = Http::new(ingress).map_err(|error| expected("a client").actual(error))?;
            // The load must reach this pod, or it could not detect failed requests.
            reached(environment, &http, name).await?;
            Some(Load::begin(&http, &environment.host))
        }
        None => None,
    };
    let (status, body) = environment.ask_pod(name, "POST", "/fault/hang").await?;
    if status != 200 {
        let pod = environment.api::<Pod>().get(name).await?;
        return Err(expected("/fault/hang returns 200")
            .actual(format!("{status}: {}", body.trim()))
            .at(object_ref(&pod))
            .with(&environment.explain_pod(&pod).await)
            .hint("the image's service has no /fault/… endpoints", "deploy this repository's service"));
    }
    let started = Instant::now();
    wait(environment, name, "restarted by the kubelet", |pod| restarts(pod) > 0).await?;
    evidence.add(format!("restarted {:.0} s after /livez stopped responding", started.elapsed().as_secs_f64()));
    wait(environment, name, "Ready again", |pod| restarts(pod) > 0 && is_pod_ready(pod)).await?;
    let Some(load) = load else { return Ok(evidence) };
    let tally = load.end().await;
    let own = tally.by_pod.get(name).copied().unwrap_or_default();
    if tally.failed > 0 || own == 0 {
        let pod = environment.api::<Pod>().get(name).await?;
        return Err(expected("requests reach the pod, and none fails while it is restarted")
        .actual(format!("{} of {} failed, {own} reached the pod", tally.failed, tally.requests))
            .at(object_ref(&pod))
            .with(&tally.failures.join("\n"))
            .with(&environment.explain_pod(&pod).await)
            .after_success()
            .hint(
                "the pod still receives requests while it stops, or exits with unanswered requests",
                "make the service wait after SIGTERM before it closes (--shutdown-delay), and set a longer terminationGracePeriodSeconds",
            ));
    }
    evidence.add(format!("{} requests meanwhile, {own} of them to this pod, none failed", tally.requests));
    Ok(evidence)
}

/// Waits until requests to the host also reach this pod.
async fn reached(environment: &Environment, http: &Http, name: &str) -> Result<(), Failure> {
    let started = Instant::now();
    let (mut others, mut last) = (BTreeSet::new(), String::new());
    while started.elapsed() < environment.timeout {
        match http.get(&environment.host, "/").await {
            Ok((200, body)) => match host_of(&body) {
                Some(pod) if pod == name => return Ok(()),
                pod => others.extend(pod.map(str::to_owned)),
            },
            Ok((status, body)) => last = format!("{status}: {}", body.trim()),
            Err(reason) => last = reason,
        }
        sleep(POLL_INTERVAL).await;
    }
    let is_host_served = !others.is_empty();
    let others = others.into_iter().collect::<Vec<_>>().join(", ");
    let failure = expected(format!("requests to {} reach {name}", environment.host))
        .actual(if is_host_served { format!("responses only from {others}") } else { last })
        .hint(
            "the Ingress routes to a Service that does not select this pod, or the controller does not see new endpoints",
            "make the Ingress name the environment's Service, and the Service select `app` and `ref`",
        );
    let failure = if is_host_served { failure.after_success() } else { failure };
    Err(Route::find(environment).await?.with_diagnostics(failure, environment).await)
}

async fn wait(environment: &Environment, name: &str, what: &str, is_so: impl Fn(&Pod) -> bool) -> Result<(), Failure> {
    let Err(reason) = environment.watch_pod(name, |pod| is_so(pod).then_some(())).await else { return Ok(()) };
    let failure = expected(format!("a pod that is {what}"));
    let Some(pod) = environment.api::<Pod>().get_opt(name).await? else {
        return Err(failure
            .actual("the pod is gone")
            .at(format!("Pod {}/{name}", environment.namespace))
            .hint("a user has deleted the pod, or its node was drained", "run the check again"));
    };
    Err(failure
        .actual(format!("{reason}, {} restarts", restarts(&pod)))
        .at(object_ref(&pod))
        .with(&environment.explain_pod(&pod).await)
        .hint(
            "one of: there is no liveness probe; its path succeeds even if the service hangs; its thresholds are too large",
            "make the livenessProbe request /livez on port http-metrics",
        ))
}

fn restarts(pod: &Pod) -> i32 {
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    containers.map(|container| container.restart_count).sum()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::manifest(json!({"periodSeconds": 5, "timeoutSeconds": 2}), 17)]
    #[case::defaults(json!({}), 31)]
    #[case::once_an_hour(json!({"periodSeconds": 3600, "timeoutSeconds": 2}), 10_802)]
    #[case::large_threshold(json!({"periodSeconds": 1, "failureThreshold": 600}), 601)]
    #[case::long_timeout(json!({"periodSeconds": 1, "timeoutSeconds": 300}), 303)]
    fn the_longest_undetected_hang(#[case] probe: serde_json::Value, #[case] seconds: u64) {
        let detection = detection(&serde_json::from_value(probe).unwrap());
        assert_eq!(detection.longest, Duration::from_secs(seconds), "{}", detection.settings);
    }
}
