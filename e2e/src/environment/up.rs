//! Brings up a cluster and all that a pipeline takes for granted around it, top to bottom.

use std::path::PathBuf;
use std::time::Duration;

use bollard::Docker;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::config::Kubeconfig;
use kube::{Api, Client, ResourceExt};

use crate::environment::cluster;
use crate::environment::cluster::ApiError;
use crate::environment::cluster::ClientError;
use crate::environment::cluster::addons;
use crate::environment::cluster::addons::AddonError;
use crate::environment::cluster::addons::PROMETHEUS;
use crate::environment::cluster::addons::TRAEFIK;
use crate::environment::cluster::apply;
use crate::environment::cluster::kind;
use crate::environment::cluster::kind::KindError;
use crate::environment::cluster::kind::Standing;
use crate::environment::cluster::load;
use crate::environment::cluster::load::LoadError;
use crate::environment::cluster::node_image;
use crate::environment::cluster::node_image::BuildPaths;
use crate::environment::cluster::node_image::NodeImageError;
use crate::environment::cluster::owner;
use crate::environment::cluster::owner::OwnerError;
use crate::environment::cluster::ready;
use crate::environment::cluster::ready::ReadyError;
use crate::environment::command::CommandError;
use crate::environment::doctor;
use crate::environment::doctor::Finding;
use crate::environment::doctor::Platform;
use crate::environment::doctor::Verdict;
use crate::environment::down;
use crate::environment::down::DownError;
use crate::environment::images;
use crate::environment::images::Images;
use crate::environment::images::KubernetesVersion;
use crate::environment::images::ObtainError;
use crate::environment::images::Obtained;
use crate::environment::progress::Progress;
use crate::environment::progress::Tell;
use crate::environment::progress::logged_part;
use crate::environment::progress::part;
use crate::environment::registry::run as registry;
use crate::environment::registry::run::Registry;
use crate::environment::registry::run::RegistryError;
use crate::environment::state::Lock;
use crate::environment::state::State;
use crate::environment::state::StateError;
use container_engine::labels;
use container_engine::labels::RunId;

/// Time that nodes and the cluster's own pods have to become ready.
const PATIENCE: Duration = Duration::from_mins(3);

/// What is to be brought up, and from what.
#[derive(Debug)]
pub struct Plan {
    /// The cluster's name.
    pub cluster: String,
    /// Its shape.
    pub kind_config: PathBuf,
    /// What its owner applies.
    pub manifests: PathBuf,
    /// Where its files are.
    pub state: State,
}

