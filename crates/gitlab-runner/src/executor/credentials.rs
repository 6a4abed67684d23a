//! The credentials for pulls.
//!
//! The order is: the job's `DOCKER_AUTH_CONFIG`, the user's own `docker login`, and the job's login to its project's registry.
//! GitLab Runner's `helpers/docker/auth/auth.go`

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bollard::auth::DockerCredentials;
use serde::Deserialize;

use super::reference::repository;
use gitlab_ci::variables::collection::Variable;

/// The supported part of the Docker client's `config.json`. Credential helpers and stores are not supported.
#[derive(Default, Deserialize)]
struct ClientConfig {
    #[serde(default)]
    auths: BTreeMap<String, Login>,
}

#[derive(Default, Deserialize)]
struct Login {
    username: Option<String>,
    password: Option<String>,
    auth: Option<String>,
    identitytoken: Option<String>,
}

/// The content of the user's own `config.json`.
pub(super) fn user_config() -> Option<String> {
    // An empty value counts as not set, as in Docker's own client.
    let dir = std::env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty()).map(std::path::PathBuf::from);
    let dir = dir.or_else(|| Some(std::env::home_dir()?.join(".docker")))?;
    std::fs::read_to_string(dir.join("config.json")).ok()
}

/// The credentials for pulling an image, given by its full reference. `user` is the content of the user's `config.json`.
pub(super) fn find(image: &str, variables: &[Variable], user: Option<&str>) -> Option<DockerCredentials> {
    let variable = |key: &str| variables.iter().rev().find(|it| &*it.key == key).map(|it| &*it.value);
    let read = |text: &str| login(text, image);
    let image = repository(image);
    let project_login = || {
        let registry = variable("CI_REGISTRY").filter(|registry| covers(registry, image).is_some())?;
        let (username, password) = (variable("CI_REGISTRY_USER")?, variable("CI_REGISTRY_PASSWORD")?);
        Some(credentials(registry, username, password))
    };
    variable("DOCKER_AUTH_CONFIG").and_then(read).or_else(|| user.and_then(read)).or_else(project_login)
}

/// The login for an image, given by its full reference, in the content of a `config.json`.
pub fn login(config: &str, image: &str) -> Option<DockerCredentials> {
    in_config(repository(image), &serde_json::from_str(config).ok()?)
}

fn in_config(image: &str, config: &ClientConfig) -> Option<DockerCredentials> {
    let matching = config.auths.iter().filter_map(|(address, login)| Some((covers(address, image)?, address, login)));
    let (_, address, login) = matching.max_by_key(|(length, ..)| *length)?;
    if let Some(token) = login.identitytoken.as_ref().filter(|token| !token.is_empty()) {
        let identitytoken = Some(token.clone());
        return Some(DockerCredentials {
            identitytoken,
            serveraddress: Some(address.clone()),
            ..DockerCredentials::default()
        });
    }
    if let (Some(username), Some(password)) = (&login.username, &login.password) {
        return Some(credentials(address, username, password));
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(login.auth.as_ref()?.trim()).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some(credentials(address, username, password.trim_end_matches('\0')))
}

fn credentials(address: &str, username: &str, password: &str) -> DockerCredentials {
    DockerCredentials {
        username: Some(username.to_owned()),
        password: Some(password.to_owned()),
        serveraddress: Some(address.to_owned()),
        ..DockerCredentials::default()
    }
}

/// Whether credentials for `address` (a registry, or a path in a registry) apply to an image. Returns the length of the matching part of
/// the image's name: the longest match wins.
fn covers(address: &str, image: &str) -> Option<usize> {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest).trim_end_matches('/');
    let address = address.strip_suffix("/v1").or_else(|| address.strip_suffix("/v2")).unwrap_or(address);
    let address = if address == "index.docker.io" { "docker.io" } else { address };
    let rest = image.strip_prefix(address)?;
    (!address.is_empty() && (rest.is_empty() || rest.starts_with('/'))).then_some(address.len())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use gitlab_ci::variables::collection::Origin;

    const CONFIG: &str = r#"{"auths": {
        "https://index.docker.io/v1/": {"auth": "aHViOnNlY3JldA=="},
        "r.test:5000": {"username": "plain", "password": "p"},
        "r.test:5000/group": {"username": "group", "password": "p"},
        "token.test": {"identitytoken": "t"}
    }, "credsStore": "desktop"}"#;

    #[rstest]
    #[case::docker_hub("docker.io/library/rust:1", Some("hub"))]
    #[case::registry("r.test:5000/other/a:1", Some("plain"))]
    #[case::longest_address_wins("r.test:5000/group/a:1", Some("group"))]
    #[case::part_of_a_path_segment("r.test:5000/grouped/a:1", Some("plain"))]
    #[case::another_registry("r.test/a:1", None)]
    #[case::project_registry("own.test/group/a:1", Some("ci"))]
    fn the_matching_login_is_used(#[case] image: &str, #[case] user: Option<&str>) {
        let own = [("CI_REGISTRY", "own.test"), ("CI_REGISTRY_USER", "ci"), ("CI_REGISTRY_PASSWORD", "p")];
        let own = own.map(|(key, value)| Variable::new(key, value, Origin::Project));
        assert_eq!(find(image, &own, Some(CONFIG)).and_then(|it| it.username).as_deref(), user);
    }

    #[test]
    fn the_jobs_login_precedes_the_users() {
        let job = [Variable::new("DOCKER_AUTH_CONFIG", &CONFIG.replace("plain", "job"), Origin::Project)];
        let found = find("r.test:5000/a:1", &job, Some(CONFIG)).unwrap();
        assert_eq!(found.username.as_deref(), Some("job"));
        assert_eq!(find("token.test/a:1", &job, None).unwrap().identitytoken.as_deref(), Some("t"));
        let broken = [Variable::new("DOCKER_AUTH_CONFIG", "{", Origin::Project)];
        assert!(find("r.test:5000/a:1", &broken, None).is_none());
    }
}
