//! The inputs of a run, and the reasons why it ends early.

use std::path::PathBuf;
use std::sync::Arc;

use bollard::Docker;
use gitlab_runner::config::RunnerConfig;
use tokio_util::sync::CancellationToken;

use super::project::ProjectError;
use super::recorder::StepError;
use crate::checks::target::Target;
use crate::environment::images::Images;
use crate::environment::up::{Plan, UpError};
use crate::record::Failure;
use gitlab_ci::gitlab_version::GitlabVersion;

/// The inputs of a run: the branch and the tag to push, and the cluster to deploy to.
pub struct Scenario {
    /// The engine of jobs, and of kind's nodes.
    pub docker: Docker,
    /// Obtains the images.
    pub images: Arc<Images>,
    /// The repository.
    pub source: PathBuf,
    /// The branch to push. `None` for a new branch.
    pub branch: Option<String>,
    /// The tag to push. `None` for a new tag.
    pub tag: Option<String>,
    /// The version of GitLab to imitate. Without one, words that are newer than the default version are only warnings.
    pub gitlab: Option<GitlabVersion>,
    pub cluster: ClusterSource,
    pub executor: JobExecutor,
    /// Whether the cluster and the deployed environments are kept after the run.
    pub keep: bool,
    /// The directory of the run.
    pub dir: PathBuf,
    /// Ends the run early.
    pub cancel: CancellationToken,
}

/// The ref of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ref {
    Branch,
    Tag,
}

/// The source of the cluster.
pub enum ClusterSource {
    /// A kind cluster, which the run creates if it is not running.
    Kind(Box<Plan>),
    Existing(Box<Target>),
}

/// How jobs run.
pub enum JobExecutor {
    /// In containers.
    Docker,
    /// In pods of the cluster that the pipeline deploys to.
    Kubernetes(Box<PodJobs>),
}

/// The settings of jobs that run in pods.
pub struct PodJobs {
    /// The settings of the runner.
    pub config: RunnerConfig,
    /// The directory with the manifests of the runner. The owner of a kind cluster applies those that job pods need; the owner of an
    /// existing cluster has applied them.
    pub manifests: PathBuf,
}

/// The reason why a run ends early.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// A prerequisite is missing, or the cluster cannot be created.
    #[error(transparent)]
    Up(#[from] UpError),
    /// The repository does not have the branch or the tag.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// A pipeline did not pass, or cannot run.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The pipeline would replace an object in an existing cluster, or a tag in an existing registry. Contains the object or tag, and the
    /// remedy.
    #[error("{0}: the run would replace it; {1}")]
    Taken(String, &'static str),
    /// Checks failed.
    #[error("{0}")]
    Checks(String),
    /// Another error.
    #[error("{0}")]
    Broken(String),
    /// The tag's part ends because the branch's pipeline did not pass.
    #[error("the branch's pipeline did not pass")]
    BranchFailed,
    /// The user interrupted the run.
    #[error("interrupted")]
    Interrupted,
}

/// The reason why a pipeline of the run failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReplayError {
    /// It did not pass.
    #[error("{0}")]
    NotPassed(String),
    /// The pipeline file is invalid, or creates no pipeline.
    #[error("{0}")]
    Refused(String),
    /// It could not run, or its resources could not be removed.
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
        Self::Checks(failure.sentence())
    }
}

impl StepError for ScenarioError {
    fn is_interruption(&self) -> bool {
        matches!(self, Self::Interrupted | Self::BranchFailed | Self::Replay(ReplayError::Interrupted))
    }
}

impl Scenario {
    /// Whether jobs get the deployer's kubeconfig. Without one, they use the account of their pods.
    pub(super) fn gives_kubeconfig(&self) -> bool {
        match (&self.executor, &self.cluster) {
            (JobExecutor::Kubernetes(_), ClusterSource::Kind(_)) => false,
            (_, ClusterSource::Existing(target)) => target.deployer_kubeconfig.is_some(),
            (JobExecutor::Docker, ClusterSource::Kind(_)) => true,
        }
    }

    /// Waits for `work`, or fails when the user interrupts the run.
    pub(super) async fn cancellable<T>(&self, work: impl Future<Output = T>) -> Result<T, ScenarioError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(ScenarioError::Interrupted),
            done = work => Ok(done),
        }
    }
}
