//! What is made for a job, under names and labels that it is found by, and how it is taken away.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, NetworkConnectRequest, NetworkCreateRequest, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptions, InspectNetworkOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
    ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder,
};
use futures_util::future::join_all;
use tokio::sync::RwLock;

use crate::executor::request::ExecutorError;
use crate::executor::request::Request;
use container_engine::error_message;
use container_engine::labels;
use container_engine::labels::JOB;
use container_engine::labels::PIPELINE;

/// How often something that is still in use is tried again.
const ATTEMPTS: usize = 20;

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// What was made for a job. What is still there when this is dropped is taken away in the background, as long as somebody runs
/// what is there; the rest is left to [`sweep`].
pub(super) struct Made {
    engine: bollard::Docker,
    prefix: String,
    labels: HashMap<String, String>,
    things: Mutex<Things>,
}

/// Held for reading by everything that is being made: an engine makes what it was asked for, even if nobody waits for it any
/// more, and what does not exist yet cannot be taken away.
static MAKING: RwLock<()> = RwLock::const_new(());

/// Waits until everything is there that was asked for until now.
async fn all_is_made() {
    drop(MAKING.write().await);
}

/// Names: of what was asked for, whether or not it came into being.
#[derive(Clone, Debug, Default)]
struct Things {
    containers: Vec<String>,
    networks: Vec<String>,
    volumes: Vec<String>,
}

impl Made {
    pub(super) fn new(engine: &bollard::Docker, pipeline: &str, request: &Request) -> Self {
        // A retried job has the same number, and what was made for it before may be there yet.
        let prefix = format!("e2e-{}-{}-{:04x}", name(pipeline), request.id, fastrand::u16(..));
        let labels = [(PIPELINE, pipeline), (JOB, &request.name)];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        Self { engine: engine.clone(), prefix, labels, things: Mutex::default() }
    }

    fn note(&self, what: impl FnOnce(&mut Things)) {
        what(&mut self.things.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits for the engine to make something, and goes on with that when nobody waits for this.
    async fn make<T: Send + 'static>(
        &self,
        making: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let guard = MAKING.read().await;
        let task = tokio::spawn(async move {
            let made = making.await;
            drop(guard);
            made
        });
        task.await.map_err(std::io::Error::other)?
    }

    /// The job's network, on which containers find each other by name.
    pub(super) async fn network(&self) -> Result<String, ExecutorError> {
        let name = self.prefix.clone();
        self.note(|things| things.networks.push(name.clone()));
        let request = NetworkCreateRequest {
            name: name.clone(),
            driver: Some("bridge".to_owned()),
            labels: Some(self.labels.clone()),
            ..NetworkCreateRequest::default()
        };
        let engine = self.engine.clone();
        self.make(async move { engine.create_network(request).await }).await.map_err(|error| {
            let said = error_message(&error);
            let help = if said.contains("pool") { "; `docker network prune` frees addresses" } else { "" };
            ExecutorError::system(format!("the job's network cannot be made: {said}{help}"))
        })?;
        Ok(name)
    }

    /// A volume of the job.
    pub(super) async fn volume(&self, what: &str) -> Result<String, ExecutorError> {
        let name = format!("{}-{what}", self.prefix);
        self.note(|things| things.volumes.push(name.clone()));
        let request = VolumeCreateRequest {
            name: Some(name.clone()),
            labels: Some(self.labels.clone()),
            ..VolumeCreateRequest::default()
        };
        let engine = self.engine.clone();
        let made = self.make(async move { engine.create_volume(request).await }).await;
        made.map_err(|error| {
            ExecutorError::system(format!("the job's volume cannot be made: {}", error_message(&error)))
        })?;
        Ok(name)
    }

    /// Whether networks are there. An engine would say it only when a container starts.
    pub(super) async fn have_networks(&self, networks: &[String]) -> Result<(), ExecutorError> {
        for network in networks {
            let inspected = self.engine.inspect_network(network, None::<InspectNetworkOptions>).await;
            inspected.map_err(|error| cannot_join(network, &error))?;
        }
        Ok(())
    }

    /// A container that does not run yet, on these networks beside its own.
    pub(super) async fn container(
        &self,
        what: &str,
        body: ContainerCreateBody,
        platform: Option<&str>,
        networks: &[String],
    ) -> Result<String, ExecutorError> {
        let name = format!("{}-{}", self.prefix, name(what));
        self.note(|things| things.containers.push(name.clone()));
        let options =
            CreateContainerOptions { name: Some(name.clone()), platform: platform.unwrap_or_default().to_owned() };
        let body = ContainerCreateBody { labels: Some(self.labels.clone()), ..body };
        let failed = |error: Error| {
            ExecutorError::system(format!("the container {what} cannot be made: {}", error_message(&error)))
        };
        let engine = self.engine.clone();
        self.make(async move { engine.create_container(Some(options), body).await }).await.map_err(failed)?;
        for network in networks {
            let endpoint_config = Some(EndpointSettings::default());
            let request = NetworkConnectRequest { container: name.clone(), endpoint_config };
            self.engine.connect_network(network, request).await.map_err(|error| cannot_join(network, &error))?;
        }
        Ok(name)
    }

    /// Removes containers and networks, then volumes in the background: the job has ended when none of its containers runs, and
    /// hundreds of megabytes take seconds to remove. If the caller stops waiting, the rest is removed in the background as well.
    /// [`sweep`] removes whatever remains.
    pub(super) async fn remove(mut self) {
        let mut things = self.things.get_mut().unwrap_or_else(PoisonError::into_inner).clone();
        all_is_made().await;
        let volumes = std::mem::take(&mut things.volumes);
        let volumes = Things { volumes, ..Things::default() };
        remove(&self.engine, &things).await;
        self.note(|things| *things = Things::default());
        let engine = self.engine.clone();
        tokio::spawn(async move { remove(&engine, &volumes).await });
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let things = std::mem::take(self.things.get_mut().unwrap_or_else(PoisonError::into_inner));
        if things.is_empty() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let engine = self.engine.clone();
            runtime.spawn(async move {
                all_is_made().await;
                remove(&engine, &things).await;
            });
        }
    }
}

