//! The systems that a scenario runs against: a cluster, a registry, an Ingress controller and Prometheus, with access to each.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::checks::environment::{Environment, Prometheus};
use crate::checks::registry_api::RegistryApi;
use crate::environment::cluster::{ApiError, ClientError, owner};
use crate::environment::cluster_dir::ClusterDir;
use crate::environment::command::quoted;
use crate::environment::registry::login;
use crate::environment::registry::run::Registry;
use crate::environment::{kind_config, registry};

/// Default time limit for each expected change.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_mins(2);

/// Default domain of the environments' hosts.
pub const BASE_DOMAIN: &str = "gitlab-k8s-demo.test";

/// Time limit for connecting to an API server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit between two bytes of a response. The API server itself ends requests after a minute (`--request-timeout`) with an error;
/// a watch that receives nothing for longer is restarted.
const READ_TIMEOUT: Duration = Duration::from_secs(75);

/// The cluster and the systems around it.
#[derive(Clone)]
pub struct Target {
    /// A client with the cluster owner's account.
    pub client: Client,
    /// The kubectl command for the user, with the owner's account: `kubectl --kubeconfig FILE`.
    pub kubectl: String,
    /// The content of the pipeline account's kubeconfig for jobs.
    pub deployer_kubeconfig: Option<String>,
    /// A client with the pipeline's account for this machine.
    pub deployer: Option<Client>,
    /// The namespace that the pipeline deploys to.
    pub namespace: String,
    /// The base domain; hosts are `ENVIRONMENT.BASE_DOMAIN`.
    pub base_domain: String,
    /// The address of the Ingress controller.
    pub ingress: Option<SocketAddr>,
    pub registry: Option<RegistryTarget>,
    pub prometheus: Option<Prometheus>,
    /// The networks that jobs join to reach these systems.
    pub networks: Vec<String>,
    /// Time limit for each expected change.
    pub patience: Duration,
}

/// A registry with the settings for jobs and checks.
#[derive(Clone)]
pub struct RegistryTarget {
    /// `CI_REGISTRY`
    pub host: String,
    /// `CI_REGISTRY_IMAGE`, if it differs from the project's path in the registry.
    pub image: Option<String>,
    /// `CI_REGISTRY_USER`
    pub user: String,
    /// `CI_REGISTRY_PASSWORD`
    pub password: String,
    /// Whether its certificate is signed by an authority that the engines of jobs do not know.
    pub has_private_authority: bool,
    /// A client for the registry.
    pub api: RegistryApi,
}

impl RegistryTarget {
    /// `CI_REGISTRY_IMAGE` of the project at `path`: `group/project`.
    pub fn image_of(&self, path: &str) -> String {
        self.image.clone().unwrap_or_else(|| image_in(&self.host, path))
    }
}

/// The name that GitLab gives to a project's image in a registry.
pub fn image_in(registry: &str, path: &str) -> String {
    format!("{registry}/{}", path.to_lowercase())
}

