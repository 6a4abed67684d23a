//! Where jobs run: what all executors have in common. GitLab Runner's `executors/`
//!
//! - [`shell`]: on this machine, in a folder of the job's own.
//! - [`docker`]: in a container, with others beside it as services.

pub mod docker;
mod request;
pub mod shell;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::request::{ExecutorError, FailureReason, ImageRequest, Request, ServiceRequest};
use super::log::JobLog;
use crate::workspace::archive::Packed;
use crate::workspace::checkout::Checkout;
use crate::workspace::job_dirs::Places;
use crate::workspace::selection::Selection;

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
