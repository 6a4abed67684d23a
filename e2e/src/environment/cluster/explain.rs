//! Explains why pods are not ready, with their states, their events and the last lines of their logs.

use std::collections::BTreeMap;
use std::fmt::Write;

use futures_util::future::{join, join_all};
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, LogParams};
use kube::{Api, Client, ResourceExt};

use super::ApiError;
use super::conditions::is_pod_ready;

/// Number of log lines that are shown of each container.
const MAX_LOG_LINES: i64 = 10;

/// Describes the pods of a namespace that are not ready.
pub(super) async fn explain_pods(client: &Client, namespace: &str) -> String {
    explain_selected(client, namespace, None).await
}

/// Describes the pods with these labels that are not ready. Requests that fail are left out of the text: this runs after a failure,
/// which must not be replaced by another one.
pub async fn explain_selected(client: &Client, namespace: &str, selector: Option<BTreeMap<String, String>>) -> String {
    let selector = selector.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
    explain_filtered(client, namespace, &selector.join(","), |pod| !is_pod_ready(pod)).await
}

/// Describes all pods that match a selector, including the ready ones.
pub async fn explain_all(client: &Client, namespace: &str, selector: &str) -> String {
    explain_filtered(client, namespace, selector, |_| true).await
}

async fn explain_filtered(client: &Client, namespace: &str, selector: &str, filter: impl Fn(&Pod) -> bool) -> String {
    let api = Api::<Pod>::namespaced(client.clone(), namespace);
    let pods = match api.list(&ListParams::default().labels(selector)).await {
        Ok(pods) => pods.items,
        Err(error) => return format!("  cannot list its pods: {}", ApiError::from(error)),
    };
    if pods.is_empty() {
        return "  it has no pods".to_owned();
    }
    let texts = pods.iter().filter(|pod| filter(pod)).map(|pod| explain_pod(client, pod));
    join_all(texts).await.join("\n")
}

/// The events of an object that is not a pod, one per line.
pub async fn explain_events(client: &Client, namespace: &str, kind: &str, name: &str) -> String {
    let events = events(client, namespace, kind, name).await;
    events.iter().map(|event| format!("  {kind} {name}: event {}", event_text(event))).collect::<Vec<_>>().join("\n")
}

/// Describes one pod.
pub async fn explain_pod(client: &Client, pod: &Pod) -> String {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let api = Api::<Pod>::namespaced(client.clone(), &namespace);
    let (events, lines) = join(events(client, &namespace, "Pod", &name), last_lines(&api, pod)).await;
    describe(pod, &events, &lines).trim_end().to_owned()
}

/// The events of a pod; none if they cannot be listed.
pub async fn pod_events(client: &Client, pod: &Pod) -> Vec<Event> {
    events(client, &pod.namespace().unwrap_or_default(), "Pod", &pod.name_any()).await
}

async fn events(client: &Client, namespace: &str, kind: &str, name: &str) -> Vec<Event> {
    let api = Api::<Event>::namespaced(client.clone(), namespace);
    let fields = format!("involvedObject.name={name},involvedObject.kind={kind}");
    let listed = api.list(&ListParams::default().fields(&fields)).await;
    let mut events = listed.map(|list| list.items).unwrap_or_default();
    // The API server sorts by name, which has the time of the first of several equal events.
    events.sort_by_key(last_time);
    events
}

fn last_time(event: &Event) -> Option<Timestamp> {
    let times = [event.last_timestamp.as_ref().map(|time| time.0), event.event_time.as_ref().map(|time| time.0)];
    times.into_iter().flatten().max()
}

async fn last_lines(api: &Api<Pod>, pod: &Pod) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    for container in pod.spec.iter().flat_map(|spec| &spec.containers) {
        let parameters = LogParams {
            container: Some(container.name.clone()),
            tail_lines: Some(MAX_LOG_LINES),
            ..LogParams::default()
        };
        if let Ok(text) = api.logs(&pod.name_any(), &parameters).await {
            lines.insert(container.name.clone(), text);
        }
    }
    lines
}

fn describe(pod: &Pod, events: &[Event], lines: &BTreeMap<String, String>) -> String {
    let status = pod.status.clone().unwrap_or_default();
    let mut text = String::new();
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "  pod {}: {}", pod.name_any(), status.phase.as_deref().unwrap_or("no phase yet"));
    for container in status.container_statuses.iter().flatten() {
        let _ = writeln!(text, "    container {}: {}", container.name, state(container));
    }
    for event in events {
        let _ = writeln!(text, "    event {}", event_text(event));
    }
    for (container, log) in lines {
        for line in log.lines() {
            let _ = writeln!(text, "    {container} | {line}");
        }
    }
    text
}

fn event_text(event: &Event) -> String {
    let (reason, message) = (event.reason.as_deref(), event.message.as_deref());
    format!("{}: {}", reason.unwrap_or("?"), message.unwrap_or_default().trim())
}

fn state(container: &ContainerStatus) -> String {
    let state = container.state.clone().unwrap_or_default();
    if let Some(waiting) = state.waiting {
        let reason = waiting.reason.unwrap_or_else(|| "waiting".to_owned());
        return waiting.message.map_or(reason.clone(), |message| format!("{reason}: {message}"));
    }
    if let Some(terminated) = state.terminated {
        let reason = terminated.reason.unwrap_or_else(|| "terminated".to_owned());
        return format!("{reason}, exit code {}", terminated.exit_code);
    }
    format!("running, {}, {} restarts", if container.ready { "ready" } else { "not ready" }, container.restart_count)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_whose_image_cannot_be_pulled() {
        let pod = json!({"metadata": {"name": "web-1"}, "status": {"phase": "Pending", "containerStatuses": [
            {"name": "web", "image": "", "imageID": "", "ready": false, "restartCount": 0,
             "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"x/web:1\""}}},
            {"name": "side", "image": "", "imageID": "", "ready": false, "restartCount": 3,
             "state": {"terminated": {"reason": "Error", "exitCode": 2}}},
            {"name": "slow", "image": "", "imageID": "", "ready": false, "restartCount": 1, "state": {"running": {}}},
        ]}});
        let event = json!({"metadata": {}, "involvedObject": {}, "reason": "Failed", "message": "401 Unauthorized\n"});
        let lines = BTreeMap::from([("side".to_owned(), "starting\nno such file\n".to_owned())]);
        let text = describe(&serde_json::from_value(pod).unwrap(), &[serde_json::from_value(event).unwrap()], &lines);
        insta::assert_snapshot!(text);
    }
}
