//! Determines from a pod's status and events why it is not ready.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Event, Pod, PodStatus};

use crate::checks::cause::Remedy;
use crate::checks::pull_denial::is_pull_denied;
use crate::environment::cluster::conditions::is_pod_ready;

/// The states of a container that last until its configuration is corrected.
const CONFIGURATION: [&str; 4] =
    ["CreateContainerConfigError", "CreateContainerError", "RunContainerError", "InvalidImageName"];

/// The events of a pod whose containers cannot be created.
const NOT_CREATED: [&str; 3] = ["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"];

/// Why the pod is not ready. `None` if it is ready, or if its status and events show no known reason.
pub(super) fn not_ready(pod: &Pod, events: &[Event]) -> Option<Remedy> {
    if is_pod_ready(pod) {
        return None;
    }
    let status = pod.status.clone().unwrap_or_default();
    let killed = || killed_by_probe(events).map(|what| Remedy::new(what, PROBES));
    let ended = || containers(&status).find_map(exited);
    not_started(pod, events).or_else(|| ended().map(|exited| killed().unwrap_or(exited))).or_else(|| probe(events))
}

/// Why the pod's containers do not run.
pub(super) fn not_started(pod: &Pod, events: &[Event]) -> Option<Remedy> {
    let status = pod.status.clone().unwrap_or_default();
    unscheduled(&status)
        .or_else(|| ended(&status))
        .or_else(|| containers(&status).find_map(|container| waiting(container, events)))
        // The events of before remain after a start.
        .or_else(|| (status.phase.as_deref() == Some("Pending")).then(|| not_created(events)).flatten())
}

fn containers(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten())
}

fn unscheduled(status: &PodStatus) -> Option<Remedy> {
    let condition = status.conditions.iter().flatten().find(|it| it.type_ == "PodScheduled" && it.status == "False")?;
    let message = condition.message.clone().unwrap_or_default();
    let fix = "look at `kubectl get nodes` and `kubectl describe nodes`: uncordon a node, free capacity, or change the pod's requests";
    // Not lasting: a cluster with an autoscaler adds a node within minutes.
    Some(Remedy::new(format!("no node takes the pod: {message}"), fix))
}

/// The end of a pod that is not started again.
fn ended(status: &PodStatus) -> Option<Remedy> {
    (status.phase.as_deref() == Some("Failed")).then(|| {
        let (reason, message) = (status.reason.as_deref(), status.message.as_deref());
        let what = format!("the pod has failed: {} {}", reason.unwrap_or("no reason"), message.unwrap_or_default());
        Remedy::new(what.trim_end().to_owned(), "look at the node's conditions: `kubectl describe nodes`")
    })
}

fn waiting(container: &ContainerStatus, events: &[Event]) -> Option<Remedy> {
    let state = container.state.as_ref()?.waiting.as_ref()?;
    let (reason, message) = (state.reason.as_deref()?, state.message.as_deref().unwrap_or_default());
    if reason.contains("ImagePull") || reason == "ErrImageNeverPull" {
        return Some(image(&container.image, reason, message, events));
    }
    if reason == "CrashLoopBackOff" {
        if let Some(what) = killed_by_probe(events) {
            return Some(Remedy::lasting(format!("{what}: {reason}"), PROBES));
        }
        let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        let how = last.map_or("exits".to_owned(), exit);
        return Some(Remedy::lasting(
            format!(
                "container {} {how}, and was restarted {} times: {reason}",
                container.name, container.restart_count
            ),
            "read the log of the last run: `kubectl logs --previous`",
        ));
    }
    let fix = "correct the pod template: the message names what it refers to";
    CONFIGURATION
        .contains(&reason)
        .then(|| Remedy::lasting(format!("container {} cannot start: {reason}: {message}", container.name), fix))
}

fn image(image: &str, reason: &str, message: &str, events: &[Event]) -> Remedy {
    // A back-off message does not always repeat the reason. Only the newest one counts: the state may have changed since.
    let failed = events.iter().rev().filter(|event| event.reason.as_deref() == Some("Failed"));
    let mut messages = failed.filter_map(|event| event.message.as_deref()).chain([message]);
    let message = messages.find(|text| text.to_lowercase().contains("failed to pull")).unwrap_or(message);
    let text = message.to_lowercase();
    let what = format!("{reason} of {image}: {}", message.trim());
    let fix = if is_pull_denied(message, image) {
        "the registry denies the pull secret's credentials: create the Secret again with `kubectl create secret docker-registry`"
    } else if text.contains("not found") || text.contains("manifest unknown") {
        "push the image, or correct the image's name and tag in the Deployment"
    } else if text.contains("x509") || text.contains("certificate") {
        "make the nodes trust the authority that signed the registry's certificate"
    } else if text.contains("no such host") {
        "make the registry reachable from the nodes, by the name that the image has"
    } else if text.contains("dial tcp") || text.contains("timeout") {
        // Not lasting, like an error of the registry: it may start again.
        return Remedy::new(what, "make the registry reachable from the nodes, by the name that the image has");
    } else {
        return Remedy::new(what, "read the pod's events: `kubectl describe pod`");
    };
    Remedy::lasting(what, fix)
}

