//! Brings up a cluster and everything else that a pipeline needs: registry, add-ons, deployer's account and pull secret.

use std::path::PathBuf;
use std::time::Duration;

use bollard::Docker;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::config::Kubeconfig;
use kube::{Api, Client, ResourceExt};
use tokio::sync::Notify;

use crate::environment::cluster::addons::{AddonError, PROMETHEUS, TRAEFIK};
use crate::environment::cluster::kind::{ClusterState, KindError};
use crate::environment::cluster::load::LoadError;
use crate::environment::cluster::node_image::{BuildPaths, NodeImageError, Parts};
use crate::environment::cluster::owner::OwnerError;
use crate::environment::cluster::ready::ReadyError;
use crate::environment::cluster::{ApiError, ClientError, addons, apply, kind, load, node_image, owner, ready};
use crate::environment::cluster_dir::{ClusterDir, Lock, StateError};
use crate::environment::command::CommandError;
use crate::environment::doctor::{Finding, Platform, Verdict};
use crate::environment::down::DownError;
use crate::environment::images::{Images, KubernetesVersion, ObtainError, ResolvedImage};
use crate::environment::progress::{logged_part, part};
use crate::environment::registry::run as registry;
use crate::environment::registry::run::{Registry, RegistryError};
use crate::environment::{cluster, doctor, down, images, kind_config};
use crate::record::event::{Event, EventSink};
use container_engine::labels;
use container_engine::labels::RunId;

/// Time that nodes and the pods of `kube-system` have to become ready.
const TIMEOUT: Duration = Duration::from_mins(3);

/// The cluster to bring up, and its inputs.
#[derive(Debug)]
pub struct Plan {
    /// The cluster's name.
    pub cluster: String,
    /// The kind configuration.
    pub kind_config: PathBuf,
    /// The directory with the manifests that the cluster owner applies.
    pub manifests: PathBuf,
    /// The cluster's directory.
    pub state: ClusterDir,
}

