//! A client for the registry API. <https://distribution.github.io/distribution/spec/api/>,
//! <https://distribution.github.io/distribution/spec/auth/token/>

use std::fmt;
use std::time::Duration;

use reqwest::header::{ACCEPT, WWW_AUTHENTICATE};
use reqwest::{Client, Method, Response, StatusCode};

use container_engine::error_chain::error_chain;

/// The media types that a tag can refer to.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json, \
                         application/vnd.docker.distribution.manifest.v2+json";

/// Time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit for a complete response. All requested responses are small.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// A user that no registry has.
const UNKNOWN_USER: &str = "e2e-no-such-user";

/// A registry and its user's credentials.
#[derive(Clone)]
pub struct RegistryApi {
    client: Client,
    /// The host in image names.
    pub host: String,
    /// The base URL, for example `https://localhost:5000`.
    base: String,
    user: String,
    password: String,
}

impl RegistryApi {
    /// The base URL, for example `https://localhost:5000`.
    pub fn base(&self) -> &str {
        &self.base
    }
}

impl fmt::Debug for RegistryApi {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RegistryApi({} as {}:[MASKED])", self.base, self.user)
    }
}

impl RegistryApi {
    /// A client for the registry with the name `host` in images and the URL `base`. `authority` is an additional trusted certificate in
    /// PEM format.
    ///
    /// # Errors
    /// If the certificate is invalid.
    pub fn new(
        host: &str,
        base: &str,
        (user, password): (&str, &str),
        authority: Option<&str>,
    ) -> Result<Self, reqwest::Error> {
        let mut client = Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).timeout(RESPONSE_TIMEOUT);
        if let Some(authority) = authority {
            client = client.tls_certs_merge([reqwest::Certificate::from_pem(authority.as_bytes())?]);
        }
        Ok(Self {
            client: client.build()?,
            host: host.to_owned(),
            base: base.trim_end_matches('/').to_owned(),
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

    /// The status of `/v2/` for the user with this password, or without credentials.
    ///
    /// # Errors
    /// A text with the reason, if the registry does not respond.
    pub async fn login(&self, password: Option<&str>) -> Result<StatusCode, String> {
        let response = self.ask(Method::GET, "/v2/", password).await.map_err(|error| error_chain(&error))?;
        Ok(response.status())
    }

    /// The status of `/v2/` for an unknown user. Wrong passwords of the configured user could lock its account, and pods could no longer
    /// pull.
    ///
    /// # Errors
    /// A text with the reason, if the registry does not respond.
    pub async fn login_of_unknown_user(&self) -> Result<StatusCode, String> {
        let unknown = Self { user: UNKNOWN_USER.to_owned(), ..self.clone() };
        unknown.login(Some("not a password")).await
    }

    /// The status of `/v2/` with the user's own password.
    ///
    /// # Errors
    /// A text with the reason, if the registry does not respond.
    pub async fn own_login(&self) -> Result<StatusCode, String> {
        self.login(Some(&self.password)).await
    }

    /// The digest that a tag of a repository refers to.
    ///
    /// # Errors
    /// A text with the reason, if the tag does not exist or the request fails.
    pub async fn digest(&self, repository: &str, tag: &str) -> Result<String, String> {
        let found = self.find(repository, tag).await?;
        found.ok_or_else(|| format!("{} for {}", StatusCode::NOT_FOUND, manifest(repository, tag)))
    }

    /// The digest that a tag of a repository refers to, or `None` if the tag does not exist.
    ///
    /// # Errors
    /// A text with the reason, if the request fails.
    pub async fn find(&self, repository: &str, tag: &str) -> Result<Option<String>, String> {
        let path = manifest(repository, tag);
        let response =
            self.ask(Method::HEAD, &path, Some(&self.password)).await.map_err(|error| error_chain(&error))?;
        let digest = response.headers().get("docker-content-digest").and_then(|it| it.to_str().ok());
        match (response.status(), digest) {
            (StatusCode::OK, Some(digest)) => Ok(Some(digest.to_owned())),
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, _) => Err(format!("{status} for {path}")),
        }
    }

    async fn ask(&self, method: Method, path: &str, password: Option<&str>) -> Result<Response, reqwest::Error> {
        let request = || self.client.request(method.clone(), format!("{}{path}", self.base)).header(ACCEPT, MANIFESTS);
        let Some(password) = password else { return request().send().await };
        let response = request().basic_auth(&self.user, Some(password)).send().await?;
        let challenge = response.headers().get(WWW_AUTHENTICATE).and_then(|it| it.to_str().ok());
        let Some(Challenge { realm, service, scope }) = challenge.and_then(bearer) else { return Ok(response) };
        let mut token = self.client.get(realm).basic_auth(&self.user, Some(password));
        token = token.query(&[("service", service)]);
        if let Some(scope) = scope {
            token = token.query(&[("scope", scope)]);
        }
        let answer = token.send().await?;
        if !answer.status().is_success() {
            return Ok(answer);
        }
        let answer: serde_json::Value = answer.json().await?;
        let token = answer["token"].as_str().or_else(|| answer["access_token"].as_str()).unwrap_or_default();
        request().bearer_auth(token).send().await
    }
}

fn manifest(repository: &str, tag: &str) -> String {
    format!("/v2/{repository}/manifests/{tag}")
}

/// The parameters for requesting a token.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Challenge {
    realm: String,
    service: String,
    scope: Option<String>,
}

/// `Bearer realm="…",service="…",scope="…"`
fn bearer(header: &str) -> Option<Challenge> {
    let list = header.strip_prefix("Bearer ")?;
    let value = |key: &str| {
        let (_, rest) = list.split_once(&format!("{key}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    Some(Challenge { realm: value("realm")?, service: value("service").unwrap_or_default(), scope: value("scope") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_challenge_is_parsed() {
        let header = r#"Bearer realm="https://gitlab.test/jwt/auth",service="container_registry",scope="repository:a/b:pull,push""#;
        let challenge = bearer(header).unwrap();
        assert_eq!((&*challenge.realm, &*challenge.service), ("https://gitlab.test/jwt/auth", "container_registry"));
        assert_eq!(challenge.scope.as_deref(), Some("repository:a/b:pull,push"));
        assert_eq!(bearer(r#"Basic realm="x""#), None);
    }

    #[test]
    fn the_password_is_masked() {
        // Fails only if a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let registry = RegistryApi::new("r.test", "https://localhost:5000/", ("me", "secret"), None).unwrap();
        assert_eq!(format!("{registry:?}"), "RegistryApi(https://localhost:5000 as me:[MASKED])");
    }
}