impl Things {
    fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty()
    }

    /// What has the label of a pipeline, or of any.
    async fn list(engine: &bollard::Docker, pipeline: Option<&str>) -> Result<Self, Error> {
        let filter = labels::filter(PIPELINE, pipeline);
        let containers = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
        let networks = ListNetworksOptionsBuilder::new().filters(&filter).build();
        let volumes = ListVolumesOptionsBuilder::new().filters(&filter).build();
        let (containers, networks, volumes) = tokio::try_join!(
            engine.list_containers(Some(containers)),
            engine.list_networks(Some(networks)),
            engine.list_volumes(Some(volumes)),
        )?;
        Ok(Self {
            containers: containers.into_iter().filter_map(|container| container.id).collect(),
            networks: networks.into_iter().filter_map(|network| network.id).collect(),
            volumes: volumes.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect(),
        })
    }
}

/// Takes away whatever jobs have left behind: those of a pipeline, or of all of them. Returns how much there was.
///
/// # Errors
/// When the engine does not tell what there is, or something cannot be removed.
pub async fn sweep(engine: &bollard::Docker, pipeline: Option<&str>) -> Result<usize, Error> {
    // What goes already is asked to go once more: no pipeline waits for another one's volumes.
    all_is_made().await;
    let things = Things::list(engine, pipeline).await?;
    if things.is_empty() {
        return Ok(0);
    }
    remove(engine, &things).await;
    let Things { containers, networks, volumes } = Things::list(engine, pipeline).await?;
    let left = [containers, networks, volumes].concat();
    if left.is_empty() {
        return Ok(things.containers.len() + things.networks.len() + things.volumes.len());
    }
    Err(std::io::Error::other(format!("cannot be removed: {}", left.join(", "))).into())
}

/// Containers first: what they use cannot be removed before.
async fn remove(engine: &bollard::Docker, things: &Things) {
    let containers = things.containers.iter().map(|name| {
        again(move || {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            engine.remove_container(name, Some(options))
        })
    });
    join_all(containers).await;
    let networks = things.networks.iter().map(|name| again(move || engine.remove_network(name)));
    let volumes = things.volumes.iter().map(|name| {
        again(move || engine.remove_volume(name, Some(RemoveVolumeOptionsBuilder::new().force(true).build())))
    });
    tokio::join!(join_all(networks), join_all(volumes));
}

/// Tries until it is gone. What is left after that has its label.
async fn again<Removal: Future<Output = Result<(), Error>>>(remove: impl Fn() -> Removal) {
    for _ in 0..ATTEMPTS {
        match remove().await {
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => return,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn cannot_join(network: &str, error: &Error) -> ExecutorError {
    ExecutorError::system(format!(
        "no container can join the network {network} of runner.toml: {}; `networks` wants those that are there: docker network \
         create {network}",
        error_message(error)
    ))
}

/// A text as a part of a container's name.
fn name(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-');
    text.chars().map(|letter| if is_plain(letter) { letter } else { '-' }).collect()
}
