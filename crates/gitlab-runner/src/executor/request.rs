//! What an executor is asked for, and why it could not do it.

use std::sync::Arc;

use crate::workspace::job_dirs::Places;
use gitlab_ci::config::image::PullPolicy;
use gitlab_ci::variables::collection::Variable;

/// Why GitLab says that a job failed; `retry:when` knows these words. `lib/gitlab/ci/status/build/failed.rb`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// Its script, or its image.
    ScriptFailure,
    /// It took too long.
    JobExecutionTimeout,
    /// What runs jobs is at fault.
    RunnerSystemFailure,
}

impl FailureReason {
    /// The word of `retry:when`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ScriptFailure => "script_failure",
            Self::JobExecutionTimeout => "job_execution_timeout",
            Self::RunnerSystemFailure => "runner_system_failure",
        }
    }
}

/// Why an executor could not do what it was asked for.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ExecutorError {
    /// What GitLab calls it.
    pub reason: FailureReason,
    /// In words, with what to do about it.
    pub message: String,
}

impl ExecutorError {
    /// Something that is no fault of the job's.
    pub fn system(message: impl Into<String>) -> Self {
        Self { reason: FailureReason::RunnerSystemFailure, message: message.into() }
    }
}

/// What an executor is told of a job.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its name.
    pub name: Arc<str>,
    /// Its number.
    pub id: u64,
    /// Its variables, expanded.
    pub variables: Arc<Vec<Variable>>,
    /// Its image, expanded; the runner's own if it names none.
    pub image: Option<ImageRequest>,
    /// Its services, expanded.
    pub services: Vec<ServiceRequest>,
    /// Where its files are to be.
    pub places: Places,
}

/// An image, expanded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageRequest {
    /// Its name.
    pub name: String,
    /// In place of its own; of one empty text: none.
    pub entrypoint: Option<Vec<String>>,
    /// `docker:user`.
    pub user: Option<String>,
    /// `docker:platform`.
    pub platform: Option<String>,
    /// When it is pulled, in this order; what the runner is set to if there is none.
    pub pull_policy: Vec<PullPolicy>,
}

/// A service, expanded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceRequest {
    /// Its image.
    pub image: ImageRequest,
    /// In place of the image's own.
    pub command: Option<Vec<String>>,
    /// Names that it is reached by beside those made of its image's name.
    pub aliases: Vec<String>,
    /// Its variables, expanded: the public ones of the job, then its own.
    pub variables: Vec<(String, String)>,
}
