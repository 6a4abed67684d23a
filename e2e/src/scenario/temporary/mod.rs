//! The service in a temporary namespace of a cluster, for `e2e check --deploy`.
//!
//! - [`demo`]: deploys an image with the repository's manifests, waits until it runs, and removes it.
//! - [`namespace`]: the namespace, which identifies its owner, so that others remove it after the owner was killed.
//! - [`choice`]: the class of the Ingress and the architecture of the pods, which depend on the cluster.
//! - `manifests`: the manifests of the service and of the cluster owner, with the values of the namespace.

pub mod choice;
pub mod demo;
pub mod namespace;

mod manifests;

#[cfg(test)]
mod namespace_tests;
