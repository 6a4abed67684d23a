//! The results of the measurement.

use crate::sample::Sample;

/// The measured times, in seconds.
#[derive(Debug, Default)]
pub(super) struct Measurement {
    /// `kind create cluster`.
    pub(super) kind: Sample,
    /// `kind delete cluster`.
    pub(super) kind_delete: Sample,
    /// `e2e up` without a cluster, with all images present.
    pub(super) up: Sample,
    /// `e2e up` on a running cluster.
    pub(super) again: Sample,
    /// `e2e down`.
    pub(super) down: Sample,
}