fn not_created(events: &[Event]) -> Option<Remedy> {
    let is_such = |event: &&Event| event.reason.as_deref().is_some_and(|reason| NOT_CREATED.contains(&reason));
    // The image is pulled after volumes and network exist.
    let is_over = |event: &&Event| event.reason.as_deref().is_some_and(|reason| reason.starts_with("Pull"));
    let event = events.iter().rev().take_while(|event| !is_over(event)).find(is_such)?;
    let (reason, message) = (event.reason.as_deref()?, event.message.as_deref().unwrap_or_default());
    Some(Remedy::new(
        format!("{reason}: {}", message.trim()),
        "the event names the volume or the network plugin that fails",
    ))
}

/// The end of a container that is about to be started again.
fn exited(container: &ContainerStatus) -> Option<Remedy> {
    let now = container.state.as_ref().and_then(|state| state.terminated.as_ref());
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let how = exit(now.or(last)?);
    Some(Remedy::new(format!("container {} {how}", container.name), "read its log: `kubectl logs --previous`"))
}

fn exit(state: &ContainerStateTerminated) -> String {
    let code = state.exit_code;
    match state.reason.as_deref() {
        Some("OOMKilled") => format!("was killed for lack of memory (OOMKilled, exit code {code})"),
        _ => format!("exits with code {code}"),
    }
}

fn probe(events: &[Event]) -> Option<Remedy> {
    let event = events.iter().rev().find(|event| event.reason.as_deref() == Some("Unhealthy"))?;
    let message = event.message.as_deref()?.trim();
    Some(Remedy::new(message.to_owned(), PROBES))
}

/// The remedy for probes that fail.
const PROBES: &str = "make the probes request the paths and the port that manifests/deployment.yaml has";

