//! A pod that hangs is started again, and whoever asks does not notice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{EnvVar, Pod, Probe};
use kube::runtime::watcher;
use tokio::time::{Instant, sleep};

use super::check::end_pod;
use super::check::{Evidence, Outcome};
use super::extra_pod::ExtraPod;
use super::failure::expected;
use super::http::Http;
use super::load::{Load, host_of};
use super::subject::{Subject, called};
use crate::environment::cluster::conditions::is_pod_ready;
use crate::record::Failure;

/// The longest that a pod may hang before it is noticed. Kubernetes' own numbers, where a probe says nothing, make half of it.
const LONGEST_HANG: Duration = Duration::from_mins(1);

/// The pause between two requests.
const BEAT: Duration = Duration::from_millis(50);

pub(super) async fn run(subject: Subject) -> Outcome {
    let deployed = deployed_probe(&subject).await?;
    // What is deployed cannot be broken from outside; this one can. It is asked more often than those, whose own numbers are
    // judged above, and ready sooner, twice: here the path and the number of answers that may be missing are what counts, and a
    // check should not wait for the rest.
    let pod = ExtraPod::make(&subject, "liveness", |spec| {
        if let Some(container) = spec.containers.first_mut() {
            container.args.get_or_insert_default().push("--enable-faults".to_owned());
            let name = "READY_AFTER".to_owned();
            let sooner = EnvVar { name, value: Some("0s".to_owned()), ..EnvVar::default() };
            container.env.get_or_insert_default().push(sooner);
            for probe in [&mut container.liveness_probe, &mut container.readiness_probe].into_iter().flatten() {
                (probe.period_seconds, probe.timeout_seconds) = (Some(1), Some(1));
            }
            if let Some(probe) = &mut container.readiness_probe {
                probe.initial_delay_seconds = None;
            }
        }
    })
    .await?;
    let result = Box::pin(hung(&subject, &pod.name)).await.map(|mut evidence| {
        evidence.add(deployed);
        evidence
    });
    end_pod(pod, &subject, result).await
}

/// What the deployed pods' own probe says about how long one that hangs stays.
async fn deployed_probe(subject: &Subject) -> Result<String, Failure> {
    let deployment = subject.deployment().await?;
    let spec = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let container = spec.and_then(|spec| spec.containers.first());
    let probe = container.and_then(|container| container.liveness_probe.as_ref());
    let wanted = format!("a liveness probe that notices within {} s that a pod hangs", LONGEST_HANG.as_secs());
    let failure = match probe.map(noticed) {
        Some(Noticed { longest, how }) if longest <= LONGEST_HANG => {
            return Ok(format!(
                "it was asked every second; one as deployed is noticed within {} s: {how}",
                longest.as_secs()
            ));
        }
        Some(Noticed { longest, how }) => expected(wanted).saw(format!("up to {} s: {how}", longest.as_secs())),
        None => expected(wanted).saw("no liveness probe"),
    };
    Err(failure.at(called(&deployment)).with(&subject.around(&deployment).await).because(
        "there is no livenessProbe, or its periodSeconds, failureThreshold or timeoutSeconds were made too large",
        "take the livenessProbe of manifests/deployment.yaml over: every 5 s, 3 times",
    ))
}

/// How a probe notices.
struct Noticed {
    /// After how long at the most.
    longest: Duration,
    /// In words.
    how: String,
}

/// A pod that begins to hang right after it has answered is asked again a period later, and the last of the answers that must be
/// missing is waited for. What a probe does not say is as Kubernetes has it.
/// <https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#configure-probes>
fn noticed(probe: &Probe) -> Noticed {
    let number = |value: Option<i32>, default: u64| value.and_then(|it| u64::try_from(it).ok()).unwrap_or(default);
    let (period, threshold) = (number(probe.period_seconds, 10), number(probe.failure_threshold, 3));
    let timeout = number(probe.timeout_seconds, 1);
    Noticed {
        longest: Duration::from_secs(period.saturating_mul(threshold).saturating_add(timeout)),
        how: format!("asked every {period} s, {threshold} times, {timeout} s for an answer"),
    }
}

