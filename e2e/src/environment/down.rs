//! Takes away what was brought up, whoever was killed while at it.
//!
//! Everything carries a label with the cluster's name, so nothing needs to be remembered. The order matters: first the programs
//! that might still make something, then the containers, then the run's image, without which no node can come into being any
//! more, then the networks, which cannot be removed as long as anything is on them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptions, RemoveVolumeOptions,
};
use futures_util::future::join_all;
use serde::Serialize;

use crate::environment::orphans;
use crate::environment::state;
use crate::environment::state::State;
use crate::environment::state::StateError;
use container_engine::labels;
use container_engine::labels::CLUSTER;

/// How often it is tried again when something new turns up or is still in use.
const ATTEMPTS: usize = 20;

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// Why something is left.
#[derive(Debug, thiserror::Error)]
pub enum DownError {
    /// The engine does not tell what there is.
    #[error("the container engine")]
    Engine(#[from] EngineError),
    /// Something cannot be removed.
    #[error("cannot be removed: {}", .0.join("; "))]
    Left(Vec<String>),
    /// The folder of the cluster.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What was taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// The cluster.
    pub cluster: String,
    /// How many programs were still at work for it.
    pub programs: usize,
    /// Containers: its nodes, its registry.
    pub containers: Vec<String>,
    /// Images of runs. Those of the catalogue stay, to be used again.
    pub images: Vec<String>,
    /// Volumes.
    pub volumes: Vec<String>,
    /// Networks.
    pub networks: Vec<String>,
}

impl Removed {
    /// Whether there was nothing.
    pub fn is_nothing(&self) -> bool {
        *self == Self { cluster: self.cluster.clone(), ..Self::default() }
    }
}

/// Takes away the cluster and everything of it.
///
/// # Errors
/// When something of it cannot be removed, or somebody else is at work on it.
pub async fn down(docker: &Docker, cluster: &str, state: &State) -> Result<Removed, DownError> {
    let _lock = state.lock()?;
    let removed = remove(docker, cluster, state).await?;
    state.remove()?;
    Ok(removed)
}

/// The names of all clusters of which there is something.
///
/// # Errors
/// When the engine does not tell.
pub async fn clusters(docker: &Docker, root: &Path) -> Result<BTreeSet<String>, DownError> {
    let things = list(docker, None).await?;
    Ok(things.clusters.into_iter().chain(state::clusters(root)).collect())
}

/// The same as [`down`] for whoever has the right to change the cluster already, and without the folder itself.
///
/// # Errors
/// When something of it cannot be removed.
pub async fn remove(docker: &Docker, cluster: &str, state: &State) -> Result<Removed, DownError> {
    let mut removed =
        Removed { cluster: cluster.to_owned(), programs: orphans::end(cluster).await, ..Removed::default() };
    // What a killed program had asked for may turn up a moment after it: its folder tells that there was one.
    let mut looks = if state.noted_run().is_some() || removed.programs > 0 { 2 } else { 1 };
    let mut complaints = Vec::new();
    for _ in 0..ATTEMPTS {
        let things = list(docker, Some(cluster)).await?;
        if things.is_empty() {
            looks -= 1;
            if looks == 0 {
                return Ok(removed);
            }
        } else {
            complaints = things.remove(docker, &mut removed).await;
            if complaints.is_empty() {
                continue;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(DownError::Left(complaints))
}

/// What there is of a cluster, or of all.
#[derive(Default)]
struct Things {
    containers: Vec<(String, String)>,
    images: Vec<String>,
    volumes: Vec<String>,
    networks: Vec<String>,
    clusters: BTreeSet<String>,
}

async fn list(docker: &Docker, cluster: Option<&str>) -> Result<Things, EngineError> {
    let filter = labels::filter(CLUSTER, cluster);
    let containers = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
    let images = ListImagesOptionsBuilder::new().filters(&filter).build();
    let volumes = ListVolumesOptionsBuilder::new().filters(&filter).build();
    let networks = ListNetworksOptionsBuilder::new().filters(&filter).build();
    let (containers, images, volumes, networks) = tokio::try_join!(
        docker.list_containers(Some(containers)),
        docker.list_images(Some(images)),
        docker.list_volumes(Some(volumes)),
        docker.list_networks(Some(networks)),
    )?;
    let mut things = Things::default();
    for container in containers {
        let name = container.names.into_iter().flatten().next().unwrap_or_default();
        things.clusters.extend(container.labels.and_then(|mut labels| labels.remove(CLUSTER)));
        things.containers.extend(container.id.map(|id| (id, name.trim_start_matches('/').to_owned())));
    }
    for mut image in images {
        things.clusters.extend(image.labels.remove(CLUSTER));
        things.images.push(image.repo_tags.into_iter().next().unwrap_or(image.id));
    }
    for mut volume in volumes.volumes.into_iter().flatten() {
        things.clusters.extend(volume.labels.remove(CLUSTER));
        things.volumes.push(volume.name);
    }
    for network in networks {
        things.clusters.extend(network.labels.and_then(|mut labels| labels.remove(CLUSTER)));
        things.networks.extend(network.name);
    }
    Ok(things)
}

impl Things {
    fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.images.is_empty() && self.volumes.is_empty() && self.networks.is_empty()
    }

    /// Removes what it can, notes it, and tells what it could not.
    async fn remove(self, docker: &Docker, removed: &mut Removed) -> Vec<String> {
        let mut complaints = Vec::new();
        let containers = join_all(self.containers.into_iter().map(async |(id, name)| {
            // With its volumes that have no name.
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            (name, docker.remove_container(&id, Some(options)).await)
        }));
        note(containers.await, &mut removed.containers, &mut complaints);
        let images = join_all(self.images.into_iter().map(async |name| {
            let result = docker.remove_image(&name, None::<RemoveImageOptions>, None).await.map(drop);
            (name, result)
        }));
        note(images.await, &mut removed.images, &mut complaints);
        let volumes = join_all(self.volumes.into_iter().map(async |name| {
            let result = docker.remove_volume(&name, None::<RemoveVolumeOptions>).await;
            (name, result)
        }));
        note(volumes.await, &mut removed.volumes, &mut complaints);
        let networks = join_all(self.networks.into_iter().map(async |name| {
            let result = docker.remove_network(&name).await;
            (name, result)
        }));
        note(networks.await, &mut removed.networks, &mut complaints);
        complaints
    }
}

fn note(results: Vec<(String, Result<(), EngineError>)>, removed: &mut Vec<String>, complaints: &mut Vec<String>) {
    for (name, result) in results {
        match result {
            Ok(()) => removed.push(name),
            // Somebody was faster, or the engine is at it already.
            Err(EngineError::DockerResponseServerError { status_code: 404, .. }) => {}
            Err(error) => complaints.push(format!("{name}: {error}")),
        }
    }
}
