//! The cluster's add-ons: an Ingress controller and Prometheus.

use std::time::Duration;

use kube::Client;

use super::apply::{ApplyError, apply};
use super::ready::{self, ReadyError};
use crate::environment::images::ResolvedImage;
use container_engine::labels::RunId;

/// Time that an add-on has to become ready. Its image is on the node already.
const TIMEOUT: Duration = Duration::from_mins(2);

/// The placeholder for the image's reference in the manifests.
const PLACEHOLDER: &str = "__IMAGE__";

/// An add-on could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum AddonError {
    /// A manifest cannot be applied.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The Deployment does not become ready.
    #[error(transparent)]
    Ready(#[from] ReadyError),
}

/// An add-on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addon {
    /// The name for users.
    pub name: &'static str,
    /// The namespace that it runs in.
    pub namespace: &'static str,
    /// The name of its Deployment.
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
/// If it cannot be applied, or does not become ready; the error has the states, events and last log lines of its pods.
pub async fn install(client: &Client, run: &RunId, addon: &Addon, image: &ResolvedImage) -> Result<(), AddonError> {
    let manifests = addon.manifests.replace(PLACEHOLDER, &image.reference);
    apply(client, run, addon.file, &manifests).await?;
    Ok(ready::deployment(client, addon.namespace, addon.deployment, TIMEOUT).await?)
}
