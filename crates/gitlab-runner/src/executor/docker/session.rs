//! A job at the docker executor, from its preparation to its cleanup.

use std::fs::File;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::files::Container;
use super::resources::JobResources;
use super::script::OUTPUT_TIMEOUT;
use super::service::Running;
use crate::executor::output_task::finish;
use crate::executor::request::{ExecutorError, StepState};
use crate::log::JobLog;
use crate::workspace::archive::Packed;
use crate::workspace::checkout::Checkout;
use crate::workspace::draft::DraftWriter;
use crate::workspace::job_dirs::JobDirs;
use crate::workspace::selection::Selection;

/// A job that runs in a container.
pub struct Session {
    engine: bollard::Docker,
    resources: JobResources,
    container: String,
    /// The image as the job names it, for messages.
    image: String,
    services: Vec<Running>,
    job_dirs: JobDirs,
    /// Copies the output of the running script to the log.
    copying: Option<JoinHandle<()>>,
}

impl Session {
    pub(super) fn new(
        engine: bollard::Docker,
        resources: JobResources,
        container: String,
        image: String,
        services: Vec<Running>,
        job_dirs: JobDirs,
    ) -> Self {
        Self { engine, resources, container, image, services, job_dirs, copying: None }
    }

    fn container(&self) -> Container<'_> {
        Container { engine: &self.engine, name: &self.container }
    }

    /// Puts a checkout into the job's project directory; `None` leaves it empty.
    ///
    /// # Errors
    /// The engine refuses the upload or no longer answers.
    pub async fn put_sources(&mut self, checkout: Option<&Arc<Checkout>>) -> Result<(), ExecutorError> {
        self.container().make_dirs(&self.job_dirs).await?;
        let Some(checkout) = checkout else { return Ok(()) };
        let archive = checkout.archive().await.map_err(|error| ExecutorError::system(error.to_string()))?;
        let archive =
            File::open(archive).map_err(|error| ExecutorError::system(format!("{}: {error}", archive.display())))?;
        self.container().unpack(archive, &self.job_dirs.project).await
    }

    /// Unpacks an archive into the job's project directory, over existing files.
    ///
    /// # Errors
    /// The archive cannot be read, or the engine refuses the upload.
    pub async fn unpack(&mut self, archive: File) -> Result<(), ExecutorError> {
        self.container().unpack(archive, &self.job_dirs.project).await
    }

    /// Packs the selected files of the job's project directory into `archive`.
    ///
    /// # Errors
    /// The archive cannot be written, or the engine no longer answers.
    pub async fn pack(&mut self, selection: Selection, archive: DraftWriter) -> Result<Packed, ExecutorError> {
        self.container().pack(&self.job_dirs.project, selection, archive).await
    }

    /// Runs a script, and returns its exit code.
    ///
    /// # Errors
    /// The container does not start, or it was lost while the script ran.
    pub async fn run(&mut self, script: &str, log: &Arc<JobLog>) -> Result<i32, ExecutorError> {
        let container = Container { engine: &self.engine, name: &self.container };
        container.run(script, &self.image, log, &mut self.copying).await
    }

    /// The state that later steps of the job depend on.
    ///
    /// # Errors
    /// The engine no longer answers.
    pub async fn step_state(&mut self, environment: &str) -> Result<StepState, ExecutorError> {
        let container = self.container();
        let has_project = container.stat(&self.job_dirs.project).await?.is_some();
        Ok(StepState { has_project, environment: container.read(environment).await? })
    }

    /// Stops all processes in the job's container.
    pub async fn stop(&mut self) {
        self.container().stop().await;
        if let Some(mut copying) = self.copying.take() {
            finish(&mut copying, OUTPUT_TIMEOUT).await;
        }
    }

    /// Removes the containers, the network and the volumes of the job.
    pub async fn finish(self) {
        // Stop watching the services first: their end is not worth a warning now.
        drop(self.services);
        self.resources.remove().await;
    }
}
