//! The environment under test: one environment of the service in a cluster, and access to the systems around it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, join3};
use http::Request;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::ListParams;
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::failure::expected;
use super::need::Need;
use super::registry_api::RegistryApi;
use crate::environment::cluster::explain;
use crate::environment::cluster::ready::watched;
use crate::record::Failure;
use container_engine::error_chain::error_chain;

/// The label of pods that a check has created, with the check's name.
pub(super) const CHECK_LABEL: &str = "io.gitlab-ci-k8s-demo.check";

/// The port at which the service's pods listen.
pub(super) const POD_PORT: u16 = 8000;

/// The path at which the API server forwards a request to a pod or Service: `pods/NAME:PORT`.
pub(super) fn proxied(namespace: &str, object: &str, path: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/{object}/proxy{path}")
}

/// The environment under test.
#[derive(Clone)]
pub struct Environment {
    /// A client with the cluster owner's account.
    pub client: Client,
    /// A client with the pipeline's account, if it is given.
    pub deployer: Option<Client>,
    pub namespace: String,
    /// The value of the label `ref`: the environment's slug.
    pub reference: String,
    /// The environment's host name.
    pub host: String,
    /// The address of the Ingress controller.
    pub ingress: Option<SocketAddr>,
    /// The registry, if its credentials are given.
    pub registry: Option<RegistryApi>,
    /// Prometheus, if there is one.
    pub prometheus: Option<Prometheus>,
    /// The pushed commit, if it is known.
    pub commit: Option<String>,
    /// The hosts of other environments of the service, by their `ref`.
    pub others: BTreeMap<String, String>,
    /// Why an input was not found, and what to do.
    pub missing: BTreeMap<Need, String>,
    /// Whether no check may change anything in the cluster.
    pub is_read_only: bool,
    /// Time limit for each expected change.
    pub timeout: Duration,
}

/// The Service of Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prometheus {
    pub namespace: String,
    /// The Service's name.
    pub service: String,
    /// The name or number of its port.
    pub port: String,
}

impl Prometheus {
    /// The path at which the API server forwards a request to it.
    pub(super) fn proxied(&self, path: &str) -> String {
        let Self { namespace, service, port } = self;
        proxied(namespace, &format!("services/{service}:{port}"), path)
    }
}

impl fmt::Display for Prometheus {
    /// As `--prometheus` takes it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}:{}", self.namespace, self.service, self.port)
    }
}

/// A kind of objects in namespaces.
pub trait Namespaced:
    Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned
{
}

impl<K> Namespaced for K where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
{
}

impl Environment {
    /// The objects of a kind that have the environment's label.
    pub async fn list<K: Namespaced>(&self) -> Result<Vec<K>, Failure> {
        Ok(self.labeled().await?)
    }

