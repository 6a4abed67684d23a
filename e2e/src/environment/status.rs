//! Reports the state of a cluster and how to reach it. Changes nothing.

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

use crate::environment::cluster::kind::{ClusterState, KindError};
use crate::environment::cluster::{conditions, kind, owner};
use crate::environment::cluster_dir::ClusterDir;
use crate::environment::kind_config::PortMapping;
use crate::environment::registry::login;
use crate::environment::{cluster, kind_config, registry};
use container_engine::labels::RunId;

/// Time that the Ingress controller has to respond.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The virtual host of Prometheus.
const PROMETHEUS_HOST: &str = "prometheus.gitlab-k8s-demo.test";

/// The state of a cluster.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The name of the cluster and of its network.
    pub cluster: String,
    /// The ID of the run that created it.
    pub run: Option<String>,
    /// The parts of the cluster and of its registry.
    pub parts: Vec<Part>,
    /// How to reach it, if it exists.
    pub access: Option<Access>,
}

/// A part of the cluster, or its registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    pub name: &'static str,
    /// Whether the part is ready.
    pub ready: bool,
    /// Its state in words.
    pub detail: String,
}

/// How to reach a cluster.
#[derive(Clone, Debug, Serialize)]
pub struct Access {
    /// The cluster owner's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The deployer's kubeconfig.
    pub gitlab_kubeconfig: PathBuf,
    /// The deployer's kubeconfig for containers on the cluster's network.
    pub gitlab_internal_kubeconfig: PathBuf,
    /// The Ingress controller's HTTP address on this machine.
    pub ingress_http: Option<SocketAddr>,
    /// The Ingress controller's HTTPS address on this machine.
    pub ingress_https: Option<SocketAddr>,
    /// The virtual host under which the Ingress controller serves Prometheus.
    pub prometheus_host: &'static str,
    /// The registry's host name for nodes and for containers on the cluster's network.
    pub registry_host: &'static str,
    /// The registry's address on this machine.
    pub registry_address: Option<SocketAddr>,
    /// The registry's user.
    pub registry_user: &'static str,
    /// The file with the registry user's password.
    pub registry_password: PathBuf,
    /// The netrc file with the registry's credentials, for curl.
    pub registry_netrc: PathBuf,
    /// The certificate of the authority that signed the registry's certificate.
    pub registry_authority: PathBuf,
}

impl Status {
    /// Whether all parts are ready.
    pub fn is_complete(&self) -> bool {
        !self.parts.is_empty() && self.parts.iter().all(|part| part.ready)
    }
}

/// Inspects the cluster `name`.
///
/// # Errors
/// If the engine fails, or `e2e` did not create the cluster.
pub async fn status(docker: &Docker, name: &str, kind_config: &Path, state: &ClusterDir) -> Result<Status, KindError> {
    let cluster = name.to_owned();
    let (id, running) = match kind::state(docker, name).await? {
        ClusterState::Foreign => return Err(KindError::Foreign(cluster)),
        ClusterState::Nothing => return Ok(Status { cluster, run: None, parts: Vec::new(), access: None }),
        ClusterState::Ours { run, running } => (run, running),
    };
    let run = RunId { id, cluster: cluster.clone() };
    let mappings = kind_config::port_mappings(kind_config).unwrap_or_default();
    let registry = registry::run::running(docker, &run, state).await;
    let access = access(state, &mappings, registry.as_ref().map(|registry| registry.address));
    let mut parts = Vec::new();
    let unreachable = |detail: String| Part { name: "cluster", ready: false, detail };
    if !running {
        parts.push(unreachable("its nodes are not running".to_owned()));
    } else if let Ok(kubeconfig) = Kubeconfig::read_from(state.kubeconfig()) {
        match cluster::client(kubeconfig).await {
            Ok(client) => parts.extend(cluster_parts(&client, &run, access.ingress_http).await),
            Err(error) => parts.push(unreachable(error.to_string())),
        }
    } else {
        parts.push(unreachable(format!("cannot read {}", state.kubeconfig().display())));
    }
    let (ready, detail) = match &registry {
        None => (false, "not running".to_owned()),
        Some(registry) if registry::run::answers(registry).await => {
            (true, format!("{}, on this machine {}", registry::HOST, registry.address))
        }
        Some(registry) => (false, format!("no response at {}", registry.address)),
    };
    parts.push(Part { name: "registry", ready, detail });
    Ok(Status { cluster, run: Some(run.id), parts, access: Some(access) })
}

fn access(state: &ClusterDir, mappings: &[PortMapping], registry_address: Option<SocketAddr>) -> Access {
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
        return vec![Part { name: "cluster", ready: false, detail: "the API server does not respond".to_owned() }];
    };
    let versions =
        nodes.iter().filter_map(|node| Some(node.status.as_ref()?.node_info.as_ref()?.kubelet_version.as_str()));
    let version = versions.min().unwrap_or("(unknown version)");
    let ready = nodes.iter().filter(|node| conditions::is_node_ready(node)).count();
    let detail = if cluster::is_complete(&nodes, &run.id) {
        format!("Kubernetes {version}, {ready} of {} nodes Ready", nodes.len())
    } else {
        "incomplete".to_owned()
    };
    let is_ready = ready == nodes.len() && cluster::is_complete(&nodes, &run.id);
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

/// The first Deployment in a namespace that has an available pod.
async fn available(client: &Client, namespace: &str) -> Option<String> {
    let deployments =
        Api::<Deployment>::namespaced(client.clone(), namespace).list(&ListParams::default()).await.ok()?;
    let is_available = |it: &&Deployment| it.status.as_ref().and_then(|status| status.available_replicas) >= Some(1);
    deployments.items.iter().find(is_available).map(ResourceExt::name_any)
}

async fn ingress_part(client: &Client, address: Option<SocketAddr>) -> Part {
    let name = "Ingress controller";
    let Some(deployment) = available(client, "ingress").await else {
        return Part { name, ready: false, detail: "no available pod".to_owned() };
    };
    let Some(address) = address else {
        return Part { name, ready: true, detail: format!("{deployment}; no port of this machine is forwarded to it") };
    };
    let response = reqwest::Client::new().get(format!("http://{address}/")).timeout(TIMEOUT).send().await;
    match response {
        Ok(_) => Part { name, ready: true, detail: format!("{deployment}, http://{address}") },
        Err(error) => Part { name, ready: false, detail: format!("{deployment} does not respond: {error}") },
    }
}

async fn prometheus_part(client: &Client) -> Part {
    let detail = available(client, "monitoring").await;
    let ready = detail.is_some();
    let detail = if ready { format!("host {PROMETHEUS_HOST}") } else { "no available pod".to_owned() };
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
    Part { name, ready: false, detail: format!("{} missing in namespace {}", missing.join(" and "), owner::NAMESPACE) }
}

/// Nothing in this project needs a `StorageClass`, so this part is always ready.
async fn storage_part(client: &Client) -> Part {
    let name = "StorageClass";
    let classes = Api::<StorageClass>::all(client.clone()).list(&ListParams::default()).await;
    let classes = classes.map(|list| list.items).unwrap_or_default();
    let is_default = |class: &&StorageClass| {
        class.annotations().get("storageclass.kubernetes.io/is-default-class").is_some_and(|value| value == "true")
    };
    let detail = match classes.iter().find(is_default) {
        Some(class) => format!("{} by {}", class.name_any(), class.provisioner),
        None => "no default: volume claims stay Pending (this project creates none)".to_owned(),
    };
    Part { name, ready: true, detail }
}
