//! What is measured.

use crate::sample::Sample;

/// What was found out, in seconds.
#[derive(Debug, Default)]
pub(super) struct Measurement {
    /// `kind create cluster`.
    pub(super) kind: Sample,
    /// `kind delete cluster`.
    pub(super) kind_delete: Sample,
    /// `e2e up` from nothing, with all images here.
    pub(super) up: Sample,
    /// `e2e up` on a cluster that stands.
    pub(super) again: Sample,
    /// `e2e down`.
    pub(super) down: Sample,
}
