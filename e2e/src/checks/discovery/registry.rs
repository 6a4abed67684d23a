//! The registry of the deployed image, with the login of the pull secret.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::choice::Search;
use crate::checks::registry::image;
use crate::checks::registry_api::RegistryApi;
use crate::checks::target::{RegistryTarget, Target};
use container_engine::error_chain::error_chain;
use gitlab_runner::executor;

/// The key of the login in a Secret of type `kubernetes.io/dockerconfigjson`.
const KEY: &str = ".dockerconfigjson";

/// Maximum time to resolve the registry's name.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The port of a registry whose name has none.
const HTTPS: u16 = 443;

/// The remedy if no login is found.
const LOGIN: &str = "pass `--registry HOST --registry-user USER --registry-password-file FILE`";

/// The credentials for a registry.
#[derive(PartialEq, Eq)]
struct Login {
    user: String,
    password: String,
}

/// Finds the registry and the login.
pub(super) async fn find(target: &Target, deployments: &[&Deployment]) -> Search<RegistryTarget> {
    let deployment = deployments.first().ok_or("no Deployment was found, so the registry is unknown")?;
    let image = image(deployment);
    let host = executor::registry(&image).ok_or_else(|| format!("the image {image} names no registry; {LOGIN}"))?;
    let secrets = Api::<Secret>::namespaced(target.client.clone(), &target.namespace);
    let (login, secret) = login(&secrets, deployment, &image, host).await?;
    resolve(host).await.map_err(|reason| {
        format!("this machine cannot resolve {host} ({reason}); run the checks on a machine that can")
    })?;
    let api = RegistryApi::new(host, &format!("https://{host}"), (&login.user, &login.password), None);
    let api = api.map_err(|error| error_chain(&error))?;
    // The check reports a rejected login. Only a certificate needs another option.
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
async fn login(
    secrets: &Api<Secret>,
    deployment: &Deployment,
    image: &str,
    host: &str,
) -> Result<(Login, String), String> {
    let pod = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let names: Vec<String> =
        pod.iter().flat_map(|pod| pod.image_pull_secrets.iter().flatten()).map(|secret| secret.name.clone()).collect();
    if names.is_empty() {
        return Err(format!("the Deployment has no pull secret; {LOGIN}"));
    }
    let mut unread = None;
    for name in &names {
        match secrets.get_opt(name).await {
            Ok(secret) => {
                let data = secret.and_then(|secret| secret.data).and_then(|mut data| data.remove(KEY));
                if let Some(login) = data.and_then(|data| parse_login(&data.0, image)) {
                    return Ok((login, name.clone()));
                }
            }
            // Another Secret may have the login.
            Err(error) => {
                let reason = format!("the account cannot read Secret {name} ({}); {LOGIN}", error_chain(&error));
                unread.get_or_insert(reason);
            }
        }
    }
    Err(unread.unwrap_or_else(|| format!("no login for {host} in the pull secrets {}; {LOGIN}", names.join(", "))))
}

/// Looks up the name of a registry.
async fn resolve(registry: &str) -> Result<(), String> {
    let (host, port) = host_and_port(registry);
    let looked_up = timeout(TIMEOUT, lookup_host((host, port))).await;
    match looked_up {
        Ok(found) => found.map(drop).map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
    }
}

/// The host of a registry, an IPv6 address without its brackets, and its port.
fn host_and_port(registry: &str) -> (&str, u16) {
    let split = registry.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = split.unwrap_or((registry, HTTPS));
    (host.trim_matches(['[', ']']), port)
}

/// The login for an image in the data of a pull secret.
fn parse_login(config: &[u8], image: &str) -> Option<Login> {
    let credentials = executor::login(std::str::from_utf8(config).ok()?, image)?;
    Some(Login { user: credentials.username?, password: credentials.password? })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use k8s_openapi::ByteString;
    use kube::client::Body;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// An API server that refuses to read the Secret `secret`, and has a login in `login`.
    fn client() -> kube::Client {
        let service = tower::service_fn(|request: Request<Body>| async move {
            let config = json!({"auths": {"r.test": {"username": "ci", "password": "p"}}}).to_string();
            let (code, answer) = match request.uri().path().rsplit('/').next() {
                Some("login") => (200, json!({"metadata": {}, "data": {KEY: ByteString(config.into_bytes())}})),
                _ => (403, json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no right"})),
            };
            let answer = Body::from(serde_json::to_vec(&answer).unwrap());
            Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap())
        });
        kube::Client::new(service, "default")
    }

    #[rstest]
    #[case::the_second_has_the_login(&["secret", "login"], Ok("login"))]
    #[case::none_has_the_login(&["secret"], Err("the account cannot read Secret secret "))]
    #[tokio::test]
    async fn a_secret_that_cannot_be_read_does_not_end_the_search(
        #[case] names: &[&str],
        #[case] expected: Result<&str, &str>,
    ) {
        let secrets: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
        let template = json!({"spec": {"containers": [], "imagePullSecrets": secrets}});
        let deployment = json!({"metadata": {}, "spec": {"selector": {}, "template": template}});
        let deployment = serde_json::from_value(deployment).unwrap();
        let api = Api::namespaced(client(), "gitlab");
        match (login(&api, &deployment, "r.test/group/project:1", "r.test").await, expected) {
            (Ok((_, secret)), Ok(expected)) => assert_eq!(secret, expected),
            (Err(error), Err(expected)) => assert!(error.starts_with(expected), "{error}"),
            (found, expected) => panic!("a login: {}, expected {expected:?}", found.is_ok()),
        }
    }

    #[rstest]
    #[case::name("registry.example.com", ("registry.example.com", 443))]
    #[case::port("registry:5000", ("registry", 5000))]
    #[case::ipv4("192.0.2.1:5000", ("192.0.2.1", 5000))]
    #[case::ipv6("[2001:db8::1]", ("2001:db8::1", 443))]
    #[case::ipv6_and_port("[2001:db8::1]:5000", ("2001:db8::1", 5000))]
    fn the_port_of_a_registry_is_that_of_https_unless_its_name_has_one(
        #[case] registry: &str,
        #[case] expected: (&str, u16),
    ) {
        assert_eq!(host_and_port(registry), expected);
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
        assert!(parse_login(config.as_bytes(), "r.test/group/project:1") == expected);
    }
}