async fn hung(subject: &Subject, name: &str) -> Outcome {
    let mut evidence = Evidence::default();
    wait(subject, name, "Ready", is_pod_ready).await?;
    let load = match subject.ingress {
        Some(ingress) => {
            let http = Http::new(ingress).map_err(|error| expected("a client").saw(error))?;
            // Whoever never asks it cannot notice anything.
            reached(subject, &http, name).await?;
            Some(Load::begin(&http, &subject.host))
        }
        None => None,
    };
    let (status, body) = subject.ask_pod(name, "POST", "/fault/hang").await?;
    if status != 200 {
        let pod = subject.api::<Pod>().get(name).await?;
        return Err(expected("/fault/hang answers 200")
            .saw(format!("{status}: {}", body.trim()))
            .at(called(&pod))
            .with(&subject.explain_pod(&pod).await)
            .because("the image is of a service without /fault/…", "deploy this repository's service"));
    }
    let began = Instant::now();
    wait(subject, name, "started again by the kubelet", |pod| restarts(pod) > 0).await?;
    evidence.add(format!("started again {:.0} s after /livez stopped answering", began.elapsed().as_secs_f64()));
    wait(subject, name, "Ready again", |pod| restarts(pod) > 0 && is_pod_ready(pod)).await?;
    let Some(load) = load else { return Ok(evidence) };
    let tally = load.end().await;
    let own = tally.by_pod.get(name).copied().unwrap_or_default();
    if tally.failed > 0 || own == 0 {
        let pod = subject.api::<Pod>().get(name).await?;
        return Err(expected("requests reach it, and none fails while it is started again")
            .saw(format!("{} of {} failed, {own} reached it", tally.failed, tally.requests))
            .at(called(&pod))
            .with(&tally.failures.join("\n"))
            .with(&subject.explain_pod(&pod).await)
            .because(
                "a pod that is stopped is still sent requests, or ends with some unanswered",
                "let the service wait after SIGTERM before it closes (--shutdown-delay), and terminationGracePeriodSeconds be longer",
            ));
    }
    evidence.add(format!("{} requests meanwhile, {own} of them to it, none failed", tally.requests));
    Ok(evidence)
}

/// Waits until the host's requests come to this pod, too.
async fn reached(subject: &Subject, http: &Http, name: &str) -> Result<(), Failure> {
    let began = Instant::now();
    let (mut others, mut last) = (BTreeSet::new(), String::new());
    while began.elapsed() < subject.patience {
        match http.get(&subject.host, "/").await {
            Ok((200, body)) => match host_of(&body) {
                Some(pod) if pod == name => return Ok(()),
                pod => others.extend(pod.map(str::to_owned)),
            },
            Ok((status, body)) => last = format!("{status}: {}", body.trim()),
            Err(why) => last = why,
        }
        sleep(BEAT).await;
    }
    let others = others.into_iter().collect::<Vec<_>>().join(", ");
    let ingress = subject.only_ingress().await?;
    Err(expected(format!("requests to {} reach {name}", subject.host))
        .saw(if others.is_empty() { last } else { format!("answers of {others} alone") })
        .at(called(&ingress))
        .with(&subject.around(&ingress).await)
        .because(
            "the Ingress leads to a Service that does not select this pod, or the controller does not hear of new endpoints",
            "let the Ingress name the environment's Service, and the Service select `app` and `ref`",
        ))
}

async fn wait(subject: &Subject, name: &str, what: &str, is_so: impl Fn(&Pod) -> bool) -> Result<(), Failure> {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let waited = subject.watch(config, |pods: &[Arc<Pod>]| pods.iter().any(|pod| is_so(pod)).then_some(())).await;
    let Err(why) = waited else { return Ok(()) };
    let failure = expected(format!("a pod that is {what}"));
    let Some(pod) = subject.api::<Pod>().get_opt(name).await? else {
        return Err(failure
            .saw("that it is gone")
            .at(format!("Pod {}/{name}", subject.namespace))
            .because("somebody has deleted it, or its node is drained", "run the check again"));
    };
    Err(failure
        .saw(format!("{why}, {} restarts", restarts(&pod)))
        .at(called(&pod))
        .with(&subject.explain_pod(&pod).await)
        .because(
            "there is no liveness probe, it asks a path that answers whatever the service's state is, or is too patient",
            "let livenessProbe ask /livez of port http-metrics",
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
    #[case::the_manifest(json!({"periodSeconds": 5, "timeoutSeconds": 2}), 17)]
    #[case::nothing_said(json!({}), 31)]
    #[case::an_hour(json!({"periodSeconds": 3600, "timeoutSeconds": 2}), 10_802)]
    #[case::very_patient(json!({"periodSeconds": 1, "failureThreshold": 600}), 601)]
    #[case::a_slow_answer(json!({"periodSeconds": 1, "timeoutSeconds": 300}), 303)]
    fn how_long_a_pod_may_hang(#[case] probe: serde_json::Value, #[case] seconds: u64) {
        let noticed = noticed(&serde_json::from_value(probe).unwrap());
        assert_eq!(noticed.longest, Duration::from_secs(seconds), "{}", noticed.how);
    }
}
