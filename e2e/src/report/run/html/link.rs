//! Links with untrusted targets.

use crate::record::Job;
use crate::report::run::words::Kind;

/// Whether the URL is a web address, and not a scheme that a browser executes.
pub(super) fn is_web(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

/// The anchor of the log of a job, from the numbers of the pipeline and the job.
pub(super) fn anchor(pipeline: usize, job: usize) -> String {
    format!("log-{pipeline}-{job}")
}

/// Whether the page has a log of the job.
pub(super) fn has_log(job: &Job) -> bool {
    job.attempts > 0 || Kind::from_job(job) == Kind::Failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untrusted_texts_are_not_executed() {
        assert!(!is_web("javascript:alert(1)") && is_web("http://dev.gitlab-k8s-demo.test"));
    }
}
