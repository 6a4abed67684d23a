//! The registry of the deployed image, with the login of the pull secret.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::choice::Search;
use crate::checks::registry::image;
use crate::checks::registry_api::RegistryApi;
use crate::checks::target::{RegistryTarget, Target};
use container_engine::error_chain::error_chain;
use gitlab_runner::executor;

/// The key of the login in a Secret of type `kubernetes.io/dockerconfigjson`.
const KEY: &str = ".dockerconfigjson";

/// What the user can do if no login is found.
const LOGIN: &str = "pass `--registry HOST --registry-user USER --registry-password-file FILE`";

/// A user of a registry.
#[derive(PartialEq, Eq)]
struct Login {
    user: String,
    password: String,
}

/// Finds the registry and the login.
pub(super) async fn find(target: &Target, deployments: &[&Deployment]) -> Search<RegistryTarget> {
    let deployment = deployments.first().ok_or("there is no Deployment whose image names it")?;
    let image = image(deployment);
    let host = executor::registry(&image).ok_or_else(|| format!("the image {image} names no registry; {LOGIN}"))?;
    let (login, secret) = login(target, deployment, &image, host).await?;
    if let Err(error) = tokio::net::lookup_host(with_port(host)).await {
        return Err(format!(
            "this machine cannot resolve {host} ({error}); run the checks where the name resolves: manifests/checks"
        ));
    }
    let api = RegistryApi::new(host, &format!("https://{host}"), (&login.user, &login.password), None);
    let api = api.map_err(|error| error_chain(&error))?;
    if let Err(reason) = api.own_login().await
        && reason.contains("certificate")
    {
        return Err(format!("{reason}; {LOGIN}, and the authority of its certificate with `--registry-ca FILE`"));
    }
    let reason = format!("the registry of image {image}; the login is that of Secret {}/{secret}", target.namespace);
    let Login { user, password } = login;
    let found =
        RegistryTarget { host: host.to_owned(), image: None, user, password, has_private_authority: false, api };
    Ok((found, reason))
}

/// The login for a registry in one of the Deployment's pull secrets, and the Secret's name.
async fn login(target: &Target, deployment: &Deployment, image: &str, host: &str) -> Result<(Login, String), String> {
    let pod = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let names: Vec<String> =
        pod.iter().flat_map(|pod| pod.image_pull_secrets.iter().flatten()).map(|secret| secret.name.clone()).collect();
    if names.is_empty() {
        return Err(format!("the Deployment has no pull secret; {LOGIN}"));
    }
    let secrets = Api::<Secret>::namespaced(target.client.clone(), &target.namespace);
    for name in &names {
        let secret = secrets.get_opt(name).await;
        let secret = secret
            .map_err(|error| format!("the account cannot read Secret {name} ({}); {LOGIN}", error_chain(&error)))?;
        let data = secret.and_then(|secret| secret.data).and_then(|mut data| data.remove(KEY));
        if let Some(login) = data.and_then(|data| login_in(&data.0, image)) {
            return Ok((login, name.clone()));
        }
    }
    Err(format!("no login for {host} in the pull secrets {}; {LOGIN}", names.join(", ")))
}

fn with_port(host: &str) -> String {
    if host.contains(':') { host.to_owned() } else { format!("{host}:443") }
}

/// The login for an image in the data of a pull secret.
fn login_in(config: &[u8], image: &str) -> Option<Login> {
    let credentials = executor::login(std::str::from_utf8(config).ok()?, image)?;
    Some(Login { user: credentials.username?, password: credentials.password? })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("registry.example.com/group/project:1", Some("registry.example.com"))]
    #[case("localhost/project", Some("localhost"))]
    #[case("registry:5000/project@sha256:ab", Some("registry:5000"))]
    #[case("library/redis:7", None)]
    #[case("redis", None)]
    fn the_registry_of_an_image_is_its_host(#[case] image: &str, #[case] expected: Option<&str>) {
        assert_eq!(executor::registry(image), expected);
    }

    #[rstest]
    #[case::both(json!({"r.test": {"username": "ci", "password": "p:w"}}), true)]
    #[case::encoded(json!({"r.test": {"auth": "Y2k6cDp3"}}), true)]
    #[case::a_url(json!({"https://r.test/v2/": {"auth": "Y2k6cDp3"}}), true)]
    #[case::another_host(json!({"r.test.example": {"auth": "Y2k6cDp3"}}), false)]
    #[case::not_base64(json!({"r.test": {"auth": "?"}}), false)]
    #[case::no_login(json!({"r.test": {}}), false)]
    fn the_login_of_a_pull_secret_is_read(#[case] auths: serde_json::Value, #[case] is_found: bool) {
        let config = json!({"auths": auths}).to_string();
        let expected = is_found.then(|| Login { user: "ci".to_owned(), password: "p:w".to_owned() });
        assert!(login_in(config.as_bytes(), "r.test/group/project:1") == expected);
    }
}
