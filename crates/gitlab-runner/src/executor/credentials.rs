//! The credentials for pulls.
//!
//! The sources are, in this order: the job's `DOCKER_AUTH_CONFIG`, the user's own `docker login`, and the job's login to its project's
//! registry. Of all their logins, the one for the longest part of the image's name is used; if there are several, the first one.
//! GitLab Runner's `helpers/docker/auth/auth.go`

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bollard::auth::DockerCredentials;
use serde::Deserialize;

use super::credential_helper::{self, HelperLogin};
use super::reference::repository;
use crate::log::JobLog;
use gitlab_ci::variables::collection::Variable;

/// The supported part of the Docker client's `config.json`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClientConfig {
    auths: BTreeMap<String, Login>,
    /// The name of the helper for each registry.
    cred_helpers: BTreeMap<String, String>,
    /// The name of the helper for all other registries.
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
struct Login {
    username: Option<String>,
    password: Option<String>,
    auth: Option<String>,
    identitytoken: Option<String>,
}

/// The credentials for an image, and the length of the part of the image's name that they are for.
struct Match {
    length: usize,
    credentials: DockerCredentials,
}

/// The logins of the user who runs the program.
#[derive(Default)]
pub(super) struct UserConfig(ClientConfig);

impl UserConfig {
    /// Reads the user's `config.json`, or else the older `~/.dockercfg`, which contains only logins.
    pub(super) fn read() -> Self {
        // An empty value counts as not set, as in Docker's own client.
        let dir = std::env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let home = std::env::home_dir();
        let dir = dir.or_else(|| Some(home.as_ref()?.join(".docker")));
        if let Some(text) = dir.and_then(|dir| std::fs::read_to_string(dir.join("config.json")).ok()) {
            return Self::parse(&text);
        }
        let old = home.and_then(|home| std::fs::read_to_string(home.join(".dockercfg")).ok()).unwrap_or_default();
        let auths = serde_json::from_str(&old).unwrap_or_default();
        Self(ClientConfig { auths, ..ClientConfig::default() })
    }

    /// The logins in the text of a `config.json`.
    pub(super) fn parse(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_default())
    }

    /// The helper for an image: the address that it is asked for, its name, and the length of the part of the image's name.
    fn helper(&self, image: &str) -> Option<(String, &str, usize)> {
        let matching =
            self.0.cred_helpers.iter().filter_map(|(address, name)| Some((address, name, covers(address, image)?)));
        if let Some((address, name, length)) = matching.max_by_key(|(_, _, length)| *length) {
            return Some((address.clone(), name, length));
        }
        let host = image.split('/').next().unwrap_or_default();
        // Docker's own client stores the login to Docker Hub with this address.
        let address = if host == "docker.io" { "https://index.docker.io/v1/" } else { host };
        Some((address.to_owned(), self.0.creds_store.as_deref()?, host.len()))
    }
}

/// The credentials for pulling an image, given by its full reference. A helper that fails is a warning in the log.
pub(super) async fn find(
    image: &str,
    variables: &[Variable],
    user: &UserConfig,
    log: &JobLog,
) -> Option<DockerCredentials> {
    let image = repository(image);
    let variable = |key: &str| variables.iter().rev().find(|it| &*it.key == key).map(|it| &*it.value);
    // The job's own variable names no helper: it would be a program of this machine.
    let of_job = variable("DOCKER_AUTH_CONFIG").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let helped = match user.helper(image) {
        Some((address, name, length)) => match credential_helper::get(name, &address).await {
            Ok(found) => found.map(|login| Match { length, credentials: of_helper(&login, &address) }),
            Err(reason) => {
                log.warn(&format!("no login for {address}: {reason}"));
                None
            }
        },
        None => None,
    };
    let of_project = || {
        let registry = variable("CI_REGISTRY")?;
        let length = covers(registry, image)?;
        let credentials = credentials(registry, variable("CI_REGISTRY_USER")?, variable("CI_REGISTRY_PASSWORD")?);
        Some(Match { length, credentials })
    };
    let sources = [in_config(image, &of_job), helped, in_config(image, &user.0), of_project()];
    longest(sources.into_iter().flatten())
}

/// The login for an image, given by its full reference, in the content of a `config.json`.
pub fn login(config: &str, image: &str) -> Option<DockerCredentials> {
    Some(in_config(repository(image), &serde_json::from_str(config).ok()?)?.credentials)
}

fn in_config(image: &str, config: &ClientConfig) -> Option<Match> {
    let matching = config.auths.iter().filter_map(|(address, login)| {
        Some(Match { length: covers(address, image)?, credentials: login.credentials(address)? })
    });
    matching.max_by_key(|found| found.length)
}

fn of_helper(login: &HelperLogin, address: &str) -> DockerCredentials {
    if login.username == credential_helper::TOKEN {
        token(address, &login.secret)
    } else {
        credentials(address, &login.username, &login.secret)
    }
}

/// The match of the greatest length, and of several with that length the first one.
fn longest(matches: impl Iterator<Item = Match>) -> Option<DockerCredentials> {
    let best = matches.reduce(|best, next| if next.length > best.length { next } else { best });
    best.map(|found| found.credentials)
}

impl Login {
    fn credentials(&self, address: &str) -> Option<DockerCredentials> {
        if let Some(token) = self.identitytoken.as_ref().filter(|token| !token.is_empty()) {
            return Some(self::token(address, token));
        }
        if let (Some(username), Some(password)) = (&self.username, &self.password) {
            return Some(credentials(address, username, password));
        }
        let decoded = String::from_utf8(BASE64_STANDARD.decode(self.auth.as_ref()?.trim()).ok()?).ok()?;
        let (username, password) = decoded.split_once(':')?;
        Some(credentials(address, username, password.trim_end_matches('\0')))
    }
}

