//! Executors, which run jobs: GitLab Runner's `executors/`.
//!
//! - [`shell`]: on this machine, in a directory that jobs reuse.
//! - [`docker`]: in a container, with service containers alongside.
//! - [`kubernetes`]: in a pod of a cluster, with services as further containers of the pod.

mod creations;
mod credential_helper;
mod credentials;
pub mod docker;
mod image_source;
pub mod kubernetes;
mod output_task;
mod reference;
mod repack;
mod request;
mod runner_service;
mod script_end;
mod script_request;
pub mod shell;
mod shell_process;
#[cfg(target_os = "linux")]
pub mod supervise;
pub mod supervisor;
mod sweep;

use std::fs::File;
use std::sync::Arc;

pub use self::credentials::login;
pub use self::image_source::{ImageSource, Resolved};
pub use self::reference::{normalize, registry};
pub use self::request::{ExecutorError, FailureReason, ImageRequest, Request, ServiceRequest, StepState};
pub use self::script_end::{ScriptEnd, signal_name};
pub use self::sweep::SweepError;
use super::log::JobLog;
use crate::workspace::archive::Packed;
use crate::workspace::checkout::Checkout;
use crate::workspace::draft::DraftWriter;
use crate::workspace::job_dirs::JobDirs;
use crate::workspace::selection::Selection;

/// An executor, which runs jobs.
pub enum Executor {
    /// Jobs run on this machine.
    Shell(shell::Shell),
    /// Jobs run in containers.
    Docker(docker::Docker),
    /// Jobs run in pods.
    Kubernetes(Box<kubernetes::Kubernetes>),
}

/// A job at an executor, from its preparation to its cleanup.
pub enum Session {
    /// The job runs on this machine.
    Shell(Box<shell::Session>),
    /// The job runs in a container.
    Docker(Box<docker::Session>),
    /// The job runs in a pod.
    Kubernetes(Box<kubernetes::Session>),
}

impl Executor {
    /// The executor's name: `shell`, `docker` or `kubernetes`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Shell(_) => "shell",
            Self::Docker(_) => "docker",
            Self::Kubernetes(_) => "kubernetes",
        }
    }

    /// Whether the shell of all jobs is known to be bash. In containers, the image decides.
    pub fn has_bash(&self) -> bool {
        matches!(self, Self::Shell(shell) if shell.is_bash())
    }

    /// The directories of a job. `concurrent` is its `CI_CONCURRENT_ID`, `project` the project's path: `group/project`.
    pub fn job_dirs(&self, concurrent: usize, project: &str) -> JobDirs {
        match self {
            Self::Shell(shell) => shell.job_dirs(concurrent, project),
            Self::Docker(docker) => docker.job_dirs(project),
            Self::Kubernetes(kubernetes) => kubernetes.job_dirs(project),
        }
    }

    /// Prepares everything that a job needs before its sources: image, network, volumes, services.
    ///
    /// # Errors
    /// The image cannot be obtained, or the engine or the cluster refuses a request. [`ExecutorError::reason`] distinguishes the two.
    /// The resources that were created before the error are removed.
    pub async fn prepare(&self, request: Request, log: &Arc<JobLog>) -> Result<Session, ExecutorError> {
        match self {
            Self::Shell(shell) => shell.prepare(request, log).map(Box::new).map(Session::Shell),
            Self::Docker(docker) => docker.prepare(request, log).await.map(Box::new).map(Session::Docker),
            Self::Kubernetes(kubernetes) => {
                Box::pin(kubernetes.prepare(request, log)).await.map(Box::new).map(Session::Kubernetes)
            }
        }
    }

    /// Removes everything that the executor's pipeline has left. Each job has already removed its own resources, but after that, the engine
    /// or the cluster may have created another one that the job had requested.
    ///
    /// # Errors
    /// The engine or the API server does not answer, or something is still there. It is safe to call this again.
    pub async fn sweep(&self) -> Result<(), SweepError> {
        match self {
            Self::Shell(_) => {}
            Self::Docker(docker) => docker.sweep().await?,
            Self::Kubernetes(kubernetes) => kubernetes.sweep().await?,
        }
        Ok(())
    }

    /// Removes the resources of this user's earlier pipelines, whose processes have ended, from the engine or the cluster.
    ///
    /// # Errors
    /// The engine or the API server does not answer, or something is still there. It is safe to call this again.
    pub async fn sweep_gone(&self) -> Result<(), SweepError> {
        match self {
            Self::Shell(_) => {}
            Self::Docker(docker) => docker.sweep_gone().await?,
            Self::Kubernetes(kubernetes) => kubernetes.sweep_gone().await?,
        }
        Ok(())
    }
}

