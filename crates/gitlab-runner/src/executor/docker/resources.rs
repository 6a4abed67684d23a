//! The containers, networks and volumes created for a job, their names and labels, and their removal.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, NetworkConnectRequest, NetworkCreateRequest, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptions, InspectNetworkOptions, RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder,
};
use futures_util::future::join_all;

use crate::executor::creations;
use crate::executor::request::{ExecutorError, Request};
use container_engine::error_message;
use container_engine::labeled::{self, Resource};
use container_engine::labels::{JOB, PIPELINE};

/// Maximum number of attempts to remove a resource that is still in use.
const MAX_ATTEMPTS: usize = 20;

/// Maximum number of times that a sweep lists the resources and removes them.
const SWEEPS: usize = 3;

/// The pause between two attempts.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The resources of a job. When this is dropped, the remaining ones are removed in the background if a Tokio runtime is running;
/// otherwise [`sweep`] removes them.
pub(super) struct JobResources {
    engine: bollard::Docker,
    prefix: String,
    labels: HashMap<String, String>,
    names: Mutex<Names>,
}

/// The names or IDs of all requested resources, whether or not their creation succeeded.
#[derive(Clone, Debug, Default)]
struct Names {
    containers: Vec<String>,
    networks: Vec<String>,
    volumes: Vec<String>,
}

/// Waits for the engine to create a resource.
fn create<T: Send + 'static>(
    creation: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> impl Future<Output = Result<T, Error>> + Send {
    let created = creations::create(creation);
    async { created.await.map_err(std::io::Error::other)? }
}

impl JobResources {
    pub(super) fn new(engine: &bollard::Docker, pipeline: &str, request: &Request) -> Self {
        // Resources of an earlier job may still exist while they are removed in the background.
        let prefix = format!("e2e-{}-{}-{:04x}", name(pipeline), request.id, fastrand::u16(..));
        let labels = [(PIPELINE, pipeline), (JOB, &request.name)];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        Self { engine: engine.clone(), prefix, labels, names: Mutex::default() }
    }

    fn note(&self, what: impl FnOnce(&mut Names)) {
        what(&mut self.names.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Creates the job's network, on which containers can resolve each other's names.
    pub(super) async fn network(&self) -> Result<String, ExecutorError> {
        let name = self.prefix.clone();
        self.note(|names| names.networks.push(name.clone()));
        let request = NetworkCreateRequest {
            name: name.clone(),
            driver: Some("bridge".to_owned()),
            labels: Some(self.labels.clone()),
            ..NetworkCreateRequest::default()
        };
        let engine = self.engine.clone();
        create(async move { engine.create_network(request).await }).await.map_err(|error| {
            let reason = error_message(&error);
            let help = if reason.contains("pool") { "; `docker network prune` frees addresses" } else { "" };
            ExecutorError::system(format!("cannot create the job's network: {reason}{help}"))
        })?;
        Ok(name)
    }

    /// Creates a volume of the job.
    pub(super) async fn volume(&self, what: &str) -> Result<String, ExecutorError> {
        let name = format!("{}-{what}", self.prefix);
        self.note(|names| names.volumes.push(name.clone()));
        let request = VolumeCreateRequest {
            name: Some(name.clone()),
            labels: Some(self.labels.clone()),
            ..VolumeCreateRequest::default()
        };
        let engine = self.engine.clone();
        let created = create(async move { engine.create_volume(request).await }).await;
        created.map_err(|error| {
            ExecutorError::system(format!("cannot create the job's volume: {}", error_message(&error)))
        })?;
        Ok(name)
    }

    /// Checks that networks exist. The engine would report a missing one only when a container starts.
    pub(super) async fn check_networks(&self, networks: &[String]) -> Result<(), ExecutorError> {
        for network in networks {
            let inspected = self.engine.inspect_network(network, None::<InspectNetworkOptions>).await;
            inspected.map_err(|error| cannot_join(network, &error))?;
        }
        Ok(())
    }

    /// Creates a container, without starting it, and connects it to `networks` in addition to its own.
    pub(super) async fn container(
        &self,
        what: &str,
        body: ContainerCreateBody,
        platform: Option<&str>,
        networks: &[String],
    ) -> Result<String, ExecutorError> {
        let name = format!("{}-{}", self.prefix, name(what));
        self.note(|names| names.containers.push(name.clone()));
        let options =
            CreateContainerOptions { name: Some(name.clone()), platform: platform.unwrap_or_default().to_owned() };
        let body = ContainerCreateBody { labels: Some(self.labels.clone()), ..body };
        let failed = |error: Error| {
            ExecutorError::system(format!("cannot create the container {what}: {}", error_message(&error)))
        };
        let engine = self.engine.clone();
        create(async move { engine.create_container(Some(options), body).await }).await.map_err(failed)?;
        for network in networks {
            let endpoint_config = Some(EndpointSettings::default());
            let request = NetworkConnectRequest { container: name.clone(), endpoint_config };
            self.engine.connect_network(network, request).await.map_err(|error| cannot_join(network, &error))?;
        }
        Ok(name)
    }

    /// Removes containers and networks, then volumes in the background: the job has ended when none of its containers runs, and
    /// hundreds of megabytes take seconds to remove. If the caller stops waiting, the rest is removed in the background as well.
    /// [`sweep`] removes the remaining ones.
    pub(super) async fn remove(mut self) {
        let mut names = self.names.get_mut().unwrap_or_else(PoisonError::into_inner).clone();
        creations::all_are_complete().await;
        let volumes = std::mem::take(&mut names.volumes);
        let volumes = Names { volumes, ..Names::default() };
        remove(&self.engine, &names).await;
        self.note(|names| *names = Names::default());
        let engine = self.engine.clone();
        tokio::spawn(async move { remove(&engine, &volumes).await });
    }
}

impl Drop for JobResources {
    fn drop(&mut self) {
        let names = std::mem::take(self.names.get_mut().unwrap_or_else(PoisonError::into_inner));
        if names.is_empty() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let engine = self.engine.clone();
            runtime.spawn(async move {
                creations::all_are_complete().await;
                remove(&engine, &names).await;
            });
        }
    }
}

impl Names {
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.containers.len() + self.networks.len() + self.volumes.len()
    }

