//! How to connect to the API server of a cluster, and with which account.

use std::path::Path;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use crate::environment::cluster::{ApiError, ClientError};

/// Time limit for connecting to an API server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit between two bytes of a response. The API server itself ends requests after a minute (`--request-timeout`) with an error;
/// a watch that receives nothing for longer is restarted.
const READ_TIMEOUT: Duration = Duration::from_secs(75);

/// Time that the API server has to respond.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The headers by which a client asks to act as another account. The library reads them from a kubeconfig, but does not send them.
/// <https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/>
const USER: HeaderName = HeaderName::from_static("impersonate-user");
const GROUP: HeaderName = HeaderName::from_static("impersonate-group");

/// The namespace of a context that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// The address of an API server, and the credentials of an account.
#[derive(Clone)]
pub struct Connection(Config);

/// No connection is possible.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// A kubeconfig cannot be used.
    #[error("cannot use the kubeconfig {path}")]
    Kubeconfig {
        path: String,
        /// The cause.
        #[source]
        source: KubeconfigError,
    },
    /// The kubeconfig has no such context.
    #[error("the kubeconfig {path} has no context `{name}`; it has {known}")]
    Context {
        path: String,
        name: String,
        /// The contexts that it has.
        known: String,
    },
    /// The files of the pod's account cannot be used.
    #[error("cannot use the account of the pod")]
    Pod(#[from] kube::config::InClusterError),
    /// The name of an account cannot be sent.
    #[error("`{0}` cannot be the name of an account")]
    Account(String),
    /// No client can be created.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl From<Config> for Connection {
    fn from(config: Config) -> Self {
        Self(config)
    }
}

impl Connection {
    /// A context of this kubeconfig, or else of those that kubectl uses by default.
    ///
    /// # Errors
    /// If the kubeconfig cannot be used.
    pub async fn existing(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Self, ConnectionError> {
        match kubeconfig {
            Some(path) => Self::from_file(path, context).await,
            None => Self::from_default_kubeconfig(context).await,
        }
    }

    /// A context of a kubeconfig, by default its current one.
    ///
    /// # Errors
    /// If the kubeconfig cannot be used.
    pub async fn from_file(path: &Path, context: Option<&str>) -> Result<Self, ConnectionError> {
        Self::from_context(Kubeconfig::read_from(path), &path.display().to_string(), context).await
    }

    /// A context of the kubeconfigs that kubectl uses by default: those in `KUBECONFIG`, or else `~/.kube/config`.
    ///
    /// # Errors
    /// If there is no kubeconfig, or it cannot be used.
    pub async fn from_default_kubeconfig(context: Option<&str>) -> Result<Self, ConnectionError> {
        let path = std::env::var("KUBECONFIG").ok().filter(|paths| !paths.is_empty());
        let path = path.unwrap_or_else(|| "~/.kube/config".to_owned());
        Self::from_context(Kubeconfig::read(), &path, context).await
    }

    /// A context of a kubeconfig, which was read from `path`.
    async fn from_context(
        read: Result<Kubeconfig, KubeconfigError>,
        path: &str,
        context: Option<&str>,
    ) -> Result<Self, ConnectionError> {
        let failed = |source| ConnectionError::Kubeconfig { path: path.to_owned(), source };
        let kubeconfig = read.map_err(failed)?;
        let known: Vec<_> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
        if let Some(name) = context.filter(|name| !known.contains(name)) {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(ConnectionError::Context { path: path.to_owned(), name: name.to_owned(), known });
        }
        let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(failed)?;
        let (user, groups) = (config.auth_info.impersonate.clone(), config.auth_info.impersonate_groups.clone());
        let connection = Self(config);
        match user {
            Some(user) => connection.acting_as(&user, &groups.unwrap_or_default()),
            None => Ok(connection),
        }
    }

    /// The cluster of the pod that this program runs in, with the pod's own account.
    ///
    /// # Errors
    /// If this program does not run in a pod, or the pod has no token.
    pub fn from_pod() -> Result<Self, ConnectionError> {
        Ok(Self(Config::incluster()?))
    }

    /// The same connection, with the permissions of another account. The API server refuses its requests, unless the account of this
    /// connection may impersonate the other one.
    ///
    /// # Errors
    /// If a name contains a character that a header cannot have.
    pub fn acting_as(&self, user: &str, groups: &[String]) -> Result<Self, ConnectionError> {
        let value = |name: &str| HeaderValue::from_str(name).map_err(|_| ConnectionError::Account(name.to_owned()));
        let mut config = self.0.clone();
        config.headers.retain(|(name, _)| *name != USER && *name != GROUP);
        config.headers.push((USER, value(user)?));
        for group in groups {
            config.headers.push((GROUP, value(group)?));
        }
        Ok(Self(config))
    }

    /// A client with the time limits that checks need.
    ///
    /// # Errors
    /// If the credentials cannot be used.
    pub fn client(&self) -> Result<Client, ConnectionError> {
        let mut config = self.0.clone();
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        // Start the read timeout at the request instead of at the last use of the connection.
        config.reset_reader_on_write = true;
        // Checks must see a pod's 503 that the API server forwards. By default kube would retry it for minutes.
        config.default_retry = false;
        Client::try_from(config).map_err(|error| ClientError::Client(ApiError::from(error)).into())
    }

    /// The namespace that the context selects, if it selects one.
    pub fn namespace(&self) -> Option<&str> {
        Some(&*self.0.default_namespace).filter(|name| *name != DEFAULT_NAMESPACE)
    }

    /// The address of the API server.
    pub fn server(&self) -> String {
        self.0.cluster_url.to_string().trim_end_matches('/').to_owned()
    }

    /// Whether both connections lead to the same API server.
    pub fn has_server_of(&self, other: &Self) -> bool {
        self.0.cluster_url == other.0.cluster_url
    }
}

/// Whether this program runs in a pod: the kubelet sets this variable in every container.
/// <https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>
pub fn is_in_pod() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// Whether the API server responds, independent of the account's permissions: every account can request the version, and a denial is
/// a response too.
pub async fn answers(client: &Client) -> bool {
    let answer = tokio::time::timeout(TIMEOUT, client.apiserver_version()).await;
    matches!(answer, Ok(Ok(_) | Err(kube::Error::Api(_))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_account_that_a_kubeconfig_acts_as_is_sent() {
        let text = "{apiVersion: v1, kind: Config, current-context: a,
            clusters: [{name: a, cluster: {server: 'https://192.0.2.1:6443'}}],
            users: [{name: a, user: {as: jane, as-groups: [developers]}}],
            contexts: [{name: a, context: {cluster: a, user: a, namespace: shop}}]}";
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        std::fs::write(&path, text).unwrap();
        let connection = Connection::from_file(&path, None).await.unwrap();
        let sent = |connection: &Connection| {
            let headers = connection.0.headers.iter();
            headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect::<Vec<_>>()
        };
        assert_eq!(sent(&connection), ["impersonate-user: jane", "impersonate-group: developers"]);
        assert_eq!(connection.namespace(), Some("shop"));
        let other = connection.acting_as("system:serviceaccount:gitlab:gitlab", &[]).unwrap();
        assert_eq!(sent(&other), ["impersonate-user: system:serviceaccount:gitlab:gitlab"]);
        assert!(other.has_server_of(&connection));
        assert!(connection.acting_as("a\nb", &[]).is_err());
    }
}