/// The probe that makes the kubelet end a container, if the last one that it has ended was ended for that.
fn killed_by_probe(events: &[Event]) -> Option<String> {
    let message = |event: &Event| event.message.clone().unwrap_or_default();
    let killing = events.iter().rev().find(|event| event.reason.as_deref() == Some("Killing"))?;
    let kind =
        ["liveness", "startup"].into_iter().find(|kind| message(killing).contains(&format!("failed {kind} probe")))?;
    let is_such = |event: &&Event| message(event).to_lowercase().starts_with(&format!("{kind} probe failed"));
    let failed = events.iter().rev().find(is_such)?;
    Some(format!("the kubelet restarts the container: {}", message(failed).trim()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn cause(status: &Value, events: &[(&str, &str)]) -> Option<Remedy> {
        let pod = serde_json::from_value(json!({"metadata": {"name": "web-1"}, "status": status})).unwrap();
        let event = |(reason, message): &(&str, &str)| {
            let event = json!({"metadata": {}, "involvedObject": {}, "reason": reason, "message": message});
            serde_json::from_value(event).unwrap()
        };
        not_ready(&pod, &events.iter().map(event).collect::<Vec<_>>())
    }

    fn container(state: &Value, last: &Value) -> Value {
        json!({"phase": "Pending", "containerStatuses": [{"name": "app", "image": "r.test/demo:v1", "imageID": "", "ready": false,
            "restartCount": 3, "state": state, "lastState": last}]})
    }

    #[rstest]
    #[case::no_such_tag(
        "failed to pull and unpack image \"r.test/demo:v1\": r.test/demo:v1: not found",
        "push the image"
    )]
    #[case::wrong_password(
        "failed to pull and unpack image: unexpected status code [manifests v1]: 401 Unauthorized",
        "create the Secret again"
    )]
    #[case::unknown_authority(
        "failed to pull image: tls: x509: certificate signed by unknown authority",
        "make the nodes trust"
    )]
    #[case::unknown_name("Failed to pull image: dial tcp: lookup r.test: no such host", "make the registry reachable")]
    fn an_image_that_cannot_be_pulled(#[case] message: &str, #[case] fix: &str) {
        let waiting = container(&json!({"waiting": {"reason": "ErrImagePull", "message": message}}), &json!({}));
        let found = cause(&waiting, &[]).unwrap();
        assert_eq!((&*found.what, found.is_lasting), (&*format!("ErrImagePull of r.test/demo:v1: {message}"), true));
        assert!(found.fix.contains(fix), "{}", found.fix);
        // During the back-off, only the event contains the registry's message.
        let back_off =
            json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"r.test/demo:v1\""}});
        let events =
            [("Failed", "Failed to pull image: 401 Unauthorized"), ("Failed", message), ("BackOff", "Back-off")];
        let found = cause(&container(&back_off, &json!({})), &events).unwrap();
        assert!(found.what.ends_with(message) && found.fix.contains(fix), "{found:?}");
    }

    #[rstest]
    #[case::crash(
        container(&json!({"waiting": {"reason": "CrashLoopBackOff"}}), &json!({"terminated": {"exitCode": 2, "reason": "Error"}})),
        "container app exits with code 2, and was restarted 3 times: CrashLoopBackOff"
    )]
    #[case::memory(
        container(&json!({"waiting": {"reason": "CrashLoopBackOff"}}), &json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}})),
        "container app was killed for lack of memory (OOMKilled, exit code 137), and was restarted 3 times: CrashLoopBackOff"
    )]
    #[case::configuration(
        container(&json!({"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"x\" not found"}}), &json!({})),
        "container app cannot start: CreateContainerConfigError: secret \"x\" not found"
    )]
    fn a_state_that_lasts(#[case] status: Value, #[case] expected: &str) {
        let found = cause(&status, &[]).unwrap();
        assert_eq!((&*found.what, found.is_lasting), (expected, true));
    }

    #[rstest]
    #[case::exited(container(&json!({"terminated": {"exitCode": 1}}), &json!({})), &[], "container app exits with code 1")]
    #[case::probe(
        container(&json!({"running": {}}), &json!({})),
        &[("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 404")],
        "Readiness probe failed: HTTP probe failed with statuscode: 404"
    )]
    #[case::volume(
        container(&json!({"waiting": {"reason": "ContainerCreating"}}), &json!({})),
        &[("FailedMount", "configmap \"x\" not found")],
        "FailedMount: configmap \"x\" not found"
    )]
    #[case::no_node(
        json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: 1 node(s) were unschedulable."}
        ]}),
        &[],
        "no node takes the pod: 0/1 nodes are available: 1 node(s) were unschedulable."
    )]
    #[case::registry_down(
        container(&json!({"waiting": {"reason": "ErrImagePull", "message": "failed to pull image: dial tcp 10.0.0.1:5000: connection refused"}}), &json!({})),
        &[],
        "ErrImagePull of r.test/demo:v1: failed to pull image: dial tcp 10.0.0.1:5000: connection refused"
    )]
    #[case::evicted(json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}), &[], "the pod has failed: Evicted low on memory")]
    fn a_state_that_may_pass(#[case] status: Value, #[case] events: &[(&str, &str)], #[case] expected: &str) {
        let found = cause(&status, events).unwrap();
        assert_eq!((&*found.what, found.is_lasting), (expected, false));
    }

    #[rstest]
    #[case::ready(json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}))]
    #[case::starting(container(&json!({"waiting": {"reason": "ContainerCreating"}}), &json!({})))]
    #[case::no_status(json!({}))]
    fn a_pod_that_is_ready_or_starts_has_no_cause(#[case] status: Value) {
        assert_eq!(cause(&status, &[]), None);
    }

    #[test]
    fn a_container_that_fails_its_liveness_probe_does_not_exit_by_itself() {
        let crash = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let status = container(&crash, &json!({"terminated": {"exitCode": 137, "reason": "Error"}}));
        let events = [
            ("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 404"),
            ("Killing", "Container app failed liveness probe, will be restarted"),
        ];
        let expected = "the kubelet restarts the container: Liveness probe failed: HTTP probe failed with statuscode: 404: CrashLoopBackOff";
        assert_eq!(cause(&status, &events).unwrap().what, expected);
    }

    #[test]
    fn a_volume_that_was_mounted_later_is_no_cause() {
        let waiting = container(&json!({"waiting": {"reason": "ContainerCreating"}}), &json!({}));
        assert_eq!(cause(&waiting, &[("FailedMount", "timed out"), ("Pulling", "Pulling image")]), None);
    }

    #[test]
    fn a_container_that_runs_or_has_run_has_started() {
        let pod = |status: &Value| serde_json::from_value(json!({"metadata": {}, "status": status})).unwrap();
        assert_eq!(not_started(&pod(&container(&json!({"running": {}}), &json!({}))), &[]), None);
        assert_eq!(not_started(&pod(&container(&json!({"terminated": {"exitCode": 0}}), &json!({}))), &[]), None);
    }
}
