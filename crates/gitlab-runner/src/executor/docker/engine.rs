//! The docker executor: an engine and the settings that jobs use it with.

use std::sync::Arc;

use super::files::Container;
use crate::config::{CERTIFICATES, RunnerConfig};
use crate::executor::image_source::ImageSource;
use crate::executor::request::ExecutorError;

/// The docker executor.
pub struct Docker {
    pub(super) engine: bollard::Docker,
    pub(super) config: Box<RunnerConfig>,
    pub(super) images: Option<Arc<dyn ImageSource>>,
    pub(super) pipeline: String,
}

impl Docker {
    /// An executor that runs jobs at `engine` with the settings of `config`. `images` provides the images that it knows; all others are
    /// pulled. Everything that the executor creates has the label [`PIPELINE`](container_engine::labels::PIPELINE) with the value
    /// `pipeline`, so that [`sweep`](super::sweep) finds it.
    pub fn new(
        engine: bollard::Docker,
        config: &RunnerConfig,
        images: Option<Arc<dyn ImageSource>>,
        pipeline: String,
    ) -> Self {
        Self { engine, config: Box::new(config.clone()), images, pipeline }
    }

    pub(super) fn networks(&self) -> &[String] {
        &self.config.docker.networks
    }

    /// Removes the resources of this user's earlier pipelines, whose processes have ended, from the engine:
    /// [`sweep_gone`](super::sweep_gone).
    ///
    /// # Errors
    /// The engine does not answer, or a resource cannot be removed. It is safe to call this again.
    pub async fn sweep_gone(&self) -> Result<(), bollard::errors::Error> {
        super::sweep_gone(&self.engine).await.map(drop)
    }

    /// Removes everything that the pipeline has left at the engine.
    ///
    /// # Errors
    /// The engine does not answer, or a resource cannot be removed. It is safe to call this again.
    pub async fn sweep(&self) -> Result<(), bollard::errors::Error> {
        super::sweep(&self.engine, Some(&self.pipeline)).await.map(drop)
    }

    /// Copies the certificates that the runner trusts into a container, to GitLab Runner's path.
    pub(super) async fn put_certificates(&self, container: &str) -> Result<(), ExecutorError> {
        let Some(certificates) = self.config.certificates.as_deref() else { return Ok(()) };
        let container = Container { engine: &self.engine, name: container };
        container.put(&[(CERTIFICATES.trim_start_matches('/'), Some(certificates))]).await
    }
}
