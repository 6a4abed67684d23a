//! Removes everything that `up` created, even if the `up` process was killed.
//!
//! Every resource has a label with the cluster's name. Only the start of a run is recorded in a file, because the engine may then still be
//! creating a container for a killed program. The order matters: first the programs, because they may still create resources; then the
//! containers; then the run's image, without which no new node can start; then the networks, which cannot be removed while containers
//! are connected to them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::query_parameters::{
    ListImagesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptions, RemoveVolumeOptions,
};
use futures_util::future::join_all;
use serde::Serialize;

use crate::environment::cluster_dir::{ClusterDir, StateError};
use crate::environment::{cluster_dir, orphans};
use container_engine::creating::Creation;
use container_engine::labels::CLUSTER;
use container_engine::{labeled, labels};

/// Number of attempts, because new resources may appear and existing ones may still be in use. With the pauses, this allows the engine
/// 10 s to complete a node's container on a slow disk.
const ATTEMPTS: usize = 40;

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// The cluster could not be removed completely.
#[derive(Debug, thiserror::Error)]
pub enum DownError {
    /// The engine cannot list the resources.
    #[error("cannot list the cluster's resources in the container engine")]
    Engine(#[from] EngineError),
    /// Some resources cannot be removed.
    #[error("cannot remove {}", .0.join("; "))]
    Left(Vec<String>),
    /// The cluster's directory cannot be removed or locked.
    #[error(transparent)]
    ClusterDir(#[from] StateError),
}

/// The resources that were removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// The cluster's name.
    pub cluster: String,
    /// Number of programs of the cluster that were still running.
    pub programs: usize,
    /// Containers: the nodes and the registry.
    pub containers: Vec<String>,
    /// Images of runs. Images of the catalog stay for later use.
    pub images: Vec<String>,
    pub volumes: Vec<String>,
    pub networks: Vec<String>,
}

impl Removed {
    /// Whether nothing had to be removed.
    pub fn is_nothing(&self) -> bool {
        *self == Self { cluster: self.cluster.clone(), ..Self::default() }
    }
}

/// Removes the cluster, all its resources and its directory.
///
/// # Errors
/// If a resource cannot be removed, or another process is using the cluster.
pub async fn down(docker: &Docker, cluster: &str, state: &ClusterDir) -> Result<Removed, DownError> {
    let _lock = state.lock()?;
    let removed = remove(docker, cluster, state).await?;
    state.remove()?;
    Ok(removed)
}

/// The names of all clusters that have resources in the engine or a directory in `root`.
pub async fn clusters(docker: &Docker, root: &Path) -> Result<BTreeSet<String>, DownError> {
    let resources = list(docker, None).await?;
    Ok(resources.clusters.into_iter().chain(cluster_dir::clusters(root)).collect())
}

/// Like [`down`], but keeps the directory. The caller must hold the lock.
pub async fn remove(docker: &Docker, cluster: &str, state: &ClusterDir) -> Result<Removed, DownError> {
    let is_noted = state.noted_run().is_some();
    let mut creation = Creation::default();
    if is_noted {
        // Before the programs end: the engine then removes what it was creating for them.
        creation.is_pending(docker).await?;
    }
    let mut removed =
        Removed { cluster: cluster.to_owned(), programs: orphans::end(cluster).await, ..Removed::default() };
    // The engine may still complete the last request of a killed program: list twice if the directory shows that there was one.
    let was_up = is_noted || removed.programs > 0;
    let required = if was_up { 2 } else { 1 };
    let mut empty_lists = 0;
    let mut failures = Vec::new();
    for _ in 0..ATTEMPTS {
        // Before the list: see `Creation::is_pending`.
        let may_appear = was_up && creation.is_pending(docker).await?;
        let resources = list(docker, Some(cluster)).await?;
        if resources.is_empty() {
            failures.clear();
            empty_lists += usize::from(!may_appear);
            if empty_lists == required {
                return Ok(removed);
            }
        } else {
            empty_lists = 0;
            failures = resources.remove(docker, &mut removed).await;
            if failures.is_empty() {
                continue;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    // Without a failure, the engine was creating containers all the time, but none of this cluster.
    if failures.is_empty() { Ok(removed) } else { Err(DownError::Left(failures)) }
}

#[derive(Default)]
struct Resources {
    containers: Vec<(String, String)>,
    images: Vec<String>,
    volumes: Vec<String>,
    networks: Vec<String>,
    clusters: BTreeSet<String>,
}

async fn list(docker: &Docker, cluster: Option<&str>) -> Result<Resources, EngineError> {
    let filter = labels::filter(CLUSTER, cluster);
    let images = ListImagesOptionsBuilder::new().filters(&filter).build();
    let (found, images) = tokio::try_join!(labeled::list(docker, CLUSTER, cluster), docker.list_images(Some(images)))?;
    let mut resources = Resources::default();
    for container in found.containers {
        resources.clusters.extend(container.value);
        resources.containers.push((container.id, container.name));
    }
    for mut image in images {
        resources.clusters.extend(image.labels.remove(CLUSTER));
        resources.images.push(image.repo_tags.into_iter().next().unwrap_or(image.id));
    }
    for volume in found.volumes {
        resources.clusters.extend(volume.value);
        resources.volumes.push(volume.name);
    }
    for network in found.networks {
        resources.clusters.extend(network.value);
        resources.networks.push(network.name);
    }
    Ok(resources)
}

impl Resources {
    fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.images.is_empty() && self.volumes.is_empty() && self.networks.is_empty()
    }

    /// Removes the resources, records them in `removed`, and returns the failures.
    async fn remove(self, docker: &Docker, removed: &mut Removed) -> Vec<String> {
        let mut failures = Vec::new();
        let containers = join_all(self.containers.into_iter().map(async |(id, name)| {
            // `v` also removes the container's anonymous volumes.
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            (name, docker.remove_container(&id, Some(options)).await)
        }));
        note(containers.await, &mut removed.containers, &mut failures);
        let images = join_all(self.images.into_iter().map(async |name| {
            let result = docker.remove_image(&name, None::<RemoveImageOptions>, None).await.map(drop);
            (name, result)
        }));
        note(images.await, &mut removed.images, &mut failures);
        let volumes = join_all(self.volumes.into_iter().map(async |name| {
            let result = docker.remove_volume(&name, None::<RemoveVolumeOptions>).await;
            (name, result)
        }));
        note(volumes.await, &mut removed.volumes, &mut failures);
        let networks = join_all(self.networks.into_iter().map(async |name| {
            let result = docker.remove_network(&name).await;
            (name, result)
        }));
        note(networks.await, &mut removed.networks, &mut failures);
        failures
    }
}

fn note(results: Vec<(String, Result<(), EngineError>)>, removed: &mut Vec<String>, failures: &mut Vec<String>) {
    for (name, result) in results {
        match result {
            Ok(()) => removed.push(name),
            // Another process has removed it, or the engine itself.
            Err(EngineError::DockerResponseServerError { status_code: 404, .. }) => {}
            Err(error) => failures.push(format!("{name}: {error}")),
        }
    }
}
