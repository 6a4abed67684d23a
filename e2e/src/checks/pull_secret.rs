//! The pods pull with the pull secret, and without it nobody does.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::runtime::watcher;

use super::extra_pod::ExtraPod;
use super::failure::expected;
use super::subject::{Subject, called};
use super::{Evidence, Outcome};
use crate::cluster::explain;
use crate::cluster::ready::until;

const WITHOUT: &str = "without-pull-secret";

pub(super) async fn run(subject: Subject) -> Outcome {
    let mut evidence = Evidence::default();
    for pod in subject.pods().await? {
        let secrets = secrets(&pod);
        if secrets.is_empty() {
            return Err(expected("imagePullSecrets").saw("none").at(called(&pod)).because(
                "the Deployment names no pull secret, and its ServiceAccount has none",
                "add `imagePullSecrets: [{name: myregistry}]` to the pod's template",
            ));
        }
        evidence.add(format!("{} pulls with {}", pod.name_any(), secrets.join(", ")));
    }
    let pod = ExtraPod::make(&subject, WITHOUT, |spec| {
        spec.image_pull_secrets = None;
        // Else a node that has the image would not ask.
        spec.containers.iter_mut().for_each(|it| it.image_pull_policy = Some("Always".to_owned()));
    })
    .await?;
    let result = refused(&subject, &pod.name).await;
    pod.remove().await?;
    evidence.add(result?);
    Ok(evidence)
}

/// Waits until the pod's image is refused, and tells how.
async fn refused(subject: &Subject, name: &str) -> Result<String, crate::record::Failure> {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let is_decided = |pods: &[Arc<Pod>]| pods.iter().any(|pod| waiting(pod).is_some() || is_started(pod));
    let waited = tokio::time::timeout(subject.patience, until(subject.api::<Pod>(), config, is_decided)).await;
    let pod = subject.api::<Pod>().get(name).await?;
    if let (Ok(Ok(())), Some((reason, message))) = (&waited, waiting(&pod)) {
        let refused = ["401", "403", "nauthorized", "denied", "uthorization", "no basic auth", "uthentication"];
        if refused.iter().any(|word| message.contains(word)) {
            return Ok(format!("a pod without it: {reason}"));
        }
        return Err(expected("a pull that is refused for want of a login")
            .saw(format!("{reason}: {message}"))
            .at(called(&pod)));
    }
    let explanation = explain::explain_pod(&subject.client, &pod).await;
    let own = secrets(&pod);
    let cause = if own.is_empty() {
        "the registry gives its images to everybody, or the node has a login of its own".to_owned()
    } else {
        format!("the namespace's default ServiceAccount has a pull secret of its own: {}", own.join(", "))
    };
    Err(expected("ImagePullBackOff of a pod without the pull secret")
        .saw(pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default())
        .at(called(&pod))
        .with(&explanation)
        .because(cause, "let the registry ask for a login, and give it to pods by their pull secret alone"))
}

fn secrets(pod: &Pod) -> Vec<String> {
    let secrets = pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    secrets.map(|secret| secret.name.clone()).collect()
}

/// Why its image is not there, once that is known.
fn waiting(pod: &Pod) -> Option<(String, String)> {
    let mut containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    containers.find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.clone().filter(|reason| reason.contains("Image"))?;
        // Of the pause between two pulls the message says nothing about the reason.
        let message = waiting.message.clone().unwrap_or_default();
        (reason == "ErrImagePull" || message.contains("ErrImagePull")).then_some((reason, message))
    })
}

fn is_started(pod: &Pod) -> bool {
    let mut containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    containers.any(|container| container.started == Some(true))
}
