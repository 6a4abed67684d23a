//! A cluster to work on: kind makes it, and what its owner prepares is put into it.
//!
//! - [`kind`]: makes it, and tells whose it is.
//! - [`node_image`]: the node with the add-ons' images in its store; [`load`] takes images to nodes that run.
//! - [`apply`]: puts manifests into it. [`ready`] waits for what they start, and `explain` says why it does not.
//! - [`objects`]: all that is in a namespace, of whatever kind.
//! - [`addons`]: the Ingress controller and Prometheus.
//! - [`owner`]: the namespace, the deployer's account and its kubeconfigs, the pull secret, trust in the registry.

pub mod addons;
pub mod apply;
pub mod conditions;
pub mod explain;
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

/// Time that an API server has to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an API server answered, or why it did not, without the half of it that only programs read.
#[derive(Debug)]
pub struct ApiError(Box<kube::Error>);

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        Self(Box::new(error))
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

/// Why a cluster cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It is no kubeconfig.
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// kind has none either.
    #[error(transparent)]
    Kind(#[from] crate::environment::command::CommandError),
    /// No client can be made of it.
    #[error("no client for the cluster")]
    Client(#[source] ApiError),
}

/// A client for the cluster of a kubeconfig.
///
/// # Errors
/// When it cannot be used. Whether the cluster answers is not asked.
pub async fn client(kubeconfig: Kubeconfig) -> Result<Client, ClientError> {
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Client::try_from(config).map_err(|error| ClientError::Client(error.into()))
}

/// The nodes of a cluster that answers soon.
pub async fn nodes(client: &Client) -> Option<Vec<Node>> {
    let api = Api::<Node>::all(client.clone());
    Some(tokio::time::timeout(PATIENCE, api.list(&ListParams::default())).await.ok()?.ok()?.items)
}

/// Whether every node says that it was made whole by `run`: it is told so as the last thing.
pub fn is_whole(nodes: &[Node], run: &str) -> bool {
    let of_run = |node: &Node| {
        node.metadata.labels.as_ref().and_then(|labels| labels.get(labels::RUN)).is_some_and(|it| it == run)
    };
    !nodes.is_empty() && nodes.iter().all(of_run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_api_server_says_is_said_once() {
        let status = kube::core::Status { message: "pods is forbidden".to_owned(), ..kube::core::Status::default() };
        let error = ApiError::from(kube::Error::Api(status.boxed()));
        assert_eq!(error.to_string(), "pods is forbidden");
        assert!(std::error::Error::source(&error).is_none());
    }
}