impl Session {
    /// Whether an earlier job has left its repository in the job's project directory. Containers and pods are new.
    pub fn has_repository(&self) -> bool {
        matches!(self, Self::Shell(session) if session.has_repository())
    }

    /// Puts a checkout into the job's project directory; `None` leaves it empty.
    ///
    /// # Errors
    /// The disk is full, or the engine or the cluster no longer answers: a system failure, not a failure of the job.
    pub async fn put_sources(&mut self, checkout: Option<&Arc<Checkout>>) -> Result<(), ExecutorError> {
        match self {
            Self::Shell(session) => session.put_sources(checkout).await,
            Self::Docker(session) => session.put_sources(checkout).await,
            Self::Kubernetes(session) => Box::pin(session.put_sources(checkout)).await,
        }
    }

    /// Unpacks an archive into the job's project directory, over existing files.
    ///
    /// # Errors
    /// The disk is full, or the engine or the cluster no longer answers: a system failure, not a failure of the job.
    pub async fn unpack(&mut self, archive: File) -> Result<(), ExecutorError> {
        match self {
            Self::Shell(session) => session.unpack(archive).await,
            Self::Docker(session) => session.unpack(archive).await,
            Self::Kubernetes(session) => Box::pin(session.unpack(archive)).await,
        }
    }

    /// Packs the selected files of the job's project directory into `archive`, and returns what was packed.
    ///
    /// # Errors
    /// The disk is full, or the engine or the cluster no longer answers: a system failure, not a failure of the job.
    pub async fn pack(&mut self, selection: Selection, archive: DraftWriter) -> Result<Packed, ExecutorError> {
        match self {
            Self::Shell(session) => session.pack(selection, archive).await,
            Self::Docker(session) => session.pack(selection, archive).await,
            Self::Kubernetes(session) => Box::pin(session.pack(selection, archive)).await,
        }
    }

    /// Runs a script, writes its output to the log, and returns its end. A caller that drops the future must call
    /// [`Session::stop`].
    ///
    /// # Errors
    /// The script could not be started, or its container was lost. A script that fails is not an error.
    pub async fn run(&mut self, script: &str, log: &Arc<JobLog>) -> Result<ScriptEnd, ExecutorError> {
        match self {
            Self::Shell(session) => session.run(script, log).await,
            Self::Docker(session) => session.run(script, log).await.map(ScriptEnd::Code),
            Self::Kubernetes(session) => Box::pin(session.run(script, log)).await.map(ScriptEnd::Code),
        }
    }

    /// The state that later steps of the job depend on. `environment` is the path in `GITLAB_ENV`.
    ///
    /// # Errors
    /// The engine or the cluster no longer answers.
    pub async fn step_state(&mut self, environment: &str) -> Result<StepState, ExecutorError> {
        match self {
            Self::Shell(session) => Ok(session.step_state(environment)),
            Self::Docker(session) => session.step_state(environment).await,
            Self::Kubernetes(session) => Box::pin(session.step_state(environment)).await,
        }
    }

    /// Stops the script: sends SIGTERM, and SIGKILL after five seconds. With `is_graceful`, the shell executor waits for
    /// `graceful_kill_timeout` of the runner configuration instead. Output that the script still writes is in the log.
    pub async fn stop(&mut self, is_graceful: bool) {
        match self {
            Self::Shell(session) => session.stop(is_graceful).await,
            Self::Docker(session) => session.stop().await,
            Self::Kubernetes(session) => Box::pin(session.stop()).await,
        }
    }

    /// Ends the session, and removes what no later job uses.
    pub async fn finish(self) {
        match self {
            Self::Shell(session) => session.finish().await,
            Self::Docker(session) => session.finish().await,
            Self::Kubernetes(session) => Box::pin(session.finish()).await,
        }
    }
}
