//! Creates a cluster with kind, and prepares it as its owner would.
//!
//! - [`kind`]: creates the cluster, and identifies the run that it belongs to.
//! - [`node_image`]: builds the node image that contains the add-ons' images; [`load`] copies images to running nodes, and
//!   [`job_images`] those of jobs.
//! - [`apply`]: applies manifests. [`ready`] waits until their workloads are ready, and [`explain`] shows why they are not.
//! - [`objects`]: lists all objects in a namespace, of every kind.
//! - [`addons`]: the Ingress controller and Prometheus.
//! - [`owner`]: the namespace, the deployer's account and its kubeconfigs, the pull secret, trust in the registry.

pub mod addons;
pub mod apply;
pub mod conditions;
pub mod explain;
pub mod job_images;
pub mod kind;
pub mod load;
pub mod node_image;
pub mod objects;
pub mod owner;
pub mod ready;

use std::fmt;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use container_engine::labels;

/// Time that an API server has to respond.
const TIMEOUT: Duration = Duration::from_secs(5);

/// An error of the API server or of the connection to it. Displays only the message of a `Status`, not its fields for programs.
#[derive(Debug)]
pub struct ApiError(Box<kube::Error>);

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        Self(Box::new(error))
    }
}

impl ApiError {
    /// Whether the account lacks a permission.
    pub fn is_forbidden(&self) -> bool {
        matches!(&*self.0, kube::Error::Api(status) if status.code == 403)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match &*self.0 {
            kube::Error::Api(status) => formatter.write_str(&status.message),
            error => error.fmt(formatter),
        }
    }
}

impl std::error::Error for ApiError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.0 {
            kube::Error::Api(_) => None,
            error => error.source(),
        }
    }
}

/// No client can be created for a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The kubeconfig is invalid.
    #[error("cannot use the kubeconfig")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// kind does not provide a kubeconfig either.
    #[error(transparent)]
    Kind(#[from] crate::environment::command::CommandError),
    /// The client cannot be created from the kubeconfig.
    #[error("cannot create a client for the cluster")]
    Client(#[source] ApiError),
}

/// Creates a client for the cluster of a kubeconfig.
///
/// # Errors
/// If the kubeconfig cannot be used. Does not check whether the cluster responds.
pub async fn client(kubeconfig: Kubeconfig) -> Result<Client, ClientError> {
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Client::try_from(config).map_err(|error| ClientError::Client(error.into()))
}

/// The nodes of the cluster, or `None` if it does not respond in time.
pub async fn nodes(client: &Client) -> Option<Vec<Node>> {
    let api = Api::<Node>::all(client.clone());
    Some(tokio::time::timeout(TIMEOUT, api.list(&ListParams::default())).await.ok()?.ok()?.items)
}

/// Whether every node has the label of the run `run`. `e2e up` sets it after kind has created the cluster and the registry runs.
pub fn is_complete(nodes: &[Node], run: &str) -> bool {
    let has_label = |node: &Node| {
        node.metadata.labels.as_ref().and_then(|labels| labels.get(labels::RUN)).is_some_and(|it| it == run)
    };
    !nodes.is_empty() && nodes.iter().all(has_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_error_shows_its_message_once() {
        let status = kube::core::Status { message: "pods is forbidden".to_owned(), ..kube::core::Status::default() };
        let error = ApiError::from(kube::Error::Api(status.boxed()));
        assert_eq!(error.to_string(), "pods is forbidden");
        assert!(std::error::Error::source(&error).is_none());
    }
}
