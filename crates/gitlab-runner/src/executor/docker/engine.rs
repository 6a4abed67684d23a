//! The engine, and how jobs use it.

use std::sync::Arc;

use super::files::Container;
use super::image_source::ImageSource;
use crate::config::CERTIFICATES;
use crate::config::RunnerConfig;
use crate::executor::request::ExecutorError;

/// An engine.
pub struct Docker {
    pub(super) engine: bollard::Docker,
    pub(super) config: Box<RunnerConfig>,
    pub(super) images: Option<Arc<dyn ImageSource>>,
    pub(super) pipeline: String,
}

impl Docker {
    /// Jobs at `engine`, as `config` says. `images` provides the images that it knows; all others are pulled. Everything that is
    /// made has the label [`PIPELINE`](container_engine::labels::PIPELINE) with the value `pipeline`, for [`sweep`](super::sweep).
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

    /// Puts the authorities that the runner trusts to where a runner keeps them.
    pub(super) async fn put_certificates(&self, container: &str) -> Result<(), ExecutorError> {
        let Some(certificates) = self.config.certificates.as_deref() else { return Ok(()) };
        let container = Container { engine: &self.engine, name: container };
        container.put(&[(CERTIFICATES.trim_start_matches('/'), Some(certificates))]).await
    }
}
