//! What is measured.

use crate::sample::Sample;

/// How many jobs run at the same time, on both sides.
pub(super) const CONCURRENCY: &str = "4";

/// The sizes of the files that are planned.
pub(super) const SIZES: [usize; 3] = [100, 1_000, 10_000];

/// What was found out, in seconds.
#[derive(Debug, Default)]
pub(super) struct Measurement {
    pub(super) article: Sample,
    pub(super) article_beside: Sample,
    pub(super) plans: [Sample; SIZES.len()],
    pub(super) hundred_beside: Sample,
    pub(super) run: Sample,
    pub(super) run_beside: Sample,
    /// How many jobs gitlab-ci-local lists of the article's pipeline that GitLab would not run.
    pub(super) too_many: usize,
}
