//! What stands of a cluster, and how it is reached. Nothing is changed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::ListParams;
use kube::config::Kubeconfig;
use kube::{Api, Client, ResourceExt};
use serde::Serialize;

use crate::environment::cluster;
use crate::environment::cluster::conditions;
use crate::environment::cluster::kind;
use crate::environment::cluster::kind::KindError;
use crate::environment::cluster::kind::Standing;
use crate::environment::cluster::owner;
use crate::environment::kind_config;
use crate::environment::kind_config::PortMapping;
use crate::environment::registry;
use crate::environment::registry::login;
use crate::environment::state::State;
use container_engine::labels::RunId;

/// Time that a controller has to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The host that Prometheus answers to.
const PROMETHEUS_HOST: &str = "prometheus.gitlab-k8s-demo.test";

/// Everything of a cluster.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Its name; that of its network, too.
    pub cluster: String,
    /// The run that made it.
    pub run: Option<String>,
    /// Its parts.
    pub parts: Vec<Part>,
    /// How it is reached, where there is something to reach.
    pub access: Option<Access>,
}

/// A part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub ready: bool,
    /// More about it.
    pub detail: String,
}

/// How a cluster is reached.
#[derive(Clone, Debug, Serialize)]
pub struct Access {
    /// The owner's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The deployer's.
    pub gitlab_kubeconfig: PathBuf,
    /// The deployer's for containers on the cluster's network.
    pub gitlab_internal_kubeconfig: PathBuf,
    /// The Ingress controller's addresses on this machine.
    pub ingress_http: Option<SocketAddr>,
    /// The same with TLS.
    pub ingress_https: Option<SocketAddr>,
    /// The host that Prometheus answers to, by the Ingress controller.
    pub prometheus_host: &'static str,
    /// The registry's host, for nodes and for containers on the cluster's network.
    pub registry_host: &'static str,
    /// Its address on this machine.
    pub registry_address: Option<SocketAddr>,
    /// Its user.
    pub registry_user: &'static str,
    /// The file with the user's password.
    pub registry_password: PathBuf,
    /// The same as curl reads it.
    pub registry_netrc: PathBuf,
    /// The certificate of its authority.
    pub registry_authority: PathBuf,
}

impl Status {
    /// Whether all of it stands.
    pub fn is_whole(&self) -> bool {
        !self.parts.is_empty() && self.parts.iter().all(|part| part.ready)
    }
}

/// Looks at the cluster `name`.
///
/// # Errors
/// When the engine does not tell, or the cluster is somebody else's.
pub async fn status(docker: &Docker, name: &str, kind_config: &Path, state: &State) -> Result<Status, KindError> {
    let cluster = name.to_owned();
    let (id, running) = match kind::standing(docker, name).await? {
        Standing::Foreign => return Err(KindError::Foreign(cluster)),
        Standing::Nothing => return Ok(Status { cluster, run: None, parts: Vec::new(), access: None }),
        Standing::Ours { run, running } => (run, running),
    };
    let run = RunId { id, cluster: cluster.clone() };
    let mappings = kind_config::port_mappings(kind_config).unwrap_or_default();
    let registry = registry::run::running(docker, &run, state).await;
    let access = access(state, &mappings, registry.as_ref().map(|registry| registry.address));
    let mut parts = Vec::new();
    let lost = |detail: String| Part { name: "cluster", ready: false, detail };
    if !running {
        parts.push(lost("its nodes do not run".to_owned()));
    } else if let Ok(kubeconfig) = Kubeconfig::read_from(state.kubeconfig()) {
        match cluster::client(kubeconfig).await {
            Ok(client) => parts.extend(cluster_parts(&client, &run, access.ingress_http).await),
            Err(error) => parts.push(lost(error.to_string())),
        }
    } else {
        parts.push(lost(format!("{} cannot be read", state.kubeconfig().display())));
    }
    let (ready, detail) = match &registry {
        None => (false, "does not run".to_owned()),
        Some(registry) if registry::run::answers(registry).await => {
            (true, format!("{}, here {}", registry::HOST, registry.address))
        }
        Some(registry) => (false, format!("does not answer at {}", registry.address)),
    };
    parts.push(Part { name: "registry", ready, detail });
    Ok(Status { cluster, run: Some(run.id), parts, access: Some(access) })
}

fn access(state: &State, mappings: &[PortMapping], registry_address: Option<SocketAddr>) -> Access {
    let host = |port| mappings.iter().find(|mapping| mapping.container_port == port).map(|mapping| mapping.host);
    Access {
        kubeconfig: state.kubeconfig(),
        gitlab_kubeconfig: state.gitlab_kubeconfig(),
        gitlab_internal_kubeconfig: state.gitlab_internal_kubeconfig(),
        ingress_http: host(80),
        ingress_https: host(443),
        prometheus_host: PROMETHEUS_HOST,
        registry_host: registry::HOST,
        registry_address,
        registry_user: login::USER,
        registry_password: state.registry_password(),
        registry_netrc: state.registry_netrc(),
        registry_authority: state.registry_authority(),
    }
}

