//! Provides the catalog's images to jobs that run in pods of a cluster of `e2e up`.

use std::collections::HashMap;
use std::sync::Arc;

use bollard::Docker;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kube::Client;
use tokio::sync::{Mutex, OnceCell};

use super::{load, nodes};
use crate::environment::images::Images;
use container_engine::error_chain::error_chain;
use gitlab_runner::executor::{ImageSource, Resolved};

/// The catalog's images on the nodes of a cluster: each is obtained by the engine and then copied to the nodes that lack it.
pub struct JobImages {
    images: Arc<Images>,
    docker: Docker,
    client: Client,
    cluster: String,
    loaded: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
}

impl JobImages {
    /// The images of `images` for the nodes of the kind cluster `cluster`.
    pub fn new(images: Arc<Images>, docker: Docker, client: Client, cluster: &str) -> Self {
        Self { images, docker, client, cluster: cluster.to_owned(), loaded: Mutex::default() }
    }

    /// Copies an image to the nodes that lack it, once.
    async fn load(&self, reference: &str) -> Result<(), String> {
        let cell = Arc::clone(self.loaded.lock().await.entry(reference.to_owned()).or_default());
        let load = || async {
            let references = [reference.to_owned()];
            let nodes = nodes(&self.client).await.unwrap_or_default();
            // Without an answer from the API server, the images are copied to all nodes: that is never wrong, only slow.
            if !nodes.is_empty() && load::missing(&nodes, &references).is_empty() {
                return Ok(());
            }
            load::load(&self.docker, &self.cluster, &references).await.map(drop)
        };
        let loaded = cell.get_or_try_init(load).await;
        loaded.copied().map_err(|error| {
            format!("cannot load image `{reference}` on the nodes of cluster {}: {}", self.cluster, error_chain(&error))
        })
    }
}

impl ImageSource for JobImages {
    fn resolve<'source>(&'source self, name: &'source str) -> BoxFuture<'source, Result<Option<Resolved>, String>> {
        async move {
            let resolved = self.images.resolve(name).await?;
            if let Some(resolved) = &resolved {
                self.load(&resolved.reference).await?;
            }
            Ok(resolved)
        }
        .boxed()
    }

    fn note_use(&self, name: &str, reference: &str) {
        self.images.note_use(name, reference);
    }
}
