//! Checks that pods pull their image with the pull secret, and that a pod without it cannot pull the image.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::sync::{Mutex, PoisonError};

use futures_util::future::try_join;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodSpec, Secret};
use kube::ResourceExt;

use super::check::{Evidence, Outcome, end_pod, end_pods};
use super::environment::{Environment, object_ref};
use super::extra_pod::{ExtraPod, never_ready};
use super::failure::expected;
use super::pull_denial::is_pull_denied;
use crate::record::Failure;

/// The types of Secrets that kubelets read registry credentials from: the type that `kubectl create secret docker-registry` creates,
/// and its predecessor.
const TYPES: [&str; 2] = ["kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"];

pub(super) async fn run(environment: Environment) -> Outcome {
    let mut evidence = Evidence::default();
    let mut known = BTreeSet::new();
    for pod in environment.some_pods().await? {
        let secrets = secrets(&pod);
        if secrets.is_empty() {
            return Err(expected("imagePullSecrets")
                .actual("none")
                .at(object_ref(&pod))
                .with(&environment.explain_pod(&pod).await)
                .caused_by(
                    "the Deployment names no pull secret, and its ServiceAccount has none",
                    "add `imagePullSecrets: [{name: myregistry}]` to the pod template",
                ));
        }
        for secret in &secrets {
            let kind = require_secret(&environment, &pod, secret).await?;
            known.insert(format!("Secret {secret} exists and has type {kind}"));
        }
        evidence.add(format!("{} pulls with {}", pod.name_any(), secrets.into_iter().collect::<Vec<_>>().join(", ")));
    }
    evidence.lines.extend(known);
    // Both at the same time, because each takes as long as a pull.
    let with = make(&environment, |_| ()).await?;
    let without = match make(&environment, |spec| spec.image_pull_secrets = None).await {
        Ok(pod) => pod,
        Err(failure) => return end_pod(with, &environment, Err(failure)).await,
    };
    let both = try_join(pulled(&environment, &with.name), refused(&environment, &without.name));
    let seen = Box::pin(both).await.map(|(pulled, denied)| {
        evidence.lines.extend([pulled, denied]);
        evidence
    });
    end_pods(vec![with, without], &environment, seen).await
}

/// Creates a pod that pulls the image and ends. It receives no requests.
async fn make(environment: &Environment, change: impl FnOnce(&mut PodSpec)) -> Result<ExtraPod, Failure> {
    ExtraPod::create(environment, "pull-secret", |spec| {
        spec.restart_policy = Some("Never".to_owned());
        // Their images are pulled first, and may come from another registry.
        spec.init_containers = None;
        for container in &mut spec.containers {
            // Otherwise a node that has the image would not contact the registry.
            container.image_pull_policy = Some("Always".to_owned());
            container.args = Some(vec!["--version".to_owned()]);
        }
        never_ready(spec);
        change(spec);
    })
    .await
}

/// Waits until the images of a pod are pulled, or the registry denies one. Other failures may end: the kubelet pulls again, and the
/// observer reports a state that lasts. The error has the last failure, or says that there was no result in time.
async fn pull(environment: &Environment, name: &str, images: &[String]) -> Result<PullResult, String> {
    let last = Mutex::new(None);
    let ended = environment.watch_pod(name, |pod| {
        let result = pull_result(pod)?;
        let is_pending = matches!(&result, PullResult::Waiting { message, .. } if !is_denied(message, images));
        *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(result.to_string());
        (!is_pending).then_some(result)
    });
    let ended = ended.await;
    let last = last.into_inner().unwrap_or_else(PoisonError::into_inner);
    ended.map_err(|reason| last.unwrap_or_else(|| format!("no result of the pull: {reason}")))
}

/// Waits until a pod with the pull secret has pulled the image, and returns a line of evidence. A node that already has the image contacts
/// the registry, too, because the pull policy is `Always`.
async fn pulled(environment: &Environment, name: &str) -> Result<String, Failure> {
    let pod = environment.api::<Pod>().get(name).await?;
    let images = images(&pod);
    let seen = match pull(environment, name, &images).await {
        Ok(PullResult::Started) => return Ok("a pod with it pulls the image".to_owned()),
        Ok(denied) => denied.to_string(),
        Err(last) => last,
    };
    let failure = expected("a pod with the pull secret pulls the image")
        .actual(&seen)
        .at(object_ref(&pod))
        .with(&environment.explain_pod(&pod).await);
    let secrets = secrets(&pod).into_iter().collect::<Vec<_>>().join(", ");
    if is_denied(&seen, &images) {
        return Err(failure.caused_by(
            format!(
                "the registry denies the pull with Secret {secrets}: its password is wrong, it is for another registry, or its user may not \
                 read the image"
            ),
            "create the Secret again for this registry, with its current password: `kubectl create secret docker-registry`",
        ));
    }
    Err(not_pulled(failure))
}

fn is_denied(message: &str, images: &[String]) -> bool {
    images.iter().any(|image| is_pull_denied(message, image))
}

/// Adds the likely cause to the failure of a pull that the registry did not deny.
fn not_pulled(failure: Failure) -> Failure {
    failure.hint(
        "one of: the nodes cannot reach the registry; they do not trust its certificate; the image does not exist",
        "configure the registry's name and certificate authority on the nodes, and run the job that pushes the image",
    )
}

