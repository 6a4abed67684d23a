//! The purpose that a machine is examined for.

use std::path::Path;

use crate::environment::images::{ImagePolicy, KubernetesVersion};

/// The cluster and images that the machine must be able to run and obtain.
#[derive(Clone, Copy, Debug)]
pub struct Request<'request> {
    /// The kind configuration, which maps ports of this machine.
    pub kind_config: &'request Path,
    /// The cluster that may already use these ports.
    pub cluster: &'request str,
    /// The Kubernetes version of the cluster.
    pub kubernetes: KubernetesVersion,
    /// The ways in which images may be obtained.
    pub policy: ImagePolicy,
    /// The directory with the image recipes.
    pub recipes: &'request Path,
}
