//! Jobs in containers. GitLab Runner's `executors/docker`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{ExecutorError, Packed, Places, Request};
use crate::pipeline::run::log::JobLog;
use crate::pipeline::run::selection::Selection;
use crate::pipeline::run::sources::Checkout;

/// An engine.
pub struct Docker {}

/// A job in a container.
pub struct Session {}

impl Docker {
    /// Where the files of a job are.
    pub fn places(&self, project: &str) -> Places {
        Places { builds: "/builds".to_owned(), project: format!("/builds/{project}") }
    }

    /// Prepares a job.
    ///
    /// # Errors
    /// When there is no image.
    pub async fn prepare(&self, _request: Request, _log: &Arc<JobLog>) -> Result<Session, ExecutorError> {
        Err(ExecutorError::system("not there yet"))
    }
}

impl Session {
    /// Puts a checkout.
    ///
    /// # Errors
    /// None so far.
    pub async fn put_sources(&mut self, _checkout: Option<&Arc<Checkout>>) -> Result<(), ExecutorError> {
        Ok(())
    }

    /// Unpacks.
    ///
    /// # Errors
    /// None so far.
    pub async fn unpack(&mut self, _archive: &Path) -> Result<(), ExecutorError> {
        Ok(())
    }

    /// Packs.
    ///
    /// # Errors
    /// None so far.
    pub async fn pack(&mut self, _selection: Selection, _archive: PathBuf) -> Result<Packed, ExecutorError> {
        Ok(Packed::default())
    }

    /// Runs.
    ///
    /// # Errors
    /// None so far.
    pub async fn run(&mut self, _script: &str, _log: &Arc<JobLog>) -> Result<i32, ExecutorError> {
        Ok(0)
    }

    /// Stops.
    pub async fn stop(&mut self) {}

    /// Ends.
    pub async fn finish(self) {}
}