/// The target cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    File {
        path: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A kubeconfig cannot be used.
    #[error("cannot use the kubeconfig {path}")]
    Kubeconfig {
        path: String,
        /// The cause.
        #[source]
        source: kube::config::KubeconfigError,
    },
    /// The files of the pod's account cannot be used.
    #[error("cannot use the account of the pod")]
    Pod(#[from] kube::config::InClusterError),
    /// No client can be created for the cluster.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No client can be created for the registry, for example because of an invalid certificate.
    #[error("cannot create a client for the registry")]
    Registry(#[from] reqwest::Error),
}

impl Target {
    /// The target for a cluster that `e2e up` has created with kind, and its registry.
    ///
    /// # Errors
    /// If one of the cluster's files is missing.
    pub async fn from_kind(
        state: &ClusterDir,
        network: &str,
        kind_config: &Path,
        registry: Option<&Registry>,
    ) -> Result<Self, TargetError> {
        let mappings = kind_config::port_mappings(kind_config).unwrap_or_default();
        let registry = registry.map(|registry| {
            let (user, password) = (login::USER, registry.login.password());
            let base = format!("https://{}", registry.address);
            let api = RegistryApi::new(registry::HOST, &base, (user, password), Some(&registry.authority))?;
            let (user, password) = (user.to_owned(), password.to_owned());
            Ok::<_, reqwest::Error>(RegistryTarget {
                host: registry::HOST.to_owned(),
                image: None,
                user,
                password,
                has_private_authority: true,
                api,
            })
        });
        Ok(Self {
            client: client(&state.kubeconfig(), None).await?,
            kubectl: kubectl(Some(&state.kubeconfig()), None),
            deployer_kubeconfig: Some(read(&state.gitlab_internal_kubeconfig())?),
            deployer: Some(client(&state.gitlab_kubeconfig(), None).await?),
            namespace: owner::NAMESPACE.to_owned(),
            base_domain: BASE_DOMAIN.to_owned(),
            ingress: mappings.iter().find(|mapping| mapping.container_port == 80).map(|mapping| mapping.host),
            registry: registry.transpose()?,
            prometheus: Some(Prometheus {
                namespace: "monitoring".to_owned(),
                service: "prometheus".to_owned(),
                port: "http".to_owned(),
            }),
            networks: vec![network.to_owned()],
            patience: DEFAULT_TIMEOUT,
        })
    }

    /// One environment of the service in this target.
    pub fn environment(&self, reference: &str, commit: Option<&str>) -> Environment {
        Environment {
            client: self.client.clone(),
            deployer: self.deployer.clone(),
            namespace: self.namespace.clone(),
            reference: reference.to_owned(),
            host: self.host(reference),
            ingress: self.ingress,
            registry: self.registry.as_ref().map(|registry| registry.api.clone()),
            prometheus: self.prometheus.clone(),
            commit: commit.map(str::to_owned),
            others: BTreeMap::new(),
            patience: self.patience,
        }
    }

    pub fn host(&self, reference: &str) -> String {
        format!("{reference}.{}", self.base_domain)
    }
}

/// The beginning of a kubectl command for a kubeconfig and context, quoted for a shell. Without a kubeconfig, kubectl uses its
/// default ones.
pub fn kubectl(kubeconfig: Option<&Path>, context: Option<&str>) -> String {
    let mut words = vec!["kubectl".to_owned()];
    if let Some(kubeconfig) = kubeconfig {
        let kubeconfig = std::path::absolute(kubeconfig).unwrap_or_else(|_| kubeconfig.to_owned());
        words.extend(["--kubeconfig".to_owned(), quoted(&kubeconfig.to_string_lossy())]);
    }
    words.extend(context.iter().flat_map(|context| ["--context".to_owned(), quoted(context)]));
    words.join(" ")
}

/// Reads a file of the target.
pub fn read(path: &Path) -> Result<String, TargetError> {
    fs::read_to_string(path).map_err(|source| TargetError::File { path: path.display().to_string(), source })
}

/// Creates a client for a context of a kubeconfig, by default its current one.
///
/// # Errors
/// If the kubeconfig cannot be used.
pub async fn client(path: &Path, context: Option<&str>) -> Result<Client, TargetError> {
    let failed = |source| TargetError::Kubeconfig { path: path.display().to_string(), source };
    client_for_context(Kubeconfig::read_from(path).map_err(failed)?, context, failed).await
}

/// Creates a client from the kubeconfigs that kubectl uses by default: those in `KUBECONFIG`, or else `~/.kube/config`.
///
/// # Errors
/// If there is no kubeconfig, or it cannot be used.
pub async fn client_of_user(context: Option<&str>) -> Result<Client, TargetError> {
    let path = std::env::var("KUBECONFIG").ok().filter(|paths| !paths.is_empty());
    let path = path.unwrap_or_else(|| "~/.kube/config".to_owned());
    let failed = |source| TargetError::Kubeconfig { path: path.clone(), source };
    client_for_context(Kubeconfig::read().map_err(failed)?, context, failed).await
}

async fn client_for_context(
    kubeconfig: Kubeconfig,
    context: Option<&str>,
    failed: impl Fn(kube::config::KubeconfigError) -> TargetError,
) -> Result<Client, TargetError> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(failed)?;
    with_timeouts(config)
}

/// Whether this program runs in a pod: the kubelet sets this variable in every container.
/// <https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>
pub fn is_in_pod() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// Creates a client for the cluster of the pod that this program runs in, with the pod's own account.
///
/// # Errors
/// If this program does not run in a pod, or the pod has no token.
pub fn client_of_pod() -> Result<Client, TargetError> {
    with_timeouts(kube::Config::incluster()?)
}

fn with_timeouts(mut config: kube::Config) -> Result<Client, TargetError> {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    // Start the read timeout at the request instead of at the last use of the connection.
    config.reset_reader_on_write = true;
    // Checks must see a pod's 503 that the API server forwards. By default kube would retry it for minutes.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| ClientError::Client(ApiError::from(error)).into())
}

/// Time that the API server has to respond.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the API server responds, independent of the account's permissions: every account can request the version, and a denial is
/// a response too.
pub async fn answers(client: &Client) -> bool {
    let answer = tokio::time::timeout(TIMEOUT, client.apiserver_version()).await;
    matches!(answer, Ok(Ok(_) | Err(kube::Error::Api(_))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_quoted_for_a_shell() {
        assert_eq!(kubectl(Some(Path::new("/a/config")), None), "kubectl --kubeconfig /a/config");
        assert_eq!(
            kubectl(Some(Path::new("/a b/config")), Some("it's/mine")),
            "kubectl --kubeconfig '/a b/config' --context 'it'\\''s/mine'"
        );
    }
}
