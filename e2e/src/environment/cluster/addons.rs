//! What runs in a cluster in addition to Kubernetes: an Ingress controller and Prometheus.

use std::time::Duration;

use kube::Client;

use super::apply::{ApplyError, apply};
use super::ready::{self, ReadyError};
use crate::environment::images::Obtained;
use container_engine::labels::RunId;

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

/// Serves Ingresses of class `traefik`.
pub const TRAEFIK: Addon = Addon {
    name: "Ingress controller",
    namespace: "ingress",
    deployment: "traefik",
    file: "e2e/addons/traefik.yaml",
    manifests: include_str!("../../../addons/traefik.yaml"),
};

/// Scrapes Services that have the annotations `prometheus.io/*`.
pub const PROMETHEUS: Addon = Addon {
    name: "Prometheus",
    namespace: "monitoring",
    deployment: "prometheus",
    file: "e2e/addons/prometheus.yaml",
    manifests: include_str!("../../../addons/prometheus.yaml"),
};

/// Applies an add-on and waits until it is ready.
///
/// # Errors
/// When it cannot be applied, or does not become ready: with the reasons.
pub async fn install(client: &Client, run: &RunId, addon: &Addon, image: &Obtained) -> Result<(), AddonError> {
    let manifests = addon.manifests.replace(PLACEHOLDER, &image.reference);
    apply(client, run, addon.file, &manifests).await?;
    Ok(ready::deployment(client, addon.namespace, addon.deployment, PATIENCE).await?)
}
