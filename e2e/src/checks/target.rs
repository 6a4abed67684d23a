//! The systems that a scenario runs against: a cluster, a registry, an Ingress controller and Prometheus, with access to each.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use kube::Client;

use crate::checks::connection::{Connection, ConnectionError};
use crate::checks::environment::{Environment, Prometheus};
use crate::checks::registry_api::RegistryApi;
use crate::environment::cluster::owner;
use crate::environment::cluster_dir::ClusterDir;
use crate::environment::command::quoted;
use crate::environment::registry::login;
use crate::environment::registry::run::Registry;
use crate::environment::{kind_config, registry};

/// Default time limit for each expected change.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_mins(2);

/// Default domain of the environments' hosts.
pub const BASE_DOMAIN: &str = "gitlab-k8s-demo.test";

/// The cluster and the systems around it.
#[derive(Clone)]
pub struct Target {
    /// The API server, with the cluster owner's account.
    pub connection: Connection,
    /// A client of this connection.
    pub client: Client,
    /// The kubectl command for the user, with the owner's account: `kubectl --kubeconfig FILE`.
    pub kubectl: String,
    /// The content of the pipeline account's kubeconfig for jobs.
    pub deployer_kubeconfig: Option<String>,
    /// A client with the pipeline's account for this machine.
    pub deployer: Option<Client>,
    /// The kubectl command for the user, with the pipeline's account.
    pub deployer_kubectl: Option<String>,
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
    pub timeout: Duration,
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
    /// The registry of `e2e up`.
    ///
    /// # Errors
    /// If no client can be created for it.
    pub fn from_registry(registry: &Registry) -> Result<Self, reqwest::Error> {
        let (user, password) = (login::USER, registry.login.password());
        let base = format!("https://{}", registry.address);
        let api = RegistryApi::new(registry::HOST, &base, (user, password), Some(&registry.authority))?;
        Ok(Self {
            host: registry::HOST.to_owned(),
            image: None,
            user: user.to_owned(),
            password: password.to_owned(),
            has_private_authority: true,
            api,
        })
    }

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
    /// No connection to the API server is possible.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
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
        let connection = Connection::from_file(&state.kubeconfig(), None).await?;
        Ok(Self {
            client: connection.client()?,
            connection,
            kubectl: kubectl(Some(&state.kubeconfig()), None),
            deployer_kubeconfig: Some(read(&state.gitlab_internal_kubeconfig())?),
            deployer: Some(Connection::from_file(&state.gitlab_kubeconfig(), None).await?.client()?),
            deployer_kubectl: Some(kubectl(Some(&state.gitlab_kubeconfig()), None)),
            namespace: owner::NAMESPACE.to_owned(),
            base_domain: BASE_DOMAIN.to_owned(),
            ingress: mappings.iter().find(|mapping| mapping.container_port == 80).map(|mapping| mapping.host),
            registry: registry.map(RegistryTarget::from_registry).transpose()?,
            prometheus: Some(Prometheus {
                namespace: "monitoring".to_owned(),
                service: "prometheus".to_owned(),
                port: "http".to_owned(),
            }),
            networks: vec![network.to_owned()],
            timeout: DEFAULT_TIMEOUT,
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
            missing: BTreeMap::new(),
            is_read_only: false,
            timeout: self.timeout,
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
