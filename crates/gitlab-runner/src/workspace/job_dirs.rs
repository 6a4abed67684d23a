//! The directories of a job.

/// The directories of a job, as paths that the job sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobDirs {
    /// `CI_BUILDS_DIR`, without a trailing slash.
    pub builds: String,
    /// `CI_PROJECT_DIR`: the directory of the checkout.
    pub project: String,
}

impl JobDirs {
    /// The directory of file variables, outside of the checkout.
    pub fn temporary(&self) -> String {
        format!("{}.tmp", self.project)
    }
}
