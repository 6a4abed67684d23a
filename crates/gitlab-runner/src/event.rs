//! What goes on in a pipeline, for whoever watches.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::status::Status;

/// Something that happened. Serialised, it is a line of `--format json`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The pipeline begins.
    PipelineStarted {
        /// Its number.
        id: u64,
        /// How many jobs it has.
        jobs: usize,
        /// Where its logs and artifacts go.
        folder: PathBuf,
    },
    /// A job begins, or begins again.
    JobStarted {
        /// Which.
        job: Arc<str>,
        /// 1, and more where it is retried.
        attempt: usize,
    },
    /// A job is at a step: `get_sources`, `step_script`, …
    Step {
        /// Which job.
        job: Arc<str>,
        /// The runner's name of the step.
        step: &'static str,
    },
    /// A job wrote a line, in which secrets are masked.
    Line {
        /// Which job.
        job: Arc<str>,
        /// The line, with its colours and without its end.
        line: String,
    },
    /// A job ended for this time.
    JobEnded(JobReport),
    /// A job never ran, and the pipeline is over.
    JobNotRun(JobReport),
    /// A job is at where it waits for something other than jobs: for somebody, a time, a resource.
    JobWaits {
        /// Which.
        job: Arc<str>,
        /// What it waits for.
        why: String,
    },
    /// Something that whoever reads should know.
    Note {
        /// The job that it is about.
        job: Option<Arc<str>>,
        /// What.
        text: String,
    },
    /// The pipeline is over.
    PipelineEnded {
        /// How.
        status: Status,
        /// How long it took, in seconds.
        #[serde(serialize_with = "seconds")]
        took: Duration,
    },
}

/// How a job ended.
#[derive(Clone, Debug, Serialize)]
pub struct JobReport {
    /// Its name.
    pub job: Arc<str>,
    /// Its stage.
    pub stage: Arc<str>,
    /// How it ended; `created` if its turn never came.
    pub status: Status,
    /// Whether a failure counts.
    pub allow_failure: bool,
    /// Which time it was; 0 if it never ran.
    pub attempt: usize,
    /// Whether it will be tried again.
    pub is_retried: bool,
    /// How long it took, in seconds.
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
    /// Why it ended so, in words.
    pub why: String,
    /// The code that its script ended with.
    pub exit_code: Option<i32>,
    /// What its log says of coverage, in percent.
    pub coverage: Option<f64>,
    /// What its reports say of tests.
    pub tests: Option<TestCounts>,
    /// Where its environment is reached.
    pub environment_url: Option<String>,
    /// Where its log is; nothing if it never ran.
    pub log: Option<PathBuf>,
    /// Its last lines.
    #[serde(skip)]
    pub last_lines: Vec<String>,
}

/// What reports of tests count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TestCounts {
    /// All test cases.
    pub total: usize,
    /// Those that failed, or ended with an error.
    pub failed: usize,
    /// Those that were left out.
    pub skipped: usize,
}

/// Hears what goes on.
pub type Tell = dyn Fn(Event) + Send + Sync;

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}
