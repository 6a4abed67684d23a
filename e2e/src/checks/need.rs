//! The inputs of checks.

/// An input that is not available on every cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The registry's address and credentials.
    Registry,
    /// The pipeline's account.
    Deployer,
    /// The Ingress controller's address.
    Ingress,
    Prometheus,
    /// A Secret with which the pods pull their image.
    PullSecret,
    /// The commit that the image was built from.
    Commit,
    /// The permission to create pods in the namespace.
    PodCreation,
    /// The user's permission to change the cluster. The check reverts its changes.
    Changes,
}
