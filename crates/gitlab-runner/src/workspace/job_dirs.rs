//! Where a job finds its files.

/// Where a job's files are, as the job sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// `CI_BUILDS_DIR`.
    pub builds: String,
    /// `CI_PROJECT_DIR`: the checkout.
    pub project: String,
}

impl Places {
    /// Where file variables are, and nothing of the checkout.
    pub fn temporary(&self) -> String {
        format!("{}.tmp", self.project)
    }
}
