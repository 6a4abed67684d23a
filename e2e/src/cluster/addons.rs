//! What a cluster has beside itself: DNS where kubeadm's cannot be had, an Ingress controller, Prometheus.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::DeleteParams;
use kube::{Api, Client};

use super::ApiError;
use super::apply::{ApplyError, apply};
use super::ready::{self, ReadyError};
use crate::images::Obtained;
use crate::labels::Run;

/// Time that an add-on has to become ready; its image is on the node already.
const PATIENCE: Duration = Duration::from_mins(2);

/// What stands for the image's reference in the manifests.
const PLACEHOLDER: &str = "__IMAGE__";

/// Why an add-on is not there.
#[derive(Debug, thiserror::Error)]
pub enum AddonError {
    /// It cannot be applied.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// What it replaces cannot be removed.
    #[error("Deployment kube-system/coredns cannot be removed")]
    Replaced(#[source] ApiError),
    /// It does not become ready.
    #[error(transparent)]
    Ready(#[from] ReadyError),
}

/// An add-on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addon {
    /// What it is called where it is told of.
    pub name: &'static str,
    /// Where it runs.
    pub namespace: &'static str,
    /// Its Deployment.
    pub deployment: &'static str,
    file: &'static str,
    manifests: &'static str,
}

/// Answers for Services in place of `CoreDNS`, on nodes that were built here.
pub const CLUSTER_DNS: Addon = Addon {
    name: "cluster DNS",
    namespace: "kube-system",
    deployment: "cluster-dns",
    file: "e2e/addons/cluster-dns.yaml",
    manifests: include_str!("../../addons/cluster-dns.yaml"),
};

/// Scrapes what has the annotations.
pub const PROMETHEUS: Addon = Addon {
    name: "Prometheus",
    namespace: "monitoring",
    deployment: "prometheus",
    file: "e2e/addons/prometheus.yaml",
    manifests: include_str!("../../addons/prometheus.yaml"),
};

const TRAEFIK: Addon = Addon {
    name: "Ingress controller",
    namespace: "ingress",
    deployment: "traefik",
    file: "e2e/addons/traefik.yaml",
    manifests: include_str!("../../addons/traefik.yaml"),
};

const INGRESS_CONTROLLER: Addon = Addon {
    deployment: "ingress-controller",
    file: "e2e/addons/ingress-controller.yaml",
    manifests: include_str!("../../addons/ingress-controller.yaml"),
    ..TRAEFIK
};

/// The Ingress controller that an image has in it: Traefik, or what was built in its place.
pub fn ingress_controller(image: &Obtained) -> Addon {
    if image.is_built() { INGRESS_CONTROLLER } else { TRAEFIK }
}

/// Applies an add-on and waits until it is ready.
///
/// # Errors
/// When it cannot be applied, or does not become ready: with the reasons.
pub async fn install(client: &Client, run: &Run, addon: &Addon, image: &Obtained) -> Result<(), AddonError> {
    let manifests = addon.manifests.replace(PLACEHOLDER, &image.reference);
    apply(client, run, addon.file, &manifests).await?;
    if *addon == CLUSTER_DNS {
        remove_coredns(client).await?;
    }
    Ok(ready::deployment(client, addon.namespace, addon.deployment, PATIENCE).await?)
}

/// kubeadm deploys it whether or not its image can be had; it would wait for that for ever.
async fn remove_coredns(client: &Client) -> Result<(), AddonError> {
    let deployments = Api::<Deployment>::namespaced(client.clone(), "kube-system");
    match deployments.delete("coredns", &DeleteParams::foreground()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(AddonError::Replaced(error.into())),
    }
}
