//! Checks that the registry requires a login, and that the pods run the image that the tag refers to.
//!
//! Only the tag or digest of the Deployment's image is checked. Other tags of the same repository, such as `latest`, may refer to any
//! image, because no pod here runs them.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt;
use reqwest::StatusCode;

use super::check::{Evidence, Outcome};
use super::environment::{Environment, object_ref};
use super::failure::expected;
use super::registry_api::RegistryApi;
use crate::record::Failure;

pub(super) async fn run(environment: Environment) -> Outcome {
    // Always given, because `CHECKS` lists it as a need.
    let Some(registry) = &environment.registry else { return Ok(Evidence::default()) };
    let mut evidence = Evidence::default();
    require_denied(registry, registry.login(None), "without a login").await?;
    require_denied(registry, registry.login_of_unknown_user(), "as an unknown user").await?;
    let status = registry.own_login().await.map_err(|reason| unreachable(registry, &reason))?;
    if status != StatusCode::OK {
        return Err(expected(format!("{} accepts its user's credentials", registry.host))
            .actual(status)
            .at(format!("registry {}", registry.host))
            .hint(
                "the credentials in the pipeline and the pull secret are not those of the registry",
                "set CI_REGISTRY_USER and CI_REGISTRY_PASSWORD for this registry, and recreate the pull secret",
            ));
    }
    evidence.add(format!(
        "{} denies access without a login and as an unknown user, and accepts its user's credentials",
        registry.host
    ));
    let deployment = environment.deployment().await?;
    let image = image(&deployment);
    let Some(Image { repository, reference }) = Image::parse(&image, &registry.host) else {
        return Err(expected(format!("an image from {}", registry.host))
            .actual(&image)
            .at(object_ref(&deployment))
            .with(&environment.diagnostics(&deployment).await)
            .hint(
                "the deploy job uses another registry",
                "set CI_REGISTRY and CI_REGISTRY_IMAGE to the registry that the image was pushed to",
            ));
    };
    let digest = match registry.digest(repository, reference).await {
        Ok(digest) => digest,
        Err(reason) => {
            return Err(expected(format!("{image} in the registry"))
                .actual(reason)
                .at(object_ref(&deployment))
                .with(&environment.diagnostics(&deployment).await)
                .hint(
                    "the image was never pushed, or its tag was deleted",
                    "run the job that pushes the image, and look at its log",
                ));
        }
    };
    evidence.add(if reference == digest {
        format!("{image} is in the registry")
    } else {
        format!("{repository}:{reference} has digest {digest}")
    });
    let container = container(&deployment);
    for pod in environment.some_pods().await? {
        let runs = image_of_container(&environment, &pod, &container).await?;
        if !runs.ends_with(&digest) {
            return Err(expected(format!("{} runs {digest}", pod.name_any()))
                .actual(runs)
                .at(object_ref(&pod))
                .with(&environment.explain_pod(&pod).await)
                .hint(
                    "the tag was pushed again after the pod was created, and no new deployment followed",
                    "deploy again: the deploy job patches the Deployment even if nothing else has changed",
                ));
        }
        evidence.add(format!("{} runs this digest", pod.name_any()));
    }
    Ok(evidence)
}

async fn require_denied(
    registry: &RegistryApi,
    login: impl Future<Output = Result<StatusCode, String>>,
    how: &str,
) -> Result<(), Failure> {
    let status = login.await.map_err(|reason| unreachable(registry, &reason))?;
    if status == StatusCode::UNAUTHORIZED {
        return Ok(());
    }
    Err(expected(format!("{} returns 401 {how}", registry.host))
        .actual(status)
        .at(format!("registry {}", registry.host))
        .caused_by(
            "the registry does not require a login, so anyone can push the images that the cluster runs",
            "configure the registry with htpasswd or a token service",
        ))
}

