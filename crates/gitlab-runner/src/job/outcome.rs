//! The result of an attempt of a job.

use crate::event::TestCounts;
use crate::executor::FailureReason;
use crate::status::Status;
use gitlab_ci::variables::collection::Variable;

/// The result of an attempt.
#[derive(Clone, Debug, Default)]
pub struct JobOutcome {
    /// GitLab's reason and the exit code, if the attempt failed.
    pub failure: Option<(FailureReason, Option<i32>)>,
    /// Whether the attempt was canceled.
    pub is_canceled: bool,
    /// The reason for the result, for the user; usually empty if the attempt succeeded.
    pub reason: String,
    /// The test coverage that the log reports, in percent.
    pub coverage: Option<f64>,
    /// The sums of the job's `junit` reports.
    pub tests: Option<TestCounts>,
    /// The expanded `environment:url`.
    pub environment_url: Option<String>,
    /// The variables of the job's `dotenv` reports, for later jobs.
    pub dotenv: Vec<Variable>,
    /// The last lines of the log, without colors.
    pub last_lines: Vec<String>,
}

impl JobOutcome {
    /// The job's status after the attempt.
    pub fn status(&self) -> Status {
        match (self.is_canceled, &self.failure) {
            (true, _) => Status::Canceled,
            (false, Some(_)) => Status::Failed,
            (false, None) => Status::Success,
        }
    }
}
