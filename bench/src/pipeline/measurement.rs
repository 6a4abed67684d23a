//! The results of the measurement.

use crate::sample::Sample;

/// The number of jobs that each program runs at the same time.
pub(super) const CONCURRENCY: &str = "4";

/// The numbers of jobs in the files that are planned.
pub(super) const SIZES: [usize; 3] = [100, 1_000, 10_000];

/// The measured times, in seconds. Fields with the suffix `_other` are those of gitlab-ci-local, the others those of e2e.
#[derive(Debug, Default)]
pub(super) struct Measurement {
    pub(super) article: Sample,
    pub(super) article_other: Sample,
    pub(super) plans: [Sample; SIZES.len()],
    pub(super) hundred_other: Sample,
    /// Running 100 jobs that do nothing.
    pub(super) run: Sample,
    pub(super) run_other: Sample,
    /// The number of jobs of the article's pipeline that gitlab-ci-local lists, but GitLab would not run.
    pub(super) extra_jobs: usize,
}