/// The cluster could not be brought up.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// Prerequisites are missing on this machine.
    #[error("missing prerequisites")]
    Lacking(Vec<Finding>),
    /// The cluster's directory cannot be used, or another process is using the cluster.
    #[error(transparent)]
    ClusterDir(#[from] StateError),
    /// The cluster exists with another Kubernetes version.
    #[error(
        "cluster `{cluster}` runs Kubernetes {found}, not {wanted}: keep it with `--kubernetes {found}`, remove it with \
         `e2e down --name {cluster}`, or choose another name with --name"
    )]
    OtherVersion {
        cluster: String,
        /// The version that a node's kubelet reports.
        found: String,
        /// The requested version.
        wanted: KubernetesVersion,
    },
    /// The leftovers of an earlier run cannot be removed.
    #[error(transparent)]
    Down(#[from] DownError),
    /// An image cannot be obtained.
    #[error(transparent)]
    Image(#[from] ObtainError),
    /// kind cannot create or inspect the cluster.
    #[error(transparent)]
    Kind(#[from] KindError),
    /// The node image with the add-ons' images cannot be built.
    #[error(transparent)]
    NodeImage(#[from] NodeImageError),
    /// Images cannot be loaded onto the nodes.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// No client can be created for the cluster.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// kind does not provide a kubeconfig.
    #[error(transparent)]
    Kubeconfig(#[from] CommandError),
    /// The registry does not start.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The cluster owner's preparations failed.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// An add-on cannot be installed.
    #[error(transparent)]
    Addon(#[from] AddonError),
    /// Something does not become ready.
    #[error(transparent)]
    Ready(#[from] ReadyError),
    /// The nodes cannot get the label that marks the cluster as complete.
    #[error("cannot label the nodes")]
    Label(#[source] ApiError),
    /// The API server does not list the nodes, which need this label.
    #[error("cannot label the nodes: the API server does not list them")]
    NoNodes,
}

/// The add-ons' images.
struct AddonImages {
    traefik: ResolvedImage,
    prometheus: ResolvedImage,
}

/// Brings up the cluster, or repairs an existing one.
///
/// # Errors
/// The first error. Resources that exist by then stay. The next call repairs the cluster if its nodes have the label of its run, and
/// otherwise recreates it. `down` removes it.
pub async fn up(docker: &Docker, images: &Images, plan: &Plan, notify: &EventSink<'_>) -> Result<(), UpError> {
    let begun = begin(docker, images, plan, notify).await?;
    // Boxed: the large future would otherwise take space on every caller's stack.
    Box::pin(finish(docker, images, plan, &begun, notify)).await
}

/// A cluster whose network exists and that this process has locked.
#[derive(Debug)]
pub struct ClusterLease {
    run: RunId,
    /// Whether no complete cluster existed before.
    pub is_new: bool,
    _lock: Lock,
}

impl ClusterLease {
    /// The run that the cluster belongs to.
    pub fn run(&self) -> &RunId {
        &self.run
    }
}

/// Takes the lock and creates the network. After this, containers can join the network, even before the cluster is up.
pub async fn begin(
    docker: &Docker,
    images: &Images,
    plan: &Plan,
    notify: &EventSink<'_>,
) -> Result<ClusterLease, UpError> {
    // Check the machine before anything is created, even a directory.
    if find_whole(docker, images, plan).await?.is_none() {
        require_machine(images, plan).await?;
    }
    let lock = plan.state.lock()?;
    let (run, is_new) = if let Some(run) = find_whole(docker, images, plan).await? {
        (run, false)
    } else {
        // Remove all leftovers of an earlier run, even if no nodes are left.
        if !down::remove(docker, &plan.cluster, &plan.state).await?.is_nothing() {
            let text = format!("cluster `{}` is incomplete or stopped; recreating it", plan.cluster);
            notify(&Event::Note { text: &text });
        }
        (RunId::new(&plan.cluster), true)
    };
    plan.state.note_run(&run)?;
    if !is_new && !plan.state.kubeconfig().exists() {
        let text = kind::kubeconfig(&plan.cluster, false).await?;
        plan.state.write(&plan.state.kubeconfig(), text.as_bytes())?;
    }
    kind::create_network(docker, &run).await?;
    Ok(ClusterLease { run, is_new, _lock: lock })
}

/// Creates or repairs the cluster that [`begin`] has locked.
pub async fn finish(
    docker: &Docker,
    images: &Images,
    plan: &Plan,
    ClusterLease { run, is_new, .. }: &ClusterLease,
    notify: &EventSink<'_>,
) -> Result<(), UpError> {
    let is_new = *is_new;
    let (registry, addon_images) = if is_new {
        Box::pin(make(docker, images, plan, run, notify)).await?
    } else {
        let addon_images = async { Ok(addon_images(images).await?) };
        let ((registry, is_new_registry), addon_images) =
            tokio::try_join!(ensure_registry(docker, images, plan, run, notify), addon_images)?;
        if is_new_registry {
            notify(&Event::Note {
                text: "the registry was not running: the new one is empty, and has another port and password",
            });
        }
        (registry, addon_images)
    };
    Box::pin(prepare(docker, plan, run, (&registry, &addon_images), is_new, notify)).await
}

/// The run of an existing cluster that responds and is complete.
async fn find_whole(docker: &Docker, images: &Images, plan: &Plan) -> Result<Option<RunId>, UpError> {
    let id = match kind::state(docker, &plan.cluster).await? {
        ClusterState::Foreign => return Err(KindError::Foreign(plan.cluster.clone()).into()),
        ClusterState::Ours { run, running: true } => run,
        ClusterState::Ours { running: false, .. } | ClusterState::Nothing => return Ok(None),
    };
    let Ok(client) = client(plan).await else { return Ok(None) };
    let nodes = cluster::nodes(&client).await;
    let is_complete = nodes.as_ref().is_some_and(|nodes| cluster::is_complete(nodes, &id));
    let wanted = images.kubernetes();
    let versions = nodes.iter().flatten().filter_map(|node| node.status.as_ref()?.node_info.as_ref());
    if let Some(other) = versions.map(|info| &info.kubelet_version).find(|version| **version != wanted.to_string())
        && is_complete
    {
        return Err(UpError::OtherVersion { cluster: plan.cluster.clone(), found: other.clone(), wanted });
    }
    Ok(is_complete.then(|| RunId { id, cluster: plan.cluster.clone() }))
}

/// A client with the cluster owner's permissions. If the user has deleted the directory with the kubeconfig, kind still provides it.
async fn client(plan: &Plan) -> Result<Client, ClientError> {
    let kubeconfig = match Kubeconfig::read_from(plan.state.kubeconfig()) {
        Ok(kubeconfig) => kubeconfig,
        Err(_) => Kubeconfig::from_yaml(&kind::kubeconfig(&plan.cluster, false).await?)?,
    };
    cluster::client(kubeconfig).await
}

/// Checks the prerequisites before anything is created. kind itself would report an occupied port only after it has created half of the
/// cluster.
async fn require_machine(images: &Images, plan: &Plan) -> Result<(), UpError> {
    let request = doctor::Request {
        kind_config: &plan.kind_config,
        cluster: &plan.cluster,
        kubernetes: images.kubernetes(),
        policy: images.policy(),
        recipes: images.recipes(),
    };
    let mut findings = Box::pin(doctor::examine(&Platform::this(), &request)).await;
    findings.retain(|finding| finding.verdict == Verdict::Missing);
    if findings.is_empty() { Ok(()) } else { Err(UpError::Lacking(findings)) }
}

/// Creates the cluster and the registry concurrently. The node image already contains the add-ons' images.
async fn make(
    docker: &Docker,
    images: &Images,
    plan: &Plan,
    run: &RunId,
    notify: &EventSink<'_>,
) -> Result<(Registry, AddonImages), UpError> {
    let make_cluster = async {
        let with_network = async {
            let node = images.node().await?.reference;
            let pod_network = pod_network(docker, images, plan, &node).await?;
            Ok((node, pod_network))
        };
        let addons = async { Ok::<_, UpError>(addon_images(images).await?) };
        let ((node, pod_network), addon_images) = tokio::try_join!(with_network, addons)?;
        let log = images.logs().join("node-with-images.log");
        let paths = BuildPaths { recipes: images.recipes(), scratch: plan.state.dir(), log: &log };
        let parts = Parts { node, addons: addon_images.references(), pod_network };
        let ensure = node_image::ensure(docker, &parts, paths);
        let node = logged_part(notify, "node with the add-ons' images", Some(log.clone()), ensure).await?;
        let create = kind::create(docker, run, &node, &plan.kind_config, &plan.state);
        logged_part(notify, "cluster", Some(plan.state.kind_log()), create).await?;
        Ok::<_, UpError>(addon_images)
    };
    let (addon_images, (registry, _)) =
        tokio::try_join!(make_cluster, ensure_registry(docker, images, plan, run, notify))?;
    Ok((registry, addon_images))
}

/// The image of kube-router, if the cluster has several nodes and the pod network of the node image connects only pods on the same node.
async fn pod_network(docker: &Docker, images: &Images, plan: &Plan, node: &str) -> Result<Option<String>, UpError> {
    let has_several_nodes = kind_config::has_several_nodes(&plan.kind_config).map_err(KindError::from)?;
    if !has_several_nodes || !node_image::connects_one_node(docker, node).await? {
        return Ok(None);
    }
    Ok(Some(images.obtain_one(&images::KUBE_ROUTER).await?.reference))
}

/// Starts the registry if it does not run. Returns it, and whether it is new.
async fn ensure_registry(
    docker: &Docker,
    images: &Images,
    plan: &Plan,
    run: &RunId,
    notify: &EventSink<'_>,
) -> Result<(Registry, bool), UpError> {
    let image = images.obtain_one(&images::REGISTRY).await?;
    Ok(part(notify, "registry", registry::ensure(docker, run, &image.reference, &plan.state)).await?)
}

/// Installs everything in the cluster concurrently. Any of it may exist already.
async fn prepare(
    docker: &Docker,
    plan: &Plan,
    run: &RunId,
    (registry, images): (&Registry, &AddonImages),
    is_new: bool,
    notify: &EventSink<'_>,
) -> Result<(), UpError> {
    let client = client(plan).await?;
    if is_new {
        mark_complete(&client, run).await?;
    } else {
        let nodes = cluster::nodes(&client).await.unwrap_or_default();
        let missing = load::missing(&nodes, &images.references());
        if !missing.is_empty() {
            part(notify, "images for the nodes", load::load(docker, &plan.cluster, &missing)).await?;
        }
    }
    let trust = async {
        registry::connect(docker, &plan.cluster).await?;
        owner::trust_registry(docker, run, &registry.authority).await?;
        owner::apply_registry_hosting(&client, run, registry.address.port()).await?;
        Ok::<_, UpError>(())
    };
    // The Ingress controller's Role is in the namespace of the service.
    let has_namespace = Notify::new();
    let deployer = async {
        owner::apply_manifests(&client, run, &plan.manifests).await?;
        has_namespace.notify_one();
        tokio::try_join!(
            owner::write_kubeconfigs(&client, run, &plan.state),
            owner::apply_pull_secret(&client, run, &registry.login)
        )?;
        Ok::<_, UpError>(())
    };
    let cluster_itself = async {
        ready::nodes(&client, TIMEOUT).await?;
        Ok::<_, UpError>(ready::namespace(&client, "kube-system", TIMEOUT).await?)
    };
    tokio::try_join!(
        part(notify, "the nodes' trust in the registry", trust),
        part(notify, "namespace, account and pull secret", deployer),
        part(notify, "kube-system", cluster_itself),
        part(notify, "Ingress controller", async {
            has_namespace.notified().await;
            Ok(addons::install(&client, run, &TRAEFIK, &images.traefik).await?)
        }),
        part(notify, "Prometheus", async { Ok(addons::install(&client, run, &PROMETHEUS, &images.prometheus).await?) }),
    )?;
    Ok(())
}

/// Labels the nodes with the run that created them. A cluster without these labels is incomplete, and is recreated instead of repaired.
async fn mark_complete(client: &Client, run: &RunId) -> Result<(), UpError> {
    let api = Api::<Node>::all(client.clone());
    let nodes = cluster::nodes(client).await.filter(|nodes| !nodes.is_empty()).ok_or(UpError::NoNodes)?;
    for node in nodes {
        let label = serde_json::json!({"metadata": {"labels": {labels::RUN: run.id}}});
        let parameters = PatchParams { field_manager: Some(apply::MANAGER.to_owned()), ..PatchParams::default() };
        api.patch(&node.name_any(), &parameters, &Patch::Merge(label))
            .await
            .map_err(|error| UpError::Label(error.into()))?;
    }
    Ok(())
}

async fn addon_images(images: &Images) -> Result<AddonImages, ObtainError> {
    let (traefik, prometheus) =
        tokio::try_join!(images.obtain_one(&images::TRAEFIK), images.obtain_one(&images::PROMETHEUS))?;
    Ok(AddonImages { traefik, prometheus })
}

impl AddonImages {
    fn references(&self) -> Vec<String> {
        [&self.traefik, &self.prometheus].map(|image| image.reference.clone()).into()
    }
}
