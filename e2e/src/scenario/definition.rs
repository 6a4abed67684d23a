//! What a run is given, and why it ends early.

use std::path::PathBuf;
use std::sync::Arc;

use bollard::Docker;
use tokio_util::sync::CancellationToken;

use super::project::ProjectError;
use super::recorder::StepError;
use crate::checks::target::Target;
use crate::environment::images::Images;
use crate::environment::up::{Plan, UpError};
use crate::record::Failure;

/// A run: what is pushed, and where it is deployed.
pub struct Scenario {
    /// The engine of jobs, and of kind's nodes.
    pub docker: Docker,
    /// Where images come from.
    pub images: Arc<Images>,
    /// The repository.
    pub source: PathBuf,
    /// The branch that is pushed; a new one if none is named.
    pub branch: Option<String>,
    /// The tag that is pushed; a new one if none is named.
    pub tag: Option<String>,
    pub cluster: ClusterSource,
    /// Whether everything stays after the run.
    pub keep: bool,
    /// The directory of the run.
    pub dir: PathBuf,
    /// Ends the run early.
    pub cancel: CancellationToken,
}

/// Where the cluster of a run comes from.
pub enum ClusterSource {
    /// kind creates it, unless it is up.
    Kind(Box<Plan>),
    Existing(Box<Target>),
}

/// Why a run ends early.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The machine lacks a prerequisite, or the cluster does not come up.
    #[error(transparent)]
    Up(#[from] UpError),
    /// The repository does not have what is to be pushed.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// A pipeline.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// An existing cluster or registry has something already where the pipeline would put its own; and the remedy.
    #[error("{0}: the run would replace it; {1}")]
    Taken(String, &'static str),
    /// Checks that failed.
    #[error("{0}")]
    Checks(String),
    /// Anything else.
    #[error("{0}")]
    Broken(String),
    /// The tag's part ends because the branch's pipeline did not pass.
    #[error("the branch's pipeline did not pass")]
    BranchFailed,
    /// The user interrupted the run.
    #[error("interrupted")]
    Interrupted,
}

/// Why a pipeline did not do what the run needs.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReplayError {
    /// It did not pass.
    #[error("{0}")]
    NotPassed(String),
    /// The pipeline file is invalid, or creates no pipeline.
    #[error("{0}")]
    Refused(String),
    /// It could not be run at all.
    #[error("{0}")]
    NotRun(String),
    /// The user interrupted it.
    #[error("interrupted")]
    Interrupted,
}

impl ScenarioError {
    pub(super) fn broken(error: &dyn std::fmt::Display) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<&Failure> for ScenarioError {
    fn from(failure: &Failure) -> Self {
        Self::Checks(format!("expected {}, saw {}", failure.expected, failure.seen))
    }
}

impl StepError for ScenarioError {
    fn is_interruption(&self) -> bool {
        matches!(self, Self::Interrupted | Self::BranchFailed | Self::Replay(ReplayError::Interrupted))
    }
}

impl Scenario {
    /// Does some work, unless the user interrupts the run before it is done.
    pub(super) async fn cancellable<T>(&self, work: impl Future<Output = T>) -> Result<T, ScenarioError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(ScenarioError::Interrupted),
            done = work => Ok(done),
        }
    }
}
