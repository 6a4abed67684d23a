//! The registry lets nobody in but its user, and what the pods run is what the tag stands for.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use reqwest::StatusCode;

use super::failure::expected;
use super::registry_api::RegistryApi;
use super::subject::{Subject, called};
use super::{Evidence, Outcome};
use crate::record::Failure;

pub(super) async fn run(subject: Subject) -> Outcome {
    // Only where it is given: the list of checks says so.
    let Some(registry) = &subject.registry else { return Ok(Evidence::default()) };
    let mut evidence = Evidence::default();
    refuses(registry, None, "without a login").await?;
    refuses(registry, Some("not the password"), "with a wrong password").await?;
    let status = registry.own_login().await.map_err(|why| unreachable(registry, &why))?;
    if status != StatusCode::OK {
        return Err(expected(format!("{} lets its user in", registry.host)).saw(status).because(
            "the login of the registry is not the one that the pipeline and the pull secret have",
            "give CI_REGISTRY_USER and CI_REGISTRY_PASSWORD of this registry, and make the pull secret anew",
        ));
    }
    evidence.add(format!("{} refuses strangers and wrong passwords, and lets its user in", registry.host));
    let deployment = subject.deployment().await?;
    let image = image(&deployment);
    let Some((repository, tag)) = split(&image, &registry.host) else {
        return Err(expected(format!("an image of {}", registry.host)).saw(&image).at(called(&deployment)).because(
            "the deploy job was given another registry",
            "set CI_REGISTRY and CI_REGISTRY_IMAGE to the registry that the image was pushed to",
        ));
    };
    let digest = registry.digest(repository, tag).await.map_err(|why| {
        expected(format!("{image} in the registry")).saw(why).at(called(&deployment)).because(
            "the image was never pushed, or its tag was deleted",
            "run the pipeline's job that pushes it, and look at its log",
        )
    })?;
    evidence.add(format!("{repository}:{tag} is {digest}"));
    for pod in subject.pods().await? {
        let runs = image_id(&pod);
        if !runs.ends_with(&digest) {
            return Err(expected(format!("{} runs {digest}", pod.name_any())).saw(runs).at(called(&pod)).because(
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
    Err(expected(format!("{} answers 401 {how}", registry.host)).saw(status).because(
        "the registry asks nobody for a login, so anybody may push what the cluster runs",
        "set the registry up with htpasswd or a token service",
    ))
}

fn unreachable(registry: &RegistryApi, why: &str) -> Failure {
    expected(format!("{} answers", registry.host)).saw(why).because(
        "the registry does not run, or its certificate is signed by an authority that is not known here",
        "give its address with `--registry`, and its authority with `--registry-ca`",
    )
}

/// The image of a Deployment's first container.
pub fn image(deployment: &k8s_openapi::api::apps::v1::Deployment) -> String {
    let spec = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    spec.and_then(|spec| spec.containers.first()?.image.clone()).unwrap_or_default()
}

/// Repository and tag of an image in a registry.
fn split<'image>(image: &'image str, host: &str) -> Option<(&'image str, &'image str)> {
    let path = image.strip_prefix(host)?.strip_prefix('/')?;
    Some(path.rsplit_once(':').unwrap_or((path, "latest")))
}

/// What the first container runs, as its runtime says it: `REPOSITORY@DIGEST`.
fn image_id(pod: &Pod) -> String {
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    containers.map(|container| container.image_id.clone()).next().unwrap_or_else(|| "no image yet".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images() {
        assert_eq!(split("r.test/course/demo:v1", "r.test"), Some(("course/demo", "v1")));
        assert_eq!(split("r.test:5000/demo", "r.test:5000"), Some(("demo", "latest")));
        assert_eq!(split("other.test/demo:v1", "r.test"), None);
    }
}