    /// Like [`Self::list`]. A cluster that does not have the kind has no objects of it.
    pub(super) async fn list_if_known<K: Namespaced>(&self) -> Result<Vec<K>, Failure> {
        match self.labeled().await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
            listed => Ok(listed?),
        }
    }

    async fn labeled<K: Namespaced>(&self) -> kube::Result<Vec<K>> {
        let parameters = ListParams::default().labels(&format!("ref={}", self.reference));
        Ok(self.api::<K>().list(&parameters).await?.items)
    }

    /// The only object of a kind in the environment.
    async fn only<K: Namespaced>(&self) -> Result<K, Failure> {
        self.single(self.list().await?).map_err(|failure| *failure)
    }

    /// The only one of the environment's objects of a kind.
    pub(super) fn single<K: Namespaced>(&self, mut found: Vec<K>) -> Result<K, Box<Failure>> {
        let kind = K::kind(&());
        let label = format!("ref={} in namespace {}", self.reference, self.namespace);
        let failure = match (found.pop(), found.len()) {
            (Some(one), 0) => return Ok(one),
            (Some(one), more) => {
                expected(format!("one {kind} with label {label}")).actual(more + 1).at(object_ref(&one)).hint(
                    "two environments share the label, so their pods cannot be distinguished",
                    "give each environment its own value of `ref`",
                )
            }
            (None, _) => expected(format!("a {kind} with label {label}"))
                .actual("none")
                .at(format!("{kind} {}/?", self.namespace))
                .hint(
                    "the environment is not deployed, or has other labels",
                    "run the pipeline's deploy job, or select the environment with `--ref` and `--namespace`",
                ),
        };
        Err(Box::new(failure))
    }

    /// The API for objects of a kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        self.api_in(&self.namespace)
    }

    /// The API for objects of a kind in another namespace.
    pub fn api_in<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The environment's Deployment.
    ///
    /// # Errors
    /// If the environment does not have exactly one.
    pub async fn deployment(&self) -> Result<Deployment, Failure> {
        self.only().await
    }

    /// The environment's Service.
    ///
    /// # Errors
    /// If the environment does not have exactly one.
    pub async fn service(&self) -> Result<Service, Failure> {
        self.only().await
    }

    /// The pods of the environment's Deployment that are not terminating.
    pub async fn pods(&self) -> Result<Vec<Pod>, Failure> {
        let mut pods = self.list::<Pod>().await?;
        // Pods of concurrent checks belong to no ReplicaSet.
        pods.retain(|pod| {
            !pod.owner_references().is_empty() && pod.metadata.deletion_timestamp.is_none() && !is_replaced(pod)
        });
        Ok(pods)
    }

    /// Like [`Self::pods`], but an empty list is a failure: a check without pods would verify nothing.
    ///
    /// # Errors
    /// If there are no pods, or the API server cannot list them.
    pub async fn some_pods(&self) -> Result<Vec<Pod>, Failure> {
        let pods = self.pods().await?;
        if !pods.is_empty() {
            return Ok(pods);
        }
        let deployment = self.deployment().await?;
        Err(expected(format!("pods with label ref={} in namespace {}", self.reference, self.namespace))
            .actual("none")
            .at(object_ref(&deployment))
            .with(&self.diagnostics(&deployment).await)
            .hint(
                "the Deployment is scaled to 0, or the cluster rejects its pods because of a quota or an admission webhook",
                format!("run `{}`; the events of the ReplicaSet show why its pods are rejected", scale(&deployment)),
            ))
    }

    /// Diagnostics for a failure of an object: its events, the events of the environment's `ReplicaSet`s, and the state, events and last
    /// log lines of each pod of the environment.
    pub async fn diagnostics<K: Resource<DynamicType = ()>>(&self, object: &K) -> String {
        let (client, namespace) = (&self.client, &*self.namespace);
        let own = async { explain::explain_events(client, namespace, &K::kind(&()), &object.name_any()).await };
        let replica_sets = async {
            // Leave out objects that cannot be listed: this only explains a failure that has already happened.
            let all = self.list::<ReplicaSet>().await.unwrap_or_default();
            let names: Vec<String> = all.iter().map(ResourceExt::name_any).collect();
            let events = names.iter().map(|name| explain::explain_events(client, namespace, "ReplicaSet", name));
            join_all(events).await
        };
        let selector = format!("ref={}", self.reference);
        let pods = explain::explain_all(client, namespace, &selector);
        let (own, replica_sets, pods) = join3(own, replica_sets, pods).await;
        let parts = std::iter::once(own).chain(replica_sets).chain([pods]);
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// The state, events and last log lines of a pod.
    pub async fn explain_pod(&self, pod: &Pod) -> String {
        explain::explain_pod(&self.client, pod).await
    }

    /// Watches objects of a kind until `pick` returns a value.
    ///
    /// # Errors
    /// A text with the reason, if that does not happen in time.
    pub async fn watch<K, T>(&self, config: watcher::Config, pick: impl Fn(&[Arc<K>]) -> Option<T>) -> Result<T, String>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        match timeout(self.timeout, watched(self.api::<K>(), config, pick)).await {
            Ok(Ok(seen)) => Ok(seen),
            Ok(Err(error)) => Err(error_chain(&error)),
            Err(_) => Err(format!("not within {} s", self.timeout.as_secs())),
        }
    }

    /// Watches a pod until `pick` returns a value.
    ///
    /// # Errors
    /// A text with the reason, if that does not happen in time.
    pub async fn watch_pod<T>(&self, name: &str, pick: impl Fn(&Pod) -> Option<T>) -> Result<T, String> {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        self.watch(config, |pods: &[Arc<Pod>]| pods.iter().find_map(|pod| pick(pod))).await
    }

    /// Sends a request to a pod through the API server, and returns the status and the body.
    pub async fn ask_pod(&self, pod: &str, method: &str, path: &str) -> Result<(u16, String), Failure> {
        let path = proxied(&self.namespace, &format!("pods/{pod}:{POD_PORT}"), path);
        ask(&self.client, method, &path).await
    }

    /// Queries Prometheus, and returns the `data` of its response.
    pub async fn ask_prometheus(&self, prometheus: &Prometheus, path: &str) -> Result<serde_json::Value, Failure> {
        let Prometheus { namespace, service, .. } = prometheus;
        let (status, body) = ask(&self.client, "GET", &prometheus.proxied(path)).await?;
        let answer = serde_json::from_str::<serde_json::Value>(&body).unwrap_or_default();
        if status == 200 && answer["status"] == "success" {
            return Ok(answer["data"].clone());
        }
        Err(expected("a response from Prometheus")
            .actual(format!("{status}: {}", body.trim()))
            .at(format!("Service {namespace}/{service}"))
            .hint(
                "this Service is not Prometheus, or its pod is not ready",
                "pass the Service with `--prometheus NAMESPACE/SERVICE:PORT`",
            ))
    }
}

/// Sends a request to the API server, which may forward it, and returns the status and the body.
pub(super) async fn ask(client: &Client, method: &str, path: &str) -> Result<(u16, String), Failure> {
    let request = Request::builder().method(method).uri(path).body(Vec::new());
    let request = request.map_err(|error| expected("a valid request path").actual(error))?;
    match client.request_text(request).await {
        Ok(body) => Ok((200, body)),
        Err(kube::Error::Api(status)) => Ok((status.code, status.message.clone())),
        Err(error) => Err(error.into()),
    }
}

/// The texts in the API server's own responses to requests for a pod or Service that it cannot forward.
const PROXY_ERRORS: [&str; 5] = [
    "error trying to reach service",
    "no endpoints available for service",
    "does not have a host assigned",
    // A pod that has no address yet.
    "address not allowed",
    "pods \"",
];

/// Whether the API server itself has responded, because it cannot reach the pod.
pub(super) fn is_of_proxy(status: u16, body: &str) -> bool {
    status >= 400 && PROXY_ERRORS.iter().any(|text| body.contains(text))
}

/// Whether a controller has replaced the pod, because it has ended for good: it was evicted, or its node was shut down.
pub(super) fn is_replaced(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !pod.owner_references().is_empty() && matches!(phase, Some("Failed" | "Succeeded"))
}

/// The command that scales a Deployment to the two replicas of the manifest.
pub(super) fn scale(deployment: &Deployment) -> String {
    let namespace = deployment.namespace().unwrap_or_default();
    format!("kubectl --namespace {namespace} scale deployment/{} --replicas=2", deployment.name_any())
}

/// The name of an object in messages.
pub(super) fn object_ref<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{} {}/{}", K::kind(&()), object.namespace().unwrap_or_default(), object.name_any())
}