async fn cluster_parts(client: &Client, run: &RunId, ingress: Option<SocketAddr>) -> Vec<Part> {
    let Some(nodes) = cluster::nodes(client).await else {
        return vec![Part { name: "cluster", ready: false, detail: "its API server does not answer".to_owned() }];
    };
    let versions =
        nodes.iter().filter_map(|node| Some(node.status.as_ref()?.node_info.as_ref()?.kubelet_version.as_str()));
    let version = versions.min().unwrap_or("of unknown version");
    let ready = nodes.iter().filter(|node| conditions::is_node_ready(node)).count();
    let detail = if cluster::is_whole(&nodes, &run.id) {
        format!("Kubernetes {version}, {ready} of {} nodes Ready", nodes.len())
    } else {
        "half made".to_owned()
    };
    let is_ready = ready == nodes.len() && cluster::is_whole(&nodes, &run.id);
    let mut parts = vec![Part { name: "cluster", ready: is_ready, detail }];
    let (pods, ingress, prometheus, deployer, storage) = tokio::join!(
        pods_part(client),
        ingress_part(client, ingress),
        prometheus_part(client),
        deployer_part(client),
        storage_part(client),
    );
    parts.extend([pods, ingress, prometheus, deployer, storage]);
    parts
}

async fn pods_part(client: &Client) -> Part {
    let name = "kube-system";
    let list = Api::<Pod>::namespaced(client.clone(), name).list(&ListParams::default()).await;
    match list {
        Err(error) => Part { name, ready: false, detail: error.to_string() },
        Ok(pods) => {
            let ready = pods.iter().filter(|pod| conditions::is_pod_ready(pod)).count();
            let total = pods.items.len();
            Part { name, ready: total > 0 && ready == total, detail: format!("{ready} of {total} pods Ready") }
        }
    }
}

/// The first Deployment of a namespace with an available pod.
async fn available(client: &Client, namespace: &str) -> Option<String> {
    let deployments =
        Api::<Deployment>::namespaced(client.clone(), namespace).list(&ListParams::default()).await.ok()?;
    let is_available = |it: &&Deployment| it.status.as_ref().and_then(|status| status.available_replicas) >= Some(1);
    deployments.items.iter().find(is_available).map(ResourceExt::name_any)
}

async fn ingress_part(client: &Client, address: Option<SocketAddr>) -> Part {
    let name = "Ingress controller";
    let Some(deployment) = available(client, "ingress").await else {
        return Part { name, ready: false, detail: "no pod of it is available".to_owned() };
    };
    let Some(address) = address else {
        return Part { name, ready: true, detail: format!("{deployment}; no port of this machine leads to it") };
    };
    let ask = reqwest::Client::new().get(format!("http://{address}/")).timeout(PATIENCE).send().await;
    match ask {
        Ok(_) => Part { name, ready: true, detail: format!("{deployment}, http://{address}") },
        Err(error) => Part { name, ready: false, detail: format!("{deployment} does not answer: {error}") },
    }
}

async fn prometheus_part(client: &Client) -> Part {
    let detail = available(client, "monitoring").await;
    let ready = detail.is_some();
    let detail = if ready { format!("host {PROMETHEUS_HOST}") } else { "no pod of it is available".to_owned() };
    Part { name: "Prometheus", ready, detail }
}

async fn deployer_part(client: &Client) -> Part {
    let name = "deployer";
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), owner::NAMESPACE);
    let secrets = Api::<Secret>::namespaced(client.clone(), owner::NAMESPACE);
    let (account, secret) = tokio::join!(accounts.get_opt(owner::SERVICE_ACCOUNT), secrets.get_opt(owner::PULL_SECRET));
    let mut missing = Vec::new();
    if !matches!(account, Ok(Some(_))) {
        missing.push(format!("ServiceAccount {}", owner::SERVICE_ACCOUNT));
    }
    if !matches!(secret, Ok(Some(_))) {
        missing.push(format!("Secret {}", owner::PULL_SECRET));
    }
    if missing.is_empty() {
        let detail = format!(
            "ServiceAccount {}/{}, pull secret {}",
            owner::NAMESPACE,
            owner::SERVICE_ACCOUNT,
            owner::PULL_SECRET
        );
        return Part { name, ready: true, detail };
    }
    Part { name, ready: false, detail: format!("lacks {} in namespace {}", missing.join(" and "), owner::NAMESPACE) }
}

/// Nothing here needs one, so a cluster without is whole all the same.
async fn storage_part(client: &Client) -> Part {
    let name = "StorageClass";
    let classes = Api::<StorageClass>::all(client.clone()).list(&ListParams::default()).await;
    let classes = classes.map(|list| list.items).unwrap_or_default();
    let is_default = |class: &&StorageClass| {
        class.annotations().get("storageclass.kubernetes.io/is-default-class").is_some_and(|value| value == "true")
    };
    let detail = match classes.iter().find(is_default) {
        Some(class) => format!("{} by {}", class.name_any(), class.provisioner),
        None => "no default: volume claims stay pending; nothing here makes any".to_owned(),
    };
    Part { name, ready: true, detail }
}
