//! What a machine is examined for.

use std::path::Path;

use crate::environment::images::KubernetesVersion;
use crate::environment::images::Way;

/// What the machine is to be used for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'request> {
    /// The file that maps ports of this machine.
    pub kind_config: &'request Path,
    /// The cluster that may hold these ports already.
    pub cluster: &'request str,
    /// The Kubernetes version of the cluster.
    pub kubernetes: KubernetesVersion,
    /// The ways by which images may come.
    pub way: Way,
    /// The directory with the recipes of images.
    pub recipes: &'request Path,
}