fn unreachable(registry: &RegistryApi, reason: &str) -> Failure {
    expected(format!("a response from {}", registry.host))
        .actual(reason)
        .at(format!("registry {}", registry.host))
        .hint(
            "the registry is not running, or this machine does not trust the authority of its certificate",
            "pass its address with `--registry`, and its authority with `--registry-ca`",
        )
}

/// The image of a Deployment's first container.
pub fn image(deployment: &Deployment) -> String {
    first_container(deployment).and_then(|it| it.image.clone()).unwrap_or_default()
}

/// The name of a Deployment's first container.
pub(super) fn container(deployment: &Deployment) -> String {
    first_container(deployment).map(|it| it.name.clone()).unwrap_or_default()
}

fn first_container(deployment: &Deployment) -> Option<&Container> {
    deployment.spec.as_ref()?.template.spec.as_ref()?.containers.first()
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Image<'image> {
    /// The image's path in the registry.
    repository: &'image str,
    /// The image's digest if there is one, which takes precedence over a tag, or else its tag.
    reference: &'image str,
}

impl<'image> Image<'image> {
    /// Parses an image's name. Returns `None` if it is in another registry.
    pub(super) fn parse(image: &'image str, host: &str) -> Option<Self> {
        let path = image.strip_prefix(host)?.strip_prefix('/')?;
        let (name, digest) = path.split_once('@').map_or((path, None), |(name, digest)| (name, Some(digest)));
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
        Some(Self { repository, reference: digest.unwrap_or(tag) })
    }
}

/// Waits until a container has its image, and returns it.
async fn image_of_container(environment: &Environment, pod: &Pod, container: &str) -> Result<String, Failure> {
    let reason = match environment.watch_pod(&pod.name_any(), |pod| image_id(pod, container)).await {
        Ok(image) => return Ok(image),
        Err(reason) => reason,
    };
    Err(expected(format!("{} runs an image", pod.name_any()))
        .actual(format!("no image in container {container}: {reason}"))
        .at(object_ref(pod))
        .with(&environment.explain_pod(pod).await)
        .hint("the container has not started", "read the pod's events: `kubectl describe pod`"))
}

/// The image that a container runs according to its runtime: `REPOSITORY@DIGEST`. Container statuses have no fixed order.
fn image_id(pod: &Pod, container: &str) -> Option<String> {
    let mut statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let own = statuses.find(|status| status.name == container).map(|status| status.image_id.clone());
    own.filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::tag("r.test/course/demo:v1", "r.test", Some(("course/demo", "v1")))]
    #[case::no_tag("r.test:5000/demo", "r.test:5000", Some(("demo", "latest")))]
    #[case::digest("r.test:5000/course/demo@sha256:ab", "r.test:5000", Some(("course/demo", "sha256:ab")))]
    #[case::tag_and_digest("r.test/demo:v1@sha256:ab", "r.test", Some(("demo", "sha256:ab")))]
    #[case::another_registry("other.test/demo:v1", "r.test", None)]
    #[case::a_longer_host("r.test.other/demo:v1", "r.test", None)]
    fn an_image_name_is_parsed(#[case] image: &str, #[case] host: &str, #[case] expected: Option<(&str, &str)>) {
        let expected = expected.map(|(repository, reference)| Image { repository, reference });
        assert_eq!(Image::parse(image, host), expected);
    }

    #[test]
    fn the_image_of_a_container_is_found_by_its_name() {
        let status =
            |name: &str, id: &str| json!({"name": name, "image": "", "imageID": id, "ready": true, "restartCount": 0});
        let pod = json!({"status": {"containerStatuses": [status("side", "x@sha256:1"), status("app", "x@sha256:2"), status("new", "")]}});
        let pod = serde_json::from_value(pod).unwrap();
        assert_eq!(image_id(&pod, "app").as_deref(), Some("x@sha256:2"));
        assert_eq!(image_id(&pod, "new"), None);
        assert_eq!(image_id(&pod, "other"), None);
    }
}