/// Why it is not up.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// The machine lacks something.
    #[error("this machine lacks something")]
    Lacking(Vec<Finding>),
    /// The state's folder, or the right to work on the cluster.
    #[error(transparent)]
    State(#[from] StateError),
    /// There is such a cluster already, of another version.
    #[error(
        "cluster {cluster} runs Kubernetes {found}, not {wanted}: keep it with `--kubernetes {found}`, remove it with \
         `e2e down --name {cluster}`, or choose another name with --name"
    )]
    OtherVersion {
        /// The cluster.
        cluster: String,
        /// What its node's kubelet reports.
        found: String,
        /// What was asked for.
        wanted: KubernetesVersion,
    },
    /// What was left of an earlier run cannot be taken away.
    #[error(transparent)]
    Down(#[from] DownError),
    /// An image.
    #[error(transparent)]
    Image(#[from] ObtainError),
    /// The cluster.
    #[error(transparent)]
    Kind(#[from] KindError),
    /// The node with the add-ons' images.
    #[error(transparent)]
    NodeImage(#[from] NodeImageError),
    /// Images on the nodes.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The cluster's API.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// kind does not tell how the cluster is reached.
    #[error(transparent)]
    Kubeconfig(#[from] CommandError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// What the owner prepares.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// An add-on.
    #[error(transparent)]
    Addon(#[from] AddonError),
    /// Something does not become ready.
    #[error(transparent)]
    Ready(#[from] ReadyError),
    /// The cluster cannot be marked as whole.
    #[error("the nodes cannot be labelled")]
    Label(#[source] ApiError),
}

/// The add-ons' images.
struct AddonImages {
    traefik: Obtained,
    prometheus: Obtained,
}

/// Brings it up, or repairs what is missing of it.
///
/// # Errors
/// The first that there is. What is there then stays: the next call goes on from it, and `down` takes it away.
pub async fn up(docker: &Docker, images: &Images, plan: &Plan, tell: &Tell) -> Result<(), UpError> {
    let begun = begin(docker, images, plan, tell).await?;
    // On the heap: all that goes on at the same time in there would be on every caller's stack.
    Box::pin(finish(docker, images, plan, &begun, tell)).await
}

/// What is there once a cluster is begun: the right to work on it, and its network.
#[derive(Debug)]
pub struct Begun {
    run: RunId,
    /// Whether there was no whole one.
    pub is_new: bool,
    _lock: Lock,
}

impl Begun {
    /// The run that the cluster belongs to.
    pub fn run(&self) -> &RunId {
        &self.run
    }
}

/// Begins: after this, containers can join the cluster's network, whether or not anything is on it.
///
/// # Errors
/// As of [`up`].
pub async fn begin(docker: &Docker, images: &Images, plan: &Plan, tell: &Tell) -> Result<Begun, UpError> {
    // Looked at before anything is made, even a folder.
    if find_whole(docker, images, plan).await?.is_none() {
        require_machine(images, plan).await?;
    }
    let lock = plan.state.lock()?;
    let (run, is_new) = if let Some(run) = find_whole(docker, images, plan).await? {
        (run, false)
    } else {
        // Whatever an earlier run has left, nodes or not.
        if !down::remove(docker, &plan.cluster, &plan.state).await?.is_nothing() {
            tell(Progress::Note(format!("cluster {} was half made or stopped: it is made anew", plan.cluster)));
        }
        (RunId::new(&plan.cluster), true)
    };
    plan.state.note_run(&run)?;
    if !is_new && !plan.state.kubeconfig().exists() {
        let text = kind::kubeconfig(&plan.cluster, false).await?;
        plan.state.write(&plan.state.kubeconfig(), text.as_bytes())?;
    }
    kind::make_network(docker, &run).await?;
    Ok(Begun { run, is_new, _lock: lock })
}

/// Does the rest of it.
///
/// # Errors
/// As of [`up`].
pub async fn finish(
    docker: &Docker,
    images: &Images,
    plan: &Plan,
    Begun { run, is_new, .. }: &Begun,
    tell: &Tell,
) -> Result<(), UpError> {
    let is_new = *is_new;
    let (registry, addon_images) = if is_new {
        Box::pin(make(docker, images, plan, run, tell)).await?
    } else {
        tokio::try_join!(ensure_registry(docker, images, plan, run, tell), async { Ok(addon_images(images).await?) })?
    };
    Box::pin(prepare(docker, plan, run, (&registry, &addon_images), is_new, tell)).await
}

/// The run whose cluster answers and was made to its end.
async fn find_whole(docker: &Docker, images: &Images, plan: &Plan) -> Result<Option<RunId>, UpError> {
    let id = match kind::standing(docker, &plan.cluster).await? {
        Standing::Foreign => return Err(KindError::Foreign(plan.cluster.clone()).into()),
        Standing::Ours { run, running: true } => run,
        Standing::Ours { running: false, .. } | Standing::Nothing => return Ok(None),
    };
    let Ok(client) = client(plan).await else { return Ok(None) };
    let nodes = cluster::nodes(&client).await;
    let is_whole = nodes.as_ref().is_some_and(|nodes| cluster::is_whole(nodes, &id));
    let wanted = images.kubernetes();
    let versions = nodes.iter().flatten().filter_map(|node| node.status.as_ref()?.node_info.as_ref());
    if let Some(other) = versions.map(|info| &info.kubelet_version).find(|version| **version != wanted.to_string())
        && is_whole
    {
        return Err(UpError::OtherVersion { cluster: plan.cluster.clone(), found: other.clone(), wanted });
    }
    Ok(is_whole.then(|| RunId { id, cluster: plan.cluster.clone() }))
}

/// A client of the cluster's owner. The folder with its kubeconfig may have been cleaned away; kind knows it still.
async fn client(plan: &Plan) -> Result<Client, ClientError> {
    let kubeconfig = match Kubeconfig::read_from(plan.state.kubeconfig()) {
        Ok(kubeconfig) => kubeconfig,
        Err(_) => Kubeconfig::from_yaml(&kind::kubeconfig(&plan.cluster, false).await?)?,
    };
    cluster::client(kubeconfig).await
}

/// Before anything is made, everything is looked at: a port that is taken is found by kind only when half is there.
async fn require_machine(images: &Images, plan: &Plan) -> Result<(), UpError> {
    let request = doctor::Request {
        kind_config: &plan.kind_config,
        cluster: &plan.cluster,
        kubernetes: images.kubernetes(),
        way: images.way(),
        recipes: images.recipes(),
    };
    let mut findings = Box::pin(doctor::examine(&Platform::this(), &request)).await;
    findings.retain(|finding| finding.verdict == Verdict::Missing);
    if findings.is_empty() { Ok(()) } else { Err(UpError::Lacking(findings)) }
}

/// Cluster and registry, at the same time. The cluster's nodes come with the add-ons' images in them.
async fn make(
    docker: &Docker,
    images: &Images,
    plan: &Plan,
    run: &RunId,
    tell: &Tell,
) -> Result<(Registry, AddonImages), UpError> {
    let make_cluster = async {
        let (node, addon_images) = tokio::try_join!(images.node(), addon_images(images))?;
        let log = images.logs().join("node-with-images.log");
        let paths = BuildPaths { recipes: images.recipes(), scratch: plan.state.folder(), log: &log };
        let references = addon_images.references();
        let ensure = node_image::ensure(docker, &node.reference, &references, paths);
        let node = logged_part(tell, "node with the add-ons' images", Some(log.clone()), ensure).await?;
        let create = kind::create(docker, run, &node, &plan.kind_config, &plan.state);
        logged_part(tell, "cluster", Some(plan.state.kind_log()), create).await?;
        Ok::<_, UpError>(addon_images)
    };
    let (addon_images, registry) = tokio::try_join!(make_cluster, ensure_registry(docker, images, plan, run, tell))?;
    Ok((registry, addon_images))
}

async fn ensure_registry(
    docker: &Docker,
    images: &Images,
    plan: &Plan,
    run: &RunId,
    tell: &Tell,
) -> Result<Registry, UpError> {
    let image = images.obtain_one(&images::REGISTRY).await?;
    Ok(part(tell, "registry", registry::ensure(docker, run, &image.reference, &plan.state)).await?.0)
}

/// Everything that is put into the cluster, at the same time. All of it may be there already.
async fn prepare(
    docker: &Docker,
    plan: &Plan,
    run: &RunId,
    (registry, images): (&Registry, &AddonImages),
    is_new: bool,
    tell: &Tell,
) -> Result<(), UpError> {
    let client = client(plan).await?;
    if is_new {
        mark_whole(&client, run).await?;
    } else {
        let nodes = cluster::nodes(&client).await.unwrap_or_default();
        let missing = load::missing(&nodes, &images.references());
        if !missing.is_empty() {
            part(tell, "images for the nodes", load::load(docker, &plan.cluster, &missing)).await?;
        }
    }
    let trust = async {
        registry::connect(docker, &plan.cluster).await?;
        owner::trust_registry(docker, run, &registry.authority).await?;
        owner::apply_registry_hosting(&client, run, registry.address.port()).await?;
        Ok::<_, UpError>(())
    };
    let deployer = async {
        owner::apply_manifests(&client, run, &plan.manifests).await?;
        tokio::try_join!(
            owner::write_kubeconfigs(&client, run, &plan.state),
            owner::apply_pull_secret(&client, run, &registry.login)
        )?;
        Ok::<_, UpError>(())
    };
    let cluster_itself = async {
        ready::nodes(&client, PATIENCE).await?;
        Ok::<_, UpError>(ready::namespace(&client, "kube-system", PATIENCE).await?)
    };
    tokio::try_join!(
        part(tell, "the nodes' trust in the registry", trust),
        part(tell, "namespace, account and pull secret", deployer),
        part(tell, "kube-system", cluster_itself),
        part(tell, "Ingress controller", async { Ok(addons::install(&client, run, &TRAEFIK, &images.traefik).await?) }),
        part(tell, "Prometheus", async { Ok(addons::install(&client, run, &PROMETHEUS, &images.prometheus).await?) }),
    )?;
    Ok(())
}

/// The nodes are told by which run they were made whole: a cluster without that was left half made.
async fn mark_whole(client: &Client, run: &RunId) -> Result<(), UpError> {
    let api = Api::<Node>::all(client.clone());
    for node in cluster::nodes(client).await.unwrap_or_default() {
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
