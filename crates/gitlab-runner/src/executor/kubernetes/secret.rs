//! The Secrets of a job: logins for pulls, and variables of services that contain secrets. Any user who can read a pod can read its
//! environment, but not the Secrets that it refers to.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bollard::auth::DockerCredentials;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::{Map, Value as Json, json};

use super::container::Value;
use super::service::Service;
use crate::executor::credentials::{self, UserConfig};
use crate::executor::reference::{normalize, repository};
use crate::log::JobLog;
use gitlab_ci::variables::collection::Variable;

/// The metadata of a job's Secret.
pub(super) fn metadata(name: &str, labels: BTreeMap<String, String>, owner: &OwnerReference) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(labels),
        owner_references: Some(vec![owner.clone()]),
        ..ObjectMeta::default()
    }
}

/// The Secret with the logins for these images only: the user's other logins are not stored in the cluster. `None` if there is no login for
/// any of the images.
pub(super) async fn pull_secret(
    metadata: ObjectMeta,
    images: &[&str],
    variables: &[Variable],
    user: &UserConfig,
    log: &JobLog,
) -> Option<Secret> {
    let mut logins = Map::new();
    for image in images {
        let full = normalize(image);
        if let Some(login) = credentials::find(&full, variables, user, log).await {
            // The kubelet uses the longest matching entry. `k8s.io/kubernetes/pkg/credentialprovider/keyring.go`
            let name = repository(&full)
                .strip_prefix("docker.io/")
                .map_or_else(|| repository(&full).to_owned(), |path| format!("index.docker.io/{path}"));
            logins.insert(name, entry(&login));
        }
    }
    if logins.is_empty() {
        return None;
    }
    let config = json!({"auths": logins}).to_string();
    Some(Secret {
        metadata,
        type_: Some("kubernetes.io/dockerconfigjson".to_owned()),
        data: Some(BTreeMap::from([(".dockerconfigjson".to_owned(), ByteString(config.into_bytes()))])),
        ..Secret::default()
    })
}

fn entry(login: &DockerCredentials) -> Json {
    if let Some(token) = &login.identitytoken {
        return json!({"identitytoken": token});
    }
    let (user, password) = (login.username.as_deref(), login.password.as_deref());
    let pair = format!("{}:{}", user.unwrap_or_default(), password.unwrap_or_default());
    json!({"username": user, "password": password, "auth": BASE64_STANDARD.encode(pair)})
}

/// The environment of a service. Values that contain a secret of the job become references to the Secret `name`, and are added to `data`.
pub(super) fn environment(
    service: &Service,
    name: &str,
    data: &mut BTreeMap<String, ByteString>,
    log: &JobLog,
) -> Vec<(String, Value)> {
    // A later variable replaces an earlier one with the same name.
    let variables: BTreeMap<_, _> = service.request.variables.iter().map(|(key, value)| (key, value)).collect();
    let variables = variables.into_iter().filter(|(key, _)| is_name(key));
    let mut environment = Vec::new();
    for (key, value) in variables {
        let value = if log.masked(value) == *value {
            Value::Plain(value.clone())
        } else {
            let entry = format!("{}.{key}", service.container);
            data.insert(entry.clone(), ByteString(value.clone().into_bytes()));
            Value::Secret { secret: name.to_owned(), key: entry }
        };
        environment.push((key.clone(), value));
    }
    environment
}

/// Whether this name of a variable is valid in every version of Kubernetes, and as a part of a key of a Secret. GitLab allows other names,
/// which shells cannot use.
fn is_name(key: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    key.bytes().all(is_allowed) && key.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::request::ServiceRequest;
    use crate::log::testing::log;
    use gitlab_ci::variables::collection::Origin;

    #[tokio::test]
    async fn only_the_logins_of_the_jobs_images_are_stored() {
        let config = r#"{"auths": {"r.test": {"username": "u", "password": "p"}, "other.test": {"username": "x", "password": "y"},
            "https://index.docker.io/v1/": {"username": "hub", "password": "q"}}}"#;
        let login = [Variable::new("DOCKER_AUTH_CONFIG", config, Origin::Project)];
        let (_dir, log) = log(&[]);
        let secret = async |images: &[&str]| {
            pull_secret(ObjectMeta::default(), images, &login, &UserConfig::default(), &log).await
        };
        let found = secret(&["r.test/a:1", "debian:13", "none.test/a"]).await.unwrap();
        let stored = found.data.unwrap().remove(".dockerconfigjson").unwrap();
        let stored: Json = serde_json::from_slice(&stored.0).unwrap();
        let names: Vec<_> = stored["auths"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["index.docker.io/library/debian", "r.test/a"]);
        assert_eq!(stored["auths"]["r.test/a"]["auth"], BASE64_STANDARD.encode("u:p"));
        assert!(secret(&["none.test/a"]).await.is_none());
    }

    #[test]
    fn secrets_are_not_in_the_environment() {
        let (_dir, log) = log(&["hunter22"]);
        let variables = [("USER", "db"), ("URL", "db://hunter22@db"), ("1ST", "x"), ("USER", "other")];
        let variables = variables.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let service = Service {
            request: ServiceRequest { variables: variables.into(), ..ServiceRequest::default() },
            container: "db".to_owned(),
            hosts: Vec::new(),
            port: None,
        };
        let mut data = BTreeMap::new();
        let environment = environment(&service, "s", &mut data, &log);
        let secret = Value::Secret { secret: "s".to_owned(), key: "db.URL".to_owned() };
        assert_eq!(environment, [("URL".to_owned(), secret), ("USER".to_owned(), Value::Plain("other".to_owned()))]);
        assert_eq!(data["db.URL"].0, b"db://hunter22@db");
    }
}
