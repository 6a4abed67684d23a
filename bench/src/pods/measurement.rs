//! The results of the measurement.

use crate::sample::Sample;

/// The measured values.
#[derive(Debug, Default)]
pub(super) struct Measurement {
    /// A pipeline of one job that does nothing, in seconds.
    pub(super) one: Sample,
    /// A bare pod that does nothing, in seconds.
    pub(super) one_bare: Sample,
    /// A pipeline of parallel jobs that do nothing, in seconds.
    pub(super) many: Sample,
    /// As many bare pods at the same time, in seconds.
    pub(super) many_bare: Sample,
    /// The output of a job, in megabytes per second.
    pub(super) output: Sample,
    /// The output of a program in a bare pod, in megabytes per second.
    pub(super) output_bare: Sample,
}