/// Checks that a pod's pull secret exists and has a valid type, and returns the type. Kubelets skip invalid secrets, and report them
/// only if no other secret works. The check does not read the secret's content.
async fn require_secret(environment: &Environment, pod: &Pod, name: &str) -> Result<String, Failure> {
    let secret = environment.api::<Secret>().get_opt(name).await?;
    let (seen, cause) = match secret.map(|secret| secret.type_.unwrap_or_else(|| "Opaque".to_owned())) {
        Some(kind) if TYPES.contains(&&*kind) => return Ok(kind),
        Some(kind) => {
            (format!("{name} of type {kind}"), format!("kubelets do not read credentials from a Secret of type {kind}"))
        }
        None => {
            (format!("no Secret {name}"), "the Secret was deleted, or was never created in this namespace".to_owned())
        }
    };
    Err(expected(format!("the pull secret {name} of type {}", TYPES[0]))
        .actual(seen)
        .at(format!("Secret {}/{name}", environment.namespace))
        .with(&environment.explain_pod(pod).await)
        .caused_by(
            cause,
            "run `kubectl create secret docker-registry NAME --docker-server=…` in the namespace, or remove the name from imagePullSecrets",
        ))
}

/// Waits until the registry denies the pod's image, and returns a line of evidence.
async fn refused(environment: &Environment, name: &str) -> Result<String, Failure> {
    let pod = environment.api::<Pod>().get(name).await?;
    let result = pull(environment, name, &images(&pod)).await;
    if let Ok(PullResult::Waiting { reason, .. }) = &result {
        return Ok(format!("a pod without it cannot pull the image: {reason}"));
    }
    let failure = expected("a pull that the registry denies because of missing credentials").at(object_ref(&pod));
    let failure = failure.with(&environment.explain_pod(&pod).await);
    if let Err(last) = result {
        return Err(not_pulled(failure.actual(last)));
    }
    let own = secrets(&pod).into_iter().collect::<Vec<_>>().join(", ");
    let cause = if own.is_empty() {
        "the registry allows anonymous pulls, or the node itself has credentials for it".to_owned()
    } else {
        format!("the ServiceAccount of the pods has its own pull secret: {own}")
    };
    let seen = if own.is_empty() {
        "pulled the image without any pull secret".to_owned()
    } else {
        format!("pulled the image with {own}")
    };
    Err(failure.actual(seen).caused_by(
        cause,
        "make the registry require a login, and give the credentials to pods only through their pull secret",
    ))
}

fn secrets(pod: &Pod) -> BTreeSet<String> {
    let secrets = pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    secrets.map(|secret| secret.name.clone()).collect()
}

fn images(pod: &Pod) -> Vec<String> {
    pod.spec.iter().flat_map(|spec| &spec.containers).filter_map(|container| container.image.clone()).collect()
}

/// The result of pulling a pod's images.
#[derive(Debug, PartialEq, Eq)]
enum PullResult {
    /// A pull failed.
    Waiting { reason: String, message: String },
    /// All images were pulled and the containers started.
    Started,
}

impl Display for PullResult {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { reason, message } => write!(f, "{reason}: {message}"),
            Self::Started => f.write_str("pulled"),
        }
    }
}

fn pull_result(pod: &Pod) -> Option<PullResult> {
    let statuses = pod.status.as_ref()?.container_statuses.as_deref().unwrap_or_default();
    let failed = statuses.iter().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.clone().filter(|reason| reason.contains("Image"))?;
        Some(PullResult::Waiting { reason, message: waiting.message.clone().unwrap_or_default() })
    });
    let is_started = |container: &ContainerStatus| {
        let state = container.state.as_ref();
        container.started == Some(true) || state.is_some_and(|it| it.running.is_some() || it.terminated.is_some())
    };
    let have_all_started = !statuses.is_empty() && statuses.iter().all(is_started);
    failed.or_else(|| have_all_started.then_some(PullResult::Started))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::denied(json!({"waiting": {"reason": "ErrImagePull", "message": "401"}}), Some(("ErrImagePull", "401")))]
    #[case::back_off(json!({"waiting": {"reason": "ImagePullBackOff"}}), Some(("ImagePullBackOff", "")))]
    #[case::not_yet(json!({"waiting": {"reason": "ContainerCreating"}}), None)]
    #[case::no_state_yet(json!({}), None)]
    fn a_failed_pull_is_found(#[case] state: serde_json::Value, #[case] expected: Option<(&str, &str)>) {
        let waiting =
            |(reason, message): (&str, &str)| PullResult::Waiting { reason: reason.into(), message: message.into() };
        assert_eq!(pull_result(&pod(&[&state])), expected.map(waiting));
        // Another container may have started already.
        assert_eq!(pull_result(&pod(&[&json!({"running": {}}), &state])), expected.map(waiting));
    }

    #[rstest]
    #[case::running(json!({"running": {}}))]
    #[case::terminated(json!({"terminated": {"exitCode": 1}}))]
    fn a_started_container_has_its_image(#[case] state: serde_json::Value) {
        assert_eq!(pull_result(&pod(&[&state])), Some(PullResult::Started));
    }

    fn pod(states: &[&serde_json::Value]) -> Pod {
        let container = |state: &&serde_json::Value| json!({"name": "app", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        let statuses: Vec<_> = states.iter().map(container).collect();
        serde_json::from_value(json!({"status": {"containerStatuses": statuses}})).unwrap()
    }
}
