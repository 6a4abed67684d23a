//! The error of a removal of resources that jobs have left.

use super::kubernetes;

/// A resource that jobs have left cannot be removed.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The engine does not answer, or keeps a resource.
    #[error(transparent)]
    Engine(#[from] bollard::errors::Error),
    /// The API server does not answer, or keeps an object.
    #[error(transparent)]
    Cluster(#[from] kubernetes::SweepError),
}
