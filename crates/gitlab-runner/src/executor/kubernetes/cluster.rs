//! The kubernetes executor: a cluster and the settings that jobs use it with.

use std::sync::Arc;

use kube::Client;

use super::anchor::Anchors;
use super::leftovers::{SweepError, sweep, sweep_gone};
use super::restart::Restarts;
use crate::config::RunnerConfig;
use crate::executor::creations;
use crate::executor::image_source::ImageSource;
use crate::workspace::job_dirs::JobDirs;

/// The default of `builds_dir`: `executors/kubernetes/kubernetes.go`.
const BUILDS: &str = "/builds";

/// The kubernetes executor.
pub struct Kubernetes {
    pub(super) client: Client,
    pub(super) restarts: Restarts,
    pub(super) namespace: String,
    pub(super) config: Box<RunnerConfig>,
    pub(super) images: Option<Arc<dyn ImageSource>>,
    pub(super) anchors: Anchors,
}

impl Kubernetes {
    /// An executor that runs jobs in `namespace` of the cluster of `client`, with the settings of `config`. `images` provides the images
    /// that it knows, on the nodes of the cluster; the nodes pull all others. Everything that the executor creates belongs to the pipeline
    /// with the owner ID `owner`, so that [`sweep`] finds it.
    pub fn new(
        client: Client,
        namespace: &str,
        config: &RunnerConfig,
        images: Option<Arc<dyn ImageSource>>,
        owner: String,
    ) -> Self {
        let restarts = Restarts::default();
        let client = restarts.watch(client);
        let anchors = Anchors::new(client.clone(), owner, config.certificates.clone());
        Self { client, restarts, namespace: namespace.to_owned(), config: Box::new(config.clone()), images, anchors }
    }

    /// The directories of a job. `project` is the project's path: `group/project`.
    pub fn job_dirs(&self, project: &str) -> JobDirs {
        let builds = self.config.builds_dir.as_deref().unwrap_or(BUILDS).trim_end_matches('/').to_owned();
        JobDirs { project: format!("{builds}/{project}"), builds }
    }

    /// Removes the objects of this user's earlier pipelines, whose processes have ended, from the cluster: [`sweep_gone`].
    ///
    /// # Errors
    /// The API server does not answer, or an object is still there. It is safe to call this again.
    pub async fn sweep_gone(&self) -> Result<(), SweepError> {
        sweep_gone(&self.client, &self.namespace).await.map(drop)
    }

    /// Removes everything that the pipeline has left in the cluster. Each job has removed its own pod.
    ///
    /// # Errors
    /// The API server does not answer, or an object is still there. It is safe to call this again.
    pub async fn sweep(&self) -> Result<(), SweepError> {
        creations::all_are_complete().await;
        for namespace in self.anchors.namespaces().await {
            sweep(&self.client, &namespace, self.anchors.owner_id()).await?;
        }
        Ok(())
    }
}
