//! Creates clusters with kind, and identifies the run that a cluster belongs to.
//!
//! kind cannot label its nodes, but engines copy an image's labels to its containers. So every run gets its own image: the node
//! image plus the run's labels. A node is labeled from the moment it exists, and once the image is removed, no new node of the run
//! can start.

use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerConfig, ContainerCreateBody, ContainerSummaryStateEnum, NetworkCreateRequest};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, CreateContainerOptionsBuilder, InspectNetworkOptions, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use tokio::process::Command;

use crate::environment::cluster_dir::{ClusterDir, StateError};
use crate::environment::command::CommandError;
use crate::environment::kind_config::KindConfigError;
use crate::environment::{command, kind_config};
use container_engine::labels;
use container_engine::labels::RunId;

use super::node_image::KUBEADM_PATCHES;

/// Time limit for `kind create cluster` on a slow machine.
const CREATE_TIMEOUT: Duration = Duration::from_mins(10);

/// Time limit for `kind get kubeconfig`.
const KUBECONFIG_TIMEOUT: Duration = Duration::from_secs(30);

/// The network option for the maximum packet size.
const MTU: &str = "com.docker.network.driver.mtu";

/// A cluster cannot be created or inspected.
#[derive(Debug, thiserror::Error)]
pub enum KindError {
    /// The engine returns an error.
    #[error("container engine error")]
    Engine(#[from] bollard::errors::Error),
    /// kind failed.
    #[error(transparent)]
    Kind(#[from] CommandError),
    /// The kind configuration is invalid.
    #[error(transparent)]
    Config(#[from] KindConfigError),
    /// The kind configuration cannot be written.
    #[error(transparent)]
    ClusterDir(#[from] StateError),
    /// `e2e` did not create the cluster and must not change it.
    #[error(
        "cluster `{0}` was not created by `e2e`: choose another name with --name, or delete it with `kind delete cluster --name {0}`"
    )]
    Foreign(String),
}

/// The nodes of a cluster that exist in the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterState {
    /// No nodes.
    Nothing,
    /// Nodes that `e2e` did not create.
    Foreign,
    /// Nodes of a run of `e2e`.
    Ours {
        /// The run's ID.
        run: String,
        /// Whether all nodes are running.
        running: bool,
    },
}

/// Looks up the nodes of the cluster `name`.
pub async fn state(docker: &Docker, name: &str) -> Result<ClusterState, KindError> {
    let filters = labels::filter(labels::KIND_CLUSTER, Some(name));
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let nodes = docker.list_containers(Some(options)).await?;
    let runs = nodes.iter().map(|node| node.labels.as_ref().and_then(|labels| labels.get(labels::RUN)));
    let Some(runs) = runs.collect::<Option<Vec<_>>>() else { return Ok(ClusterState::Foreign) };
    let running = nodes.iter().all(|node| node.state == Some(ContainerSummaryStateEnum::RUNNING));
    Ok(match runs.first() {
        None => ClusterState::Nothing,
        Some(run) => ClusterState::Ours { run: (*run).clone(), running },
    })
}

/// The names of the cluster's running nodes.
pub async fn running_nodes(docker: &Docker, name: &str) -> Result<Vec<String>, KindError> {
    let filters = labels::filter(labels::KIND_CLUSTER, Some(name));
    let options = ListContainersOptionsBuilder::new().filters(&filters).build();
    let nodes = docker.list_containers(Some(options)).await?.into_iter();
    Ok(nodes.filter_map(|node| Some(node.names?.first()?.trim_start_matches('/').to_owned())).collect())
}

/// The cluster owner's kubeconfig from kind, for this machine or (`is_internal`) for containers on the cluster's network.
///
/// # Errors
/// If the cluster does not exist, or its node is not running.
pub async fn kubeconfig(cluster: &str, is_internal: bool) -> Result<String, CommandError> {
    let internal: &[&str] = if is_internal { &["--internal"] } else { &[] };
    command::run("kind", &[&["get", "kubeconfig", "--name", cluster], internal].concat(), KUBECONFIG_TIMEOUT).await
}

/// Creates the cluster's network, which has the cluster's name, unless it exists.
///
/// kind's default network is shared by all kind clusters, and stays after the last of them is deleted.
pub async fn create_network(docker: &Docker, run: &RunId) -> Result<(), KindError> {
    if docker.inspect_network(&run.cluster, None::<InspectNetworkOptions>).await.is_ok() {
        return Ok(());
    }
    // Engines give new networks an MTU of 1500 even if the machine's own is smaller. The default network has the MTU that the machine's
    // administrator has configured.
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

/// Creates the run's node image from `image`, and returns its reference.
async fn create_run_image(docker: &Docker, run: &RunId, image: &str) -> Result<String, KindError> {
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
/// written to the cluster's directory; no other kubeconfig changes.
///
/// # Errors
/// If `config` is invalid, or kind fails; the error has kind's last lines.
pub async fn create(
    docker: &Docker,
    run: &RunId,
    image: &str,
    config: &Path,
    state: &ClusterDir,
) -> Result<(), KindError> {
    let config = kind_config::with_kubeadm_patches(config, KUBEADM_PATCHES)?;
    state.write(&state.kind_config(), config.as_bytes())?;
    let image = create_run_image(docker, run, image).await?;
    let mut command = Command::new("kind");
    command
        .args(["create", "cluster", "--name", &run.cluster, "--image", &image, "--config"])
        .arg(state.kind_config())
        .arg("--kubeconfig")
        .arg(state.kubeconfig())
        .env("KIND_EXPERIMENTAL_DOCKER_NETWORK", &run.cluster);
    Ok(command::run_logged(command, &state.kind_log(), CREATE_TIMEOUT).await?)
}
