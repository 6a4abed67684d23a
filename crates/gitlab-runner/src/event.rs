//! The events of a running pipeline, for reports and progress displays.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::status::Status;

/// An event of a pipeline. Serialized, it is a line of `--format json`. That format is published, so the names of fields in JSON stay:
/// where the code uses another word, `#[serde(rename)]` keeps the published one.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The pipeline starts.
    PipelineStarted {
        /// The version of GitLab by whose rules the jobs were planned.
        gitlab: String,
        /// The pipeline's number.
        id: u64,
        /// Number of jobs in the pipeline.
        jobs: usize,
        /// The directory of the pipeline's logs and artifacts.
        dir: PathBuf,
    },
    /// A job starts, for the first time or as a retry.
    JobStarted {
        /// The job's name.
        job: Arc<str>,
        /// The number of the attempt, from 1 on.
        attempt: usize,
    },
    /// A job reaches a step: `get_sources`, `step_script`, …
    Step {
        /// The job's name.
        job: Arc<str>,
        /// GitLab Runner's name of the step.
        step: &'static str,
    },
    /// A job wrote a line.
    Line {
        /// The job's name.
        job: Arc<str>,
        /// The line with secrets masked, including ANSI colors, without the line break.
        line: String,
    },
    /// An attempt of a job ended.
    JobEnded(JobReport),
    /// The pipeline is over and the job never ran.
    JobNotRun(JobReport),
    /// A job waits for something other than jobs: a user, a point in time, a resource group or variables.
    JobWaits {
        /// The job's name.
        job: Arc<str>,
        /// The reason why the job waits.
        #[serde(rename = "why")]
        reason: String,
    },
    /// A message to the user.
    Note {
        /// The job that the message is about.
        job: Option<Arc<str>>,
        /// The message.
        text: String,
    },
    /// The pipeline is over.
    PipelineEnded {
        /// The pipeline's final status.
        status: Status,
        /// The pipeline's duration. Serialized in seconds, with three decimals.
        #[serde(rename = "took", serialize_with = "seconds")]
        duration: Duration,
    },
}

/// The result of an attempt of a job.
#[derive(Clone, Debug, Serialize)]
pub struct JobReport {
    /// The job's name.
    pub job: Arc<str>,
    /// The job's stage.
    pub stage: Arc<str>,
    /// The status after the attempt; `created` if the job never became ready to run.
    pub status: Status,
    /// Whether a failure is allowed and does not fail the pipeline.
    pub allow_failure: bool,
    /// The number of the attempt, from 1 on; 0 if the job never ran.
    pub attempt: usize,
    /// Whether another attempt follows.
    pub is_retried: bool,
    /// The attempt's duration. Serialized in seconds, with three decimals.
    #[serde(rename = "took", serialize_with = "seconds")]
    pub duration: Duration,
    /// The reason for the status, for the user; may be empty.
    #[serde(rename = "why")]
    pub reason: String,
    /// GitLab's reason for a failure, as in `retry:when`.
    pub failure_reason: Option<&'static str>,
    /// The exit code of the script.
    pub exit_code: Option<i32>,
    /// The test coverage that the log reports, in percent.
    pub coverage: Option<f64>,
    /// The sums of the job's `junit` reports.
    pub tests: Option<TestCounts>,
    /// The expanded `environment:url`.
    pub environment_url: Option<String>,
    /// The log file; `None` if the job never ran.
    pub log: Option<PathBuf>,
    /// The last lines of the log, without colors; at most [`LAST_LINES`](crate::log::LAST_LINES).
    #[serde(skip)]
    pub last_lines: Vec<String>,
}

/// The numbers of test cases in `junit` reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TestCounts {
    /// All test cases.
    pub total: usize,
    /// Test cases that failed or ended with an error.
    pub failed: usize,
    /// Test cases that were skipped.
    pub skipped: usize,
}

/// A function that receives the events of a pipeline.
pub type EventSink = dyn Fn(Event) + Send + Sync;

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}