fn token(address: &str, token: &str) -> DockerCredentials {
    DockerCredentials {
        identitytoken: Some(token.to_owned()),
        serveraddress: Some(address.to_owned()),
        ..DockerCredentials::default()
    }
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
    use crate::log::testing::log;
    use gitlab_ci::variables::collection::Origin;

    const CONFIG: &str = r#"{"auths": {
        "https://index.docker.io/v1/": {"auth": "aHViOnNlY3JldA=="},
        "r.test:5000": {"username": "plain", "password": "p"},
        "r.test:5000/group": {"username": "group", "password": "p"},
        "r.test:5000/none": {},
        "token.test": {"identitytoken": "t"}
    }}"#;

    async fn found(image: &str, variables: &[Variable], user: &str) -> Option<DockerCredentials> {
        let (_dir, log) = log(&[]);
        find(image, variables, &UserConfig::parse(user), &log).await
    }

    #[rstest]
    #[case::docker_hub("docker.io/library/rust:1", Some("hub"))]
    #[case::registry("r.test:5000/other/a:1", Some("plain"))]
    #[case::longest_address_wins("r.test:5000/group/a:1", Some("group"))]
    #[case::part_of_a_path_segment("r.test:5000/grouped/a:1", Some("plain"))]
    #[case::login_without_a_password("r.test:5000/none/a:1", Some("plain"))]
    #[case::another_registry("r.test/a:1", None)]
    #[case::project_registry("own.test/group/a:1", Some("ci"))]
    #[tokio::test]
    async fn the_matching_login_is_used(#[case] image: &str, #[case] user: Option<&str>) {
        let own = [("CI_REGISTRY", "own.test"), ("CI_REGISTRY_USER", "ci"), ("CI_REGISTRY_PASSWORD", "p")];
        let own = own.map(|(key, value)| Variable::new(key, value, Origin::Project));
        assert_eq!(found(image, &own, CONFIG).await.and_then(|it| it.username).as_deref(), user);
    }

    #[rstest]
    #[case::same_length("r.test:5000/a:1", "job")]
    #[case::the_users_is_longer("r.test:5000/group/a:1", "group")]
    #[tokio::test]
    async fn the_longest_login_of_all_sources_wins_and_then_the_jobs(#[case] image: &str, #[case] user: &str) {
        let config = r#"{"auths": {"r.test:5000": {"username": "job", "password": "p"}}}"#;
        let job = [Variable::new("DOCKER_AUTH_CONFIG", config, Origin::Project)];
        assert_eq!(found(image, &job, CONFIG).await.unwrap().username.as_deref(), Some(user));
    }

    #[tokio::test]
    async fn a_token_is_a_login_and_a_broken_variable_is_none() {
        let job = [Variable::new("DOCKER_AUTH_CONFIG", CONFIG, Origin::Project)];
        let token = found("token.test/a:1", &job, "").await.unwrap();
        assert_eq!(token.identitytoken.as_deref(), Some("t"));
        let broken = [Variable::new("DOCKER_AUTH_CONFIG", "{", Origin::Project)];
        assert!(found("r.test:5000/a:1", &broken, "").await.is_none());
    }

    #[rstest]
    #[case::password("u", (Some("u"), Some("s"), None))]
    #[case::token("<token>", (None, None, Some("s")))]
    fn a_helper_gives_a_password_or_a_token(
        #[case] name: &str,
        #[case] expected: (Option<&str>, Option<&str>, Option<&str>),
    ) {
        let login = HelperLogin { username: name.to_owned(), secret: "s".to_owned() };
        let found = of_helper(&login, "r.test");
        let found = (found.username.as_deref(), found.password.as_deref(), found.identitytoken.as_deref());
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn only_the_users_own_file_names_helpers() {
        let config = r#"{"credHelpers": {"r.test": "none-of-this-name"}}"#;
        let job = [Variable::new("DOCKER_AUTH_CONFIG", config, Origin::Project)];
        let lines = async |variables: &[Variable], user: &str| {
            let (_dir, log) = log(&[]);
            assert!(find("r.test/a:1", variables, &UserConfig::parse(user), &log).await.is_none());
            log.last_lines()
        };
        assert_eq!(lines(&job, "").await, [""; 0]);
        let warning =
            "WARNING: no login for r.test: cannot run docker-credential-none-of-this-name: No such file or directory";
        assert!(lines(&[], config).await.concat().starts_with(warning), "{:?}", lines(&[], config).await);
    }

    #[rstest]
    #[case::of_a_registry("r.test/group/a", Some(("r.test/group", "one", 12)))]
    #[case::of_all_others("s.test/a", Some(("s.test", "all", 6)))]
    #[case::docker_hub("docker.io/library/a", Some(("https://index.docker.io/v1/", "all", 9)))]
    fn each_registry_has_a_helper(#[case] image: &str, #[case] expected: Option<(&str, &str, usize)>) {
        let config = r#"{"credHelpers": {"r.test": "other", "r.test/group": "one"}, "credsStore": "all"}"#;
        let config = UserConfig::parse(config);
        let found = config.helper(image);
        assert_eq!(found.as_ref().map(|(address, name, length)| (address.as_str(), *name, *length)), expected);
    }
}
