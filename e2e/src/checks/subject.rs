//! What is checked: one environment of the service in one cluster, and how everything around it is reached.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, join3};
use http::Request;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::ListParams;
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::failure::expected;
use super::registry_api::RegistryApi;
use crate::environment::cluster::explain;
use crate::environment::cluster::ready::watched;
use crate::record::Failure;
use container_engine::error_chain::error_chain;

/// One environment.
#[derive(Clone)]
pub struct Subject {
    /// The cluster, as its owner.
    pub client: Client,
    /// The same as the pipeline's account, where that is known.
    pub deployer: Option<Client>,
    /// The namespace.
    pub namespace: String,
    /// The value of the label `ref`: the environment's slug.
    pub reference: String,
    /// The environment's host.
    pub host: String,
    /// Where the Ingress controller answers.
    pub ingress: Option<SocketAddr>,
    /// The registry, where its login is known.
    pub registry: Option<RegistryApi>,
    /// Prometheus, where there is one.
    pub prometheus: Option<Prometheus>,
    /// The commit that was pushed, where that is known.
    pub commit: Option<String>,
    /// The hosts of other environments of the service, by their `ref`.
    pub others: BTreeMap<String, String>,
    /// How long anything may take to come about.
    pub patience: Duration,
}

/// The Service of Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prometheus {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub service: String,
    /// Its port, by name or number.
    pub port: String,
}

