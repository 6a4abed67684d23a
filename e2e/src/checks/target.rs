//! Where a story is told: a cluster with a registry, an Ingress controller and Prometheus, and how each of them is reached.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::checks::registry_api::RegistryApi;
use crate::checks::subject::{Prometheus, Subject};
use crate::environment::cluster::ApiError;
use crate::environment::cluster::ClientError;
use crate::environment::cluster::owner;
use crate::environment::kind_config;
use crate::environment::registry;
use crate::environment::registry::login;
use crate::environment::registry::run::Registry;
use crate::environment::state::State;

/// How long anything may take to come about, if nobody says otherwise.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// The domain of the hosts of environments, if nobody says otherwise.
pub const BASE_DOMAIN: &str = "gitlab-k8s-demo.test";

/// Time that a connection to an API server may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Time without a byte of an answer. An API server gives up after a minute by itself (`--request-timeout`), and then says so; a
/// watch that is quiet for longer is begun anew.
const ANSWER: Duration = Duration::from_secs(75);

/// It.
#[derive(Clone)]
pub struct Target {
    /// The cluster, as its owner.
    pub client: Client,
    /// How a person reaches it as its owner: `kubectl --kubeconfig FILE`.
    pub kubectl: String,
    /// The kubeconfig of the pipeline's account, as its jobs use it.
    pub deployer_kubeconfig: Option<String>,
    /// The same account, asked from here.
    pub deployer: Option<Client>,
    /// Where the pipeline deploys.
    pub namespace: String,
    /// Hosts are `ENVIRONMENT.` and this.
    pub base_domain: String,
    /// Where the Ingress controller answers.
    pub ingress: Option<SocketAddr>,
    /// The registry.
    pub registry: Option<RegistryTarget>,
    /// Prometheus.
    pub prometheus: Option<Prometheus>,
    /// Networks that jobs join to reach all that.
    pub networks: Vec<String>,
    /// How long anything may take to come about.
    pub patience: Duration,
}

/// A registry, as jobs and checks use it.
#[derive(Clone)]
pub struct RegistryTarget {
    /// `CI_REGISTRY`
    pub host: String,
    /// `CI_REGISTRY_IMAGE`, where it is another than the project's path there.
    pub image: Option<String>,
    /// `CI_REGISTRY_USER`
    pub user: String,
    /// `CI_REGISTRY_PASSWORD`
    pub password: String,
    /// It, asked from here.
    pub api: RegistryApi,
}

impl RegistryTarget {
    /// `CI_REGISTRY_IMAGE` of the project at `path`: `group/project`.
    pub fn image_of(&self, path: &str) -> String {
        self.image.clone().unwrap_or_else(|| image_in(&self.host, path))
    }
}

/// A project's image in a registry, as GitLab calls it.
pub fn image_in(registry: &str, path: &str) -> String {
    format!("{registry}/{}", path.to_lowercase())
}

/// Why there is no such place.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// A file of it.
    #[error("{path}")]
    File {
        /// Which.
        path: String,
        /// Why it cannot be read.
        #[source]
        source: std::io::Error,
    },
    /// A kubeconfig.
    #[error("{path}: the kubeconfig cannot be used")]
    Kubeconfig {
        /// Which.
        path: String,
        /// Why not.
        #[source]
        source: kube::config::KubeconfigError,
    },
    /// The cluster.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The registry's certificate or address.
    #[error("the registry")]
    Registry(#[from] reqwest::Error),
}

impl Target {
    /// The cluster that kind has made for `e2e up`, with the registry beside it.
    ///
    /// # Errors
    /// When a file of it is missing.
    pub async fn of_kind(
        state: &State,
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
            patience: PATIENCE,
        })
    }

    /// One environment of the service there.
    pub fn subject(&self, reference: &str, commit: Option<&str>) -> Subject {
        Subject {
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

    /// The host of an environment.
    pub fn host(&self, reference: &str) -> String {
        format!("{reference}.{}", self.base_domain)
    }
}

/// The beginning of a command that asks the cluster of a kubeconfig's context, for a shell; without a kubeconfig of those that
/// kubectl takes by itself.
pub fn kubectl(kubeconfig: Option<&Path>, context: Option<&str>) -> String {
    let mut words = vec!["kubectl".to_owned()];
    if let Some(kubeconfig) = kubeconfig {
        let kubeconfig = std::path::absolute(kubeconfig).unwrap_or_else(|_| kubeconfig.to_owned());
        words.extend(["--kubeconfig".to_owned(), quoted(&kubeconfig.to_string_lossy())]);
    }
    words.extend(context.iter().flat_map(|context| ["--context".to_owned(), quoted(context)]));
    words.join(" ")
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-:@+=,".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Reads a file of it.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<String, TargetError> {
    fs::read_to_string(path).map_err(|source| TargetError::File { path: path.display().to_string(), source })
}

/// A client for a kubeconfig's context; its current one if none is named.
///
/// # Errors
/// When the kubeconfig cannot be used.
pub async fn client(path: &Path, context: Option<&str>) -> Result<Client, TargetError> {
    let failed = |source| TargetError::Kubeconfig { path: path.display().to_string(), source };
    of_context(Kubeconfig::read_from(path).map_err(failed)?, context, failed).await
}

/// The same for the kubeconfigs that kubectl would take: all of `KUBECONFIG`, else `~/.kube/config`.
///
/// # Errors
/// When there is none, or none that can be used.
pub async fn client_of_user(context: Option<&str>) -> Result<Client, TargetError> {
    let path = std::env::var("KUBECONFIG").ok().filter(|paths| !paths.is_empty());
    let path = path.unwrap_or_else(|| "~/.kube/config".to_owned());
    let failed = |source| TargetError::Kubeconfig { path: path.clone(), source };
    of_context(Kubeconfig::read().map_err(failed)?, context, failed).await
}

async fn of_context(
    kubeconfig: Kubeconfig,
    context: Option<&str>,
    failed: impl Fn(kube::config::KubeconfigError) -> TargetError,
) -> Result<Client, TargetError> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(failed)?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(ANSWER);
    // From the request on, and not from when the connection was last used.
    config.reset_reader_on_write = true;
    // A pod's 503, passed on by the API server, is what a check wants to see, and not to ask for again for minutes.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| ClientError::Client(ApiError::from(error)).into())
}

/// Time that the API server has to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the cluster answers at all, whatever the account may do there: every account may ask for the version, and a refusal is
/// an answer.
pub async fn answers(client: &Client) -> bool {
    let answer = tokio::time::timeout(TIMEOUT, client.apiserver_version()).await;
    matches!(answer, Ok(Ok(_) | Err(kube::Error::Api(_))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_for_a_shell() {
        assert_eq!(kubectl(Some(Path::new("/a/config")), None), "kubectl --kubeconfig /a/config");
        assert_eq!(
            kubectl(Some(Path::new("/a b/config")), Some("it's/mine")),
            "kubectl --kubeconfig '/a b/config' --context 'it'\\''s/mine'"
        );
    }
}
