//! The pods pull with the pull secret, and without it nobody does.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use kube::runtime::watcher;

use super::check::end_pod;
use super::check::{Evidence, Outcome};
use super::extra_pod::ExtraPod;
use super::failure::expected;
use super::refusal::is_refused;
use super::subject::{Subject, called};
use crate::record::Failure;

/// What a Secret must be for a kubelet to take a login from it: what `kubectl create secret docker-registry` makes, and the type
/// that preceded it.
const TYPES: [&str; 2] = ["kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"];

pub(super) async fn run(subject: Subject) -> Outcome {
    let mut evidence = Evidence::default();
    let mut known = BTreeSet::new();
    for pod in subject.some_pods().await? {
        let secrets = secrets(&pod);
        if secrets.is_empty() {
            return Err(expected("imagePullSecrets")
                .saw("none")
                .at(called(&pod))
                .with(&subject.explain_pod(&pod).await)
                .because(
                    "the Deployment names no pull secret, and its ServiceAccount has none",
                    "add `imagePullSecrets: [{name: myregistry}]` to the pod's template",
                ));
        }
        for secret in &secrets {
            let kind = is_there(&subject, &pod, secret).await?;
            known.insert(format!("Secret {secret} is there, of type {kind}"));
        }
        evidence.add(format!("{} pulls with {}", pod.name_any(), secrets.into_iter().collect::<Vec<_>>().join(", ")));
    }
    evidence.lines.extend(known);
    let pod = ExtraPod::make(&subject, "pull-secret", |spec| {
        spec.image_pull_secrets = None;
        // Else a node that has the image would not ask.
        spec.containers.iter_mut().for_each(|it| it.image_pull_policy = Some("Always".to_owned()));
    })
    .await?;
    let result = refused(&subject, &pod.name).await;
    let seen = result.map(|line| {
        evidence.add(line);
        evidence
    });
    end_pod(pod, &subject, seen).await
}

/// Whether a pod's pull secret is one. A kubelet passes over one that is not, and says so only when no other helps. What is in it
/// is looked at by nobody.
async fn is_there(subject: &Subject, pod: &Pod, name: &str) -> Result<String, Failure> {
    let secret = subject.api::<Secret>().get_opt(name).await?;
    let seen = match secret.map(|secret| secret.type_.unwrap_or_else(|| "Opaque".to_owned())) {
        Some(kind) if TYPES.contains(&&*kind) => return Ok(kind),
        Some(kind) => format!("{name} of type {kind}"),
        None => format!("no Secret {name}"),
    };
    Err(expected(format!("the pull secret {name} of type {}", TYPES[0]))
        .saw(seen)
        .at(format!("Secret {}/{name}", subject.namespace))
        .with(&subject.explain_pod(pod).await)
        .because(
            "it was deleted, never made in this namespace, or made without its type: the next node that lacks the image cannot pull",
            "kubectl create secret docker-registry NAME --docker-server=… in the namespace, or take the name out of imagePullSecrets",
        ))
}

/// Waits until the pod's image is refused, and tells how.
async fn refused(subject: &Subject, name: &str) -> Result<String, Failure> {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let decided = subject.watch(config, |pods: &[Arc<Pod>]| pods.iter().find_map(|pod| decided(pod))).await;
    if let Ok(Decided::Waits { reason, message }) = &decided {
        let pod = subject.api::<Pod>().get(name).await?;
        if images(&pod).iter().any(|image| is_refused(message, image)) {
            return Ok(format!("a pod without it: {reason}"));
        }
        return Err(expected("a pull that is refused for want of a login")
            .saw(format!("{reason}: {message}"))
            .at(called(&pod))
            .with(&subject.explain_pod(&pod).await)
            .because(
                "the nodes do not reach the registry, do not trust its certificate, or the image is not there",
                "let the nodes know the registry's name and authority, and run the job that pushes the image",
            ));
    }
    let pod = subject.api::<Pod>().get(name).await?;
    let own = secrets(&pod).into_iter().collect::<Vec<_>>().join(", ");
    let cause = if own.is_empty() {
        "the registry gives its images to everybody, or the node has a login of its own".to_owned()
    } else {
        format!("the ServiceAccount of its pods has a pull secret of its own: {own}")
    };
    let seen = match decided {
        Ok(_) if own.is_empty() => "its image, pulled without any".to_owned(),
        Ok(_) => format!("its image, pulled with {own}"),
        Err(why) => format!("nothing of the kind: {why}"),
    };
    Err(expected("ImagePullBackOff of a pod without the pull secret")
        .saw(seen)
        .at(called(&pod))
        .with(&subject.explain_pod(&pod).await)
        .because(cause, "let the registry ask for a login, and give it to pods by their pull secret alone"))
}

fn secrets(pod: &Pod) -> BTreeSet<String> {
    let secrets = pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    secrets.map(|secret| secret.name.clone()).collect()
}

fn images(pod: &Pod) -> Vec<String> {
    pod.spec.iter().flat_map(|spec| &spec.containers).filter_map(|container| container.image.clone()).collect()
}

/// What became of a pod's image.
#[derive(Debug, PartialEq, Eq)]
enum Decided {
    /// It is not there.
    Waits { reason: String, message: String },
    /// It is there, and was started.
    Started,
}

fn decided(pod: &Pod) -> Option<Decided> {
    let mut containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    containers.find_map(|container| {
        let state = container.state.as_ref()?;
        if container.started == Some(true) || state.running.is_some() || state.terminated.is_some() {
            return Some(Decided::Started);
        }
        let waiting = state.waiting.as_ref()?;
        let reason = waiting.reason.clone().filter(|reason| reason.contains("Image"))?;
        Some(Decided::Waits { reason, message: waiting.message.clone().unwrap_or_default() })
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::refused(json!({"waiting": {"reason": "ErrImagePull", "message": "401"}}), Some(("ErrImagePull", "401")))]
    #[case::paused(json!({"waiting": {"reason": "ImagePullBackOff"}}), Some(("ImagePullBackOff", "")))]
    #[case::not_yet(json!({"waiting": {"reason": "ContainerCreating"}}), None)]
    #[case::nothing_yet(json!({}), None)]
    fn an_image_that_is_not_there(#[case] state: serde_json::Value, #[case] expected: Option<(&str, &str)>) {
        let waits = |(reason, message): (&str, &str)| Decided::Waits { reason: reason.into(), message: message.into() };
        assert_eq!(decided(&pod(&state)), expected.map(waits));
    }

    #[rstest]
    #[case::runs(json!({"running": {}}))]
    #[case::ran(json!({"terminated": {"exitCode": 1}}))]
    fn an_image_that_is_there(#[case] state: serde_json::Value) {
        assert_eq!(decided(&pod(&state)), Some(Decided::Started));
    }

    fn pod(state: &serde_json::Value) -> Pod {
        let status =
            json!({"name": "app", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        serde_json::from_value(json!({"status": {"containerStatuses": [status]}})).unwrap()
    }
}
