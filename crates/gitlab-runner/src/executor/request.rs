//! The description of a job for an executor, and the executor's errors.

use std::sync::Arc;
use std::time::Duration;

use crate::workspace::job_dirs::JobDirs;
use gitlab_ci::config::image::PullPolicy;
use gitlab_ci::variables::collection::Variable;

/// GitLab's reason for a job's failure, as in `retry:when`: `lib/gitlab/ci/status/build/failed.rb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// The script failed, or the image cannot be used.
    ScriptFailure,
    /// The job exceeded its timeout.
    JobExecutionTimeout,
    /// The runner, the engine or the machine failed.
    RunnerSystemFailure,
    /// The name of the job's environment is invalid.
    EnvironmentCreationFailure,
}

impl FailureReason {
    /// The value in `retry:when`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ScriptFailure => "script_failure",
            Self::JobExecutionTimeout => "job_execution_timeout",
            Self::RunnerSystemFailure => "runner_system_failure",
            Self::EnvironmentCreationFailure => "environment_creation_failure",
        }
    }
}

/// An executor's error.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ExecutorError {
    /// GitLab's reason for the failure.
    pub reason: FailureReason,
    /// The message for the user, with a remedy where it is known.
    pub message: String,
}

impl ExecutorError {
    /// A system failure: the job did not cause it.
    pub fn system(message: impl Into<String>) -> Self {
        Self { reason: FailureReason::RunnerSystemFailure, message: message.into() }
    }
}

/// The description of a job for an executor.
#[derive(Clone, Debug)]
pub struct Request {
    /// The job's name.
    pub name: Arc<str>,
    /// The job's number.
    pub id: u64,
    /// The job's timeout.
    pub timeout: Duration,
    /// The job's variables, expanded.
    pub variables: Arc<Vec<Variable>>,
    /// The job's image, expanded; `None` for the image of the runner configuration.
    pub image: Option<ImageRequest>,
    /// The job's services, expanded.
    pub services: Vec<ServiceRequest>,
    /// The job's directories.
    pub job_dirs: JobDirs,
}

/// An image, with all variables expanded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageRequest {
    /// The image reference.
    pub name: String,
    /// Replaces the image's entrypoint. A single empty string removes it.
    pub entrypoint: Option<Vec<String>>,
    /// `docker:user`: the user who runs the commands.
    pub user: Option<String>,
    /// `docker:platform`: `os/architecture`.
    pub platform: Option<String>,
    /// `kubernetes:user`: the user, and the group after a colon, that runs the commands in a pod.
    pub kubernetes_user: Option<String>,
    /// Pull policies, tried in this order; if empty, those of the runner configuration.
    pub pull_policy: Vec<PullPolicy>,
}

/// A service, with all variables expanded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceRequest {
    /// The service's image.
    pub image: ImageRequest,
    /// Replaces the image's command.
    pub command: Option<Vec<String>>,
    /// Host names of the service, in addition to those derived from the image's name.
    pub aliases: Vec<String>,
    /// The service's variables, expanded: the public ones of the job, then its own.
    pub variables: Vec<(String, String)>,
}

/// The state that later steps of a job depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepState {
    /// Whether the project directory exists.
    pub has_project: bool,
    /// At most `MAX_ENVIRONMENT` bytes of the file whose path is in `GITLAB_ENV`. Empty if the file does not exist.
    pub environment: String,
}

/// Maximum number of bytes that are read of the file whose path is in `GITLAB_ENV`.
pub(super) const MAX_ENVIRONMENT: u64 = 60_000;