impl Subject {
    /// The objects of a kind that carry the environment's label.
    ///
    /// # Errors
    /// When the API server does not list them.
    pub async fn list<K>(&self) -> Result<Vec<K>, Failure>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let parameters = ListParams::default().labels(&format!("ref={}", self.reference));
        Ok(self.api::<K>().list(&parameters).await?.items)
    }

    /// The one object of a kind.
    async fn only<K>(&self) -> Result<K, Failure>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let kind = K::kind(&());
        let label = format!("ref={} in namespace {}", self.reference, self.namespace);
        let mut found = self.list::<K>().await?;
        match (found.pop(), found.len()) {
            (Some(one), 0) => Ok(one),
            (Some(one), more) => {
                Err(expected(format!("one {kind} with label {label}")).saw(more + 1).at(called(&one)).because(
                    "two deployments share the label, so that nobody can tell whose pods answer",
                    "give each environment a `ref` of its own",
                ))
            }
            (None, _) => Err(expected(format!("a {kind} with label {label}"))
                .saw("none")
                .at(format!("{kind} {}/?", self.namespace))
                .because(
                    "nothing is deployed there, or under other labels",
                    "run the pipeline's deploy job; `--ref` and `--namespace` say where to look",
                )),
        }
    }

    /// Objects of a kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The environment's Deployment.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub async fn deployment(&self) -> Result<Deployment, Failure> {
        self.only().await
    }

    /// The environment's Service.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub async fn service(&self) -> Result<Service, Failure> {
        self.only().await
    }

    /// The environment's Ingress.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub async fn only_ingress(&self) -> Result<Ingress, Failure> {
        self.only().await
    }

    /// The pods of its Deployment that are not on their way out.
    ///
    /// # Errors
    /// When the API server does not list them.
    pub async fn pods(&self) -> Result<Vec<Pod>, Failure> {
        let mut pods = self.list::<Pod>().await?;
        // Those of checks that run at the same time belong to no ReplicaSet.
        pods.retain(|pod| !pod.owner_references().is_empty() && pod.metadata.deletion_timestamp.is_none());
        Ok(pods)
    }

    /// The same, where it is nothing that there is none: whoever looks at each of no pods has seen nothing.
    ///
    /// # Errors
    /// When there is none, or the API server does not list them.
    pub async fn some_pods(&self) -> Result<Vec<Pod>, Failure> {
        let pods = self.pods().await?;
        if !pods.is_empty() {
            return Ok(pods);
        }
        let deployment = self.deployment().await?;
        Err(expected(format!("pods with label ref={} in namespace {}", self.reference, self.namespace))
            .saw("none")
            .at(called(&deployment))
            .with(&self.around(&deployment).await)
            .because(
                "it is scaled down to nothing, or the cluster lets no pod of it be made: a quota, an admission webhook",
                "kubectl scale --replicas=2; the events of its ReplicaSet say what refuses its pods",
            ))
    }

    /// What there is to see around an object when something is wrong with it: its events, those of the environment's
    /// `ReplicaSet`s, and of each pod of the environment the state, the events and the last lines.
    pub async fn around<K: Resource<DynamicType = ()>>(&self, object: &K) -> String {
        let (client, namespace) = (&self.client, &*self.namespace);
        let own = async { explain::explain_events(client, namespace, &K::kind(&()), &object.name_any()).await };
        let replica_sets = async {
            // What cannot be listed is left out: something is wrong already.
            let all = self.list::<ReplicaSet>().await.unwrap_or_default();
            let names: Vec<String> = all.iter().map(ResourceExt::name_any).collect();
            let told = names.iter().map(|name| explain::explain_events(client, namespace, "ReplicaSet", name));
            join_all(told).await
        };
        let selector = format!("ref={}", self.reference);
        let pods = explain::explain_all(client, namespace, &selector);
        let (own, replica_sets, pods) = join3(own, replica_sets, pods).await;
        let parts = std::iter::once(own).chain(replica_sets).chain([pods]);
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// The state of a pod, its events and its last lines.
    pub async fn explain_pod(&self, pod: &Pod) -> String {
        explain::explain_pod(&self.client, pod).await
    }

    /// Watches objects of a kind until `pick` finds what it looks for.
    ///
    /// # Errors
    /// In words, when that is not so in time.
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
        match timeout(self.patience, watched(self.api::<K>(), config, pick)).await {
            Ok(Ok(seen)) => Ok(seen),
            Ok(Err(error)) => Err(error_chain(&error)),
            Err(_) => Err(format!("not within {} s", self.patience.as_secs())),
        }
    }

    /// What a pod answers to a request, by way of the API server: its status, and its body.
    ///
    /// # Errors
    /// When the API server does not pass it on.
    pub async fn ask_pod(&self, pod: &str, method: &str, path: &str) -> Result<(u16, String), Failure> {
        let path = format!("/api/v1/namespaces/{}/pods/{pod}:8000/proxy{path}", self.namespace);
        ask(&self.client, method, &path).await
    }

    /// What Prometheus answers to a query: its result.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ask_prometheus(&self, prometheus: &Prometheus, path: &str) -> Result<serde_json::Value, Failure> {
        let Prometheus { namespace, service, port } = prometheus;
        let path = format!("/api/v1/namespaces/{namespace}/services/{service}:{port}/proxy{path}");
        let (status, body) = ask(&self.client, "GET", &path).await?;
        let answer = serde_json::from_str::<serde_json::Value>(&body).unwrap_or_default();
        if status == 200 && answer["status"] == "success" {
            return Ok(answer["data"].clone());
        }
        Err(expected("an answer of Prometheus")
            .saw(format!("{status}: {}", body.trim()))
            .at(format!("Service {namespace}/{service}"))
            .because(
                "there is no Prometheus at this Service, or its pod is not ready",
                "`--prometheus NAMESPACE/SERVICE:PORT` says where it is",
            ))
    }
}

/// What the API server, or what it passes a request on to, answers.
pub(super) async fn ask(client: &Client, method: &str, path: &str) -> Result<(u16, String), Failure> {
    let request = Request::builder().method(method).uri(path).body(Vec::new());
    let request = request.map_err(|error| expected("a path").saw(error))?;
    match client.request_text(request).await {
        Ok(body) => Ok((200, body)),
        Err(kube::Error::Api(status)) => Ok((status.code, status.message.clone())),
        Err(error) => Err(error.into()),
    }
}

/// What an object is called in messages.
pub(super) fn called<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{} {}/{}", K::kind(&()), object.namespace().unwrap_or_default(), object.name_any())
}
