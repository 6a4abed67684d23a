//! Clusters that kind makes: whose they are, and making one.
//!
//! kind puts no label of ours on its nodes, but engines give a container its image's labels. So every run has an image of its
//! own, which is the node's with the run's labels: from the first moment a node tells whose it is, and once that image is
//! removed no node of the run can come into being any more.

use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerConfig, ContainerCreateBody, ContainerSummaryStateEnum, NetworkCreateRequest};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, CreateContainerOptionsBuilder, InspectNetworkOptions, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use tokio::process::Command;

use crate::environment::command;
use crate::environment::command::CommandError;
use crate::environment::kind_config;
use crate::environment::kind_config::KindConfigError;
use crate::environment::state::State;
use crate::environment::state::StateError;
use container_engine::labels;
use container_engine::labels::RunId;

use super::node_image::KUBEADM_PATCHES;

/// The longest time in which a cluster comes up, on a slow machine.
const PATIENCE: Duration = Duration::from_mins(10);

/// Time that kind has to tell how a cluster is reached.
const KUBECONFIG_PATIENCE: Duration = Duration::from_secs(30);

/// The option of a network that says how long its packets may be.
const MTU: &str = "com.docker.network.driver.mtu";

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum KindError {
    /// The engine refuses.
    #[error("the container engine")]
    Engine(#[from] bollard::errors::Error),
    /// kind failed.
    #[error(transparent)]
    Kind(#[from] CommandError),
    /// The kind configuration is invalid.
    #[error(transparent)]
    Config(#[from] KindConfigError),
    /// The kind configuration cannot be written.
    #[error(transparent)]
    State(#[from] StateError),
    /// It is not ours to touch.
    #[error(
        "cluster {0} was not made by `e2e`, and is left alone: choose another name with --name, or `kind delete cluster --name {0}`"
    )]
    Foreign(String),
}

/// What there is of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Nothing,
    /// Nodes that somebody else made.
    Foreign,
    /// Nodes of one of our runs.
    Ours {
        /// Which.
        run: String,
        /// Whether all of them run.
        running: bool,
    },
}

/// What there is of the cluster `name`.
///
/// # Errors
/// When the engine does not tell.
pub async fn standing(docker: &Docker, name: &str) -> Result<Standing, KindError> {
    let filters = labels::filter(labels::KIND_CLUSTER, Some(name));
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let nodes = docker.list_containers(Some(options)).await?;
    let runs = nodes.iter().map(|node| node.labels.as_ref().and_then(|labels| labels.get(labels::RUN)));
    let Some(runs) = runs.collect::<Option<Vec<_>>>() else { return Ok(Standing::Foreign) };
    let running = nodes.iter().all(|node| node.state == Some(ContainerSummaryStateEnum::RUNNING));
    Ok(match runs.first() {
        None => Standing::Nothing,
        Some(run) => Standing::Ours { run: (*run).clone(), running },
    })
}

/// The names of the cluster's nodes that run.
///
/// # Errors
/// When the engine does not tell.
pub async fn running_nodes(docker: &Docker, name: &str) -> Result<Vec<String>, KindError> {
    let filters = labels::filter(labels::KIND_CLUSTER, Some(name));
    let options = ListContainersOptionsBuilder::new().filters(&filters).build();
    let nodes = docker.list_containers(Some(options)).await?.into_iter();
    Ok(nodes.filter_map(|node| Some(node.names?.first()?.trim_start_matches('/').to_owned())).collect())
}

/// The cluster owner's kubeconfig as kind knows it: for this machine, or for containers on the cluster's network.
///
/// # Errors
/// When there is no such cluster, or its node does not run.
pub async fn kubeconfig(cluster: &str, is_internal: bool) -> Result<String, CommandError> {
    let internal: &[&str] = if is_internal { &["--internal"] } else { &[] };
    command::run("kind", &[&["get", "kubeconfig", "--name", cluster], internal].concat(), KUBECONFIG_PATIENCE).await
}

/// Makes the cluster's network, named like the cluster, unless it is there.
///
/// kind's own is shared by all its clusters, and stays when the last of them goes.
///
/// # Errors
/// When the engine refuses.
pub async fn make_network(docker: &Docker, run: &RunId) -> Result<(), KindError> {
    if docker.inspect_network(&run.cluster, None::<InspectNetworkOptions>).await.is_ok() {
        return Ok(());
    }
    // Engines give new networks 1500 whatever the machine's own can carry; the default one is configured by whoever knows.
    let default = docker.inspect_network("bridge", None::<InspectNetworkOptions>).await.ok();
    let mtu = default.and_then(|network| network.options?.remove(MTU));
    let request = NetworkCreateRequest {
        name: run.cluster.clone(),
        labels: Some(run.labels()),
        options: mtu.map(|mtu| [(MTU.to_owned(), mtu)].into()),
        ..NetworkCreateRequest::default()
    };
    docker.create_network(request).await?;
    Ok(())
}

/// Makes the run's image of a node from `image`, and returns its name.
async fn make_run_image(docker: &Docker, run: &RunId, image: &str) -> Result<String, KindError> {
    let name = format!("{}-{}", run.cluster, run.id);
    let config = ContainerCreateBody {
        image: Some(image.to_owned()),
        labels: Some(run.labels()),
        ..ContainerCreateBody::default()
    };
    docker.create_container(Some(CreateContainerOptionsBuilder::new().name(&name).build()), config).await?;
    let repository = "gitlab-ci-k8s-demo/run";
    let commit = CommitContainerOptionsBuilder::new().container(&name).repo(repository).tag(&run.id).build();
    docker.commit_container(commit, ContainerConfig::default()).await?;
    docker.remove_container(&name, Some(RemoveContainerOptionsBuilder::new().force(true).v(true).build())).await?;
    Ok(format!("{repository}:{}", run.id))
}

/// Creates the cluster of `config` with `image`, built by [`node_image`](super::node_image), for its nodes. The kubeconfig is
/// written to the state's folder; no other kubeconfig changes.
///
/// # Errors
/// When `config` is invalid, or when kind fails: with kind's last lines.
pub async fn create(docker: &Docker, run: &RunId, image: &str, config: &Path, state: &State) -> Result<(), KindError> {
    let config = kind_config::with_kubeadm_patches(config, KUBEADM_PATCHES)?;
    state.write(&state.kind_config(), config.as_bytes())?;
    let image = make_run_image(docker, run, image).await?;
    let mut command = Command::new("kind");
    command
        .args(["create", "cluster", "--name", &run.cluster, "--image", &image, "--config"])
        .arg(state.kind_config())
        .arg("--kubeconfig")
        .arg(state.kubeconfig())
        .env("KIND_EXPERIMENTAL_DOCKER_NETWORK", &run.cluster);
    Ok(command::run_logged(command, &state.kind_log(), PATIENCE).await?)
}
