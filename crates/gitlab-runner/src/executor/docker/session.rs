//! A job, from its preparation to its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::Container;
use super::made::Made;
use super::service::Running;
use crate::executor::request::ExecutorError;
use crate::log::JobLog;
use crate::workspace::archive::Packed;
use crate::workspace::checkout::Checkout;
use crate::workspace::job_dirs::Places;
use crate::workspace::selection::Selection;

/// A job in a container.
pub struct Session {
    engine: bollard::Docker,
    made: Made,
    container: String,
    /// As the job calls it.
    image: String,
    services: Vec<Running>,
    places: Places,
}

impl Session {
    pub(super) fn new(
        engine: bollard::Docker,
        made: Made,
        container: String,
        image: String,
        services: Vec<Running>,
        places: Places,
    ) -> Self {
        Self { engine, made, container, image, services, places }
    }

    fn container(&self) -> Container<'_> {
        Container { engine: &self.engine, name: &self.container }
    }

    /// Puts a checkout where the job works; an empty folder if there is none.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn put_sources(&mut self, checkout: Option<&Arc<Checkout>>) -> Result<(), ExecutorError> {
        self.container().make_folders(&self.places).await?;
        let Some(checkout) = checkout else { return Ok(()) };
        let archive = checkout.archive().await.map_err(|error| ExecutorError::system(error.to_string()))?;
        self.container().unpack(archive, &self.places.project).await
    }

    /// Unpacks an archive where the job works, over what is there.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn unpack(&mut self, archive: &Path) -> Result<(), ExecutorError> {
        self.container().unpack(archive, &self.places.project).await
    }

    /// Packs what a selection means of where the job works.
    ///
    /// # Errors
    /// When the disk is full, or the engine is gone.
    pub async fn pack(&mut self, selection: Selection, archive: PathBuf) -> Result<Packed, ExecutorError> {
        self.container().pack(&self.places.project, selection, archive).await
    }

    /// Runs a script, and returns the code that it ended with.
    ///
    /// # Errors
    /// When it could not be run.
    pub async fn run(&mut self, script: &str, log: &Arc<JobLog>) -> Result<i32, ExecutorError> {
        self.container().run(script, &self.image, log).await
    }

    /// Stops what runs in the job's container.
    pub async fn stop(&mut self) {
        self.container().stop().await;
    }

    /// Takes containers, network and volumes away.
    pub async fn finish(self) {
        // Nobody wants to hear that a service ends now.
        drop(self.services);
        self.made.remove().await;
    }
}