    /// The resources with the label of `pipeline`, or of any pipeline.
    async fn list(engine: &bollard::Docker, pipeline: Option<&str>) -> Result<Self, Error> {
        let found = labeled::list(engine, PIPELINE, pipeline).await?;
        let ids = |resources: Vec<Resource>| resources.into_iter().map(|resource| resource.id).collect();
        Ok(Self { containers: ids(found.containers), networks: ids(found.networks), volumes: ids(found.volumes) })
    }
}

/// Removes all containers, networks and volumes of the jobs of `pipeline`, or of all pipelines. Returns how many it removed.
///
/// # Errors
/// The engine does not answer, or a resource cannot be removed; the error has the IDs (for volumes, the names) and, if they are known, the
/// engine's reasons. It is safe to call this again.
pub async fn sweep(engine: &bollard::Docker, pipeline: Option<&str>) -> Result<usize, Error> {
    // This also removes volumes whose removal in the background has not ended. Waiting for that would take longer, because it would
    // include the volumes of other pipelines.
    creations::all_are_complete().await;
    let mut removed = 0;
    let mut names = Names::list(engine, pipeline).await?;
    let mut left = Vec::new();
    // A later attempt finds resources that the engine has meanwhile completed for a process that was killed during a request.
    for _ in 0..SWEEPS {
        if names.is_empty() {
            break;
        }
        left = remove(engine, &names).await;
        removed += names.len() - left.len();
        names = Names::list(engine, pipeline).await?;
    }
    if names.is_empty() {
        return Ok(removed);
    }
    if left.is_empty() {
        left = [names.containers, names.networks, names.volumes].concat();
    }
    Err(std::io::Error::other(format!("cannot remove {}", left.join("; "))).into())
}

/// Removes containers first, because networks and volumes cannot be removed while they are in use. Returns the remaining ones with the
/// reasons.
async fn remove(engine: &bollard::Docker, names: &Names) -> Vec<String> {
    let containers = names.containers.iter().map(|name| {
        retry(name, move || {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            engine.remove_container(name, Some(options))
        })
    });
    let containers = join_all(containers).await;
    let networks = names.networks.iter().map(|name| retry(name, move || engine.remove_network(name)));
    let volumes = names.volumes.iter().map(|name| {
        retry(name, move || engine.remove_volume(name, Some(RemoveVolumeOptionsBuilder::new().force(true).build())))
    });
    let (networks, volumes) = tokio::join!(join_all(networks), join_all(volumes));
    [containers, networks, volumes].into_iter().flatten().flatten().collect()
}

/// Tries a removal at most [`MAX_ATTEMPTS`] times. If the last attempt fails, returns the name and the engine's reason. The resource keeps
/// its label, so that [`sweep`] finds it.
async fn retry<Removal: Future<Output = Result<(), Error>>>(
    name: &str,
    remove: impl Fn() -> Removal,
) -> Option<String> {
    let mut reason = String::new();
    for _ in 0..MAX_ATTEMPTS {
        match remove().await {
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => return None,
            Err(error) => reason = error_message(&error),
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Some(format!("{name}: {reason}"))
}

fn cannot_join(network: &str, error: &Error) -> ExecutorError {
    ExecutorError::system(format!(
        "cannot connect the container to network `{network}`: {}; each entry of `networks` in [runners.docker] must exist: run \
         `docker network create {network}`",
        error_message(error)
    ))
}

/// Replaces the characters of a text that are not allowed in a container name.
fn name(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-');
    text.chars().map(|letter| if is_plain(letter) { letter } else { '-' }).collect()
}
