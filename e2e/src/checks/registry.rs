//! The registry lets nobody in but its user, and what the pods run is what the tag stands for.
//!
//! It is the tag, or the digest, of the Deployment's image that counts. Other tags of the same repository, `latest` among them,
//! may stand for anything: nobody here runs them.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt;
use reqwest::StatusCode;

use super::check::{Evidence, Outcome};
use super::failure::expected;
use super::registry_api::RegistryApi;
use super::subject::{Subject, called};
use crate::record::Failure;

pub(super) async fn run(subject: Subject) -> Outcome {
    // Only where it is given: the list of checks says so.
    let Some(registry) = &subject.registry else { return Ok(Evidence::default()) };
    let mut evidence = Evidence::default();
    refuses(registry, None, "without a login").await?;
    refuses(registry, Some("not the password"), "with a wrong password").await?;
    let status = registry.own_login().await.map_err(|why| unreachable(registry, &why))?;
    if status != StatusCode::OK {
        return Err(expected(format!("{} lets its user in", registry.host))
            .saw(status)
            .at(format!("registry {}", registry.host))
            .because(
                "the login of the registry is not the one that the pipeline and the pull secret have",
                "give CI_REGISTRY_USER and CI_REGISTRY_PASSWORD of this registry, and make the pull secret anew",
            ));
    }
    evidence.add(format!("{} refuses strangers and wrong passwords, and lets its user in", registry.host));
    let deployment = subject.deployment().await?;
    let image = image(&deployment);
    let Some(Image { repository, reference }) = Image::of(&image, &registry.host) else {
        return Err(expected(format!("an image of {}", registry.host))
            .saw(&image)
            .at(called(&deployment))
            .with(&subject.around(&deployment).await)
            .because(
                "the deploy job was given another registry",
                "set CI_REGISTRY and CI_REGISTRY_IMAGE to the registry that the image was pushed to",
            ));
    };
    let digest = match registry.digest(repository, reference).await {
        Ok(digest) => digest,
        Err(why) => {
            return Err(expected(format!("{image} in the registry"))
                .saw(why)
                .at(called(&deployment))
                .with(&subject.around(&deployment).await)
                .because(
                    "the image was never pushed, or its tag was deleted",
                    "run the pipeline's job that pushes it, and look at its log",
                ));
        }
    };
    evidence.add(if reference == digest {
        format!("{image} is in the registry")
    } else {
        format!("{repository}:{reference} is {digest}")
    });
    let container = container(&deployment);
    for pod in subject.some_pods().await? {
        let runs = image_id(&pod, &container);
        if !runs.ends_with(&digest) {
            return Err(expected(format!("{} runs {digest}", pod.name_any()))
                .saw(runs)
                .at(called(&pod))
                .with(&subject.explain_pod(&pod).await)
                .because(
                    "the tag was pushed again after the pod was made, and nothing told the cluster",
                    "deploy again: the deploy job patches the Deployment when nothing else has changed",
                ));
        }
        evidence.add(format!("{} runs it", pod.name_any()));
    }
    Ok(evidence)
}

async fn refuses(registry: &RegistryApi, password: Option<&str>, how: &str) -> Result<(), Failure> {
    let status = registry.login(password).await.map_err(|why| unreachable(registry, &why))?;
    if status == StatusCode::UNAUTHORIZED {
        return Ok(());
    }
    Err(expected(format!("{} answers 401 {how}", registry.host))
        .saw(status)
        .at(format!("registry {}", registry.host))
        .because(
            "the registry asks nobody for a login, so anybody may push what the cluster runs",
            "set the registry up with htpasswd or a token service",
        ))
}

fn unreachable(registry: &RegistryApi, why: &str) -> Failure {
    expected(format!("{} answers", registry.host)).saw(why).at(format!("registry {}", registry.host)).because(
        "the registry does not run, or its certificate is signed by an authority that is not known here",
        "give its address with `--registry`, and its authority with `--registry-ca`",
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

/// An image in a registry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Image<'image> {
    /// Its path there.
    repository: &'image str,
    /// Its tag or, where there is one, its digest: that decides, whatever the tag beside it says.
    reference: &'image str,
}

impl<'image> Image<'image> {
    /// The parts of an image's name; nothing if it is of another registry.
    pub(super) fn of(image: &'image str, host: &str) -> Option<Self> {
        let path = image.strip_prefix(host)?.strip_prefix('/')?;
        let (name, digest) = path.split_once('@').map_or((path, None), |(name, digest)| (name, Some(digest)));
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
        Some(Self { repository, reference: digest.unwrap_or(tag) })
    }
}

/// What a container runs, as its runtime says it: `REPOSITORY@DIGEST`. Statuses are in no order.
fn image_id(pod: &Pod, container: &str) -> String {
    let mut statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let own = statuses.find(|status| status.name == container).map(|status| status.image_id.clone());
    own.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("no image yet in container {container}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::a_tag("r.test/course/demo:v1", "r.test", Some(("course/demo", "v1")))]
    #[case::none("r.test:5000/demo", "r.test:5000", Some(("demo", "latest")))]
    #[case::a_digest("r.test:5000/course/demo@sha256:ab", "r.test:5000", Some(("course/demo", "sha256:ab")))]
    #[case::both("r.test/demo:v1@sha256:ab", "r.test", Some(("demo", "sha256:ab")))]
    #[case::elsewhere("other.test/demo:v1", "r.test", None)]
    #[case::a_longer_host("r.test.other/demo:v1", "r.test", None)]
    fn images(#[case] image: &str, #[case] host: &str, #[case] expected: Option<(&str, &str)>) {
        let expected = expected.map(|(repository, reference)| Image { repository, reference });
        assert_eq!(Image::of(image, host), expected);
    }

    #[test]
    fn what_a_container_runs() {
        let status =
            |name: &str, id: &str| json!({"name": name, "image": "", "imageID": id, "ready": true, "restartCount": 0});
        let pod = json!({"status": {"containerStatuses": [status("side", "x@sha256:1"), status("app", "x@sha256:2"), status("new", "")]}});
        let pod = serde_json::from_value(pod).unwrap();
        assert_eq!(image_id(&pod, "app"), "x@sha256:2");
        assert_eq!(image_id(&pod, "new"), "no image yet in container new");
        assert_eq!(image_id(&pod, "other"), "no image yet in container other");
    }
}
