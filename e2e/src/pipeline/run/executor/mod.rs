//! Where jobs run: what all executors have in common. GitLab Runner's `executors/`
//!
//! - [`shell`]: on this machine, in a folder of the job's own.
//! - [`docker`]: in a container, with others beside it as services.

pub mod docker;
pub mod shell;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::log::JobLog;
use super::selection::Selection;
use super::sources::Checkout;
use crate::pipeline::config::image::PullPolicy;
use crate::pipeline::variables::collection::Variable;

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

/// An executor.
pub enum Executor {
    /// This machine.
    Shell(shell::Shell),
    /// Containers.
    Docker(docker::Docker),
}

/// A job's place at an executor, from its preparation to its end.
pub enum Session {
    /// This machine.
    Shell(shell::Session),
    /// Containers.
    Docker(Box<docker::Session>),
}

impl Executor {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Shell(_) => "shell",
            Self::Docker(_) => "docker",
        }
    }

    /// Where the files are of the job that runs as number `concurrent`; `project` is the project's path: `group/project`.
    pub fn places(&self, concurrent: usize, project: &str) -> Places {
        match self {
            Self::Shell(shell) => shell.places(concurrent, project),
            Self::Docker(docker) => docker.places(project),
        }
    }

    /// Prepares everything that a job needs before its sources: images, services.
    ///
    /// # Errors
    /// When there is no image, or nothing can be run.
    pub async fn prepare(&self, request: Request, log: &Arc<JobLog>) -> Result<Session, ExecutorError> {
        match self {
            Self::Shell(shell) => shell.prepare(request, log).map(Session::Shell),
            Self::Docker(docker) => docker.prepare(request, log).await.map(Box::new).map(Session::Docker),
        }
    }
}

impl Session {
    /// Puts a checkout where the job works; an empty folder if there is none.
    ///
    /// # Errors
    /// When the disk is full, or the engine is gone.
    pub async fn put_sources(&mut self, checkout: Option<&Arc<Checkout>>) -> Result<(), ExecutorError> {
        match self {
            Self::Shell(session) => session.put_sources(checkout).await,
            Self::Docker(session) => session.put_sources(checkout).await,
        }
    }

    /// Unpacks an archive where the job works, over what is there.
    ///
    /// # Errors
    /// When the disk is full, or the engine is gone.
    pub async fn unpack(&mut self, archive: &Path) -> Result<(), ExecutorError> {
        match self {
            Self::Shell(session) => session.unpack(archive).await,
            Self::Docker(session) => session.unpack(archive).await,
        }
    }

    /// Packs what a selection means of where the job works into an archive, and returns its files. Without any, there is no
    /// archive.
    ///
    /// # Errors
    /// When the disk is full, or the engine is gone.
    pub async fn pack(&mut self, selection: Selection, archive: PathBuf) -> Result<Packed, ExecutorError> {
        match self {
            Self::Shell(session) => session.pack(selection, archive).await,
            Self::Docker(session) => session.pack(selection, archive).await,
        }
    }

    /// Runs a script, whose output goes to the log, and returns the code that it ended with. Whoever gives up waiting must call
    /// [`Session::stop`].
    ///
    /// # Errors
    /// When it could not be run.
    pub async fn run(&mut self, script: &str, log: &Arc<JobLog>) -> Result<i32, ExecutorError> {
        match self {
            Self::Shell(session) => session.run(script, log).await,
            Self::Docker(session) => session.run(script, log).await,
        }
    }

    /// Stops what runs: asks first, and does not wait for long.
    pub async fn stop(&mut self) {
        match self {
            Self::Shell(session) => session.stop().await,
            Self::Docker(session) => session.stop().await,
        }
    }

    /// Takes away everything that was made for the job.
    pub async fn finish(self) {
        match self {
            Self::Shell(session) => session.finish().await,
            Self::Docker(session) => session.finish().await,
        }
    }
}

/// What went into an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// How many files, folders and links.
    pub entries: usize,
    /// How many bytes they are.
    pub bytes: u64,
    /// Patterns that fit nothing.
    pub unmatched: Vec<String>,
}
