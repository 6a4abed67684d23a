//! Waits with watches until workloads and nodes are ready.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};

use super::conditions::{is_everywhere, is_node_ready, is_pod_ready, is_rolled_out};
use super::explain::{explain_pods, explain_selected};

/// An object did not become ready.
#[derive(Debug, thiserror::Error)]
pub enum ReadyError {
    /// The API server rejects the watch. Temporary interruptions are not errors.
    #[error("cannot watch {what}")]
    Watch {
        /// The object.
        what: String,
        /// The cause.
        #[source]
        source: Box<watcher::Error>,
    },
    /// The time limit was exceeded.
    #[error("{what} is not ready after {} s\n{explanation}", timeout.as_secs())]
    TimedOut {
        /// The object.
        what: String,
        /// The time limit.
        timeout: Duration,
        /// The state at the end.
        explanation: String,
    },
}

/// Waits until all replicas of a Deployment are updated and available.
///
/// # Errors
/// If the time limit is exceeded; the error describes its pods with their events and last log lines.
pub async fn deployment(client: &Client, namespace: &str, name: &str, timeout: Duration) -> Result<(), ReadyError> {
    let what = format!("Deployment {namespace}/{name}");
    let api = Api::<Deployment>::namespaced(client.clone(), namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let is_ready = |deployments: &[Arc<Deployment>]| deployments.iter().any(|it| is_rolled_out(it));
    if let Ok(result) = tokio::time::timeout(timeout, until(api.clone(), config, is_ready)).await {
        return result.map_err(|source| ReadyError::Watch { what, source: Box::new(source) });
    }
    let selector = api.get_opt(name).await.ok().flatten().and_then(|it| it.spec?.selector.match_labels);
    let explanation = explain_selected(client, namespace, selector).await;
    Err(ReadyError::TimedOut { what, timeout, explanation })
}

/// Waits until every node is Ready.
///
/// # Errors
/// If the time limit is exceeded.
pub async fn nodes(client: &Client, timeout: Duration) -> Result<(), ReadyError> {
    let api = Api::<Node>::all(client.clone());
    let is_ready = |nodes: &[Arc<Node>]| !nodes.is_empty() && nodes.iter().all(|node| is_node_ready(node));
    let what = "at least one node".to_owned();
    if let Ok(result) = tokio::time::timeout(timeout, until(api, watcher::Config::default(), is_ready)).await {
        return result.map_err(|source| ReadyError::Watch { what, source: Box::new(source) });
    }
    let nodes = super::nodes(client).await.unwrap_or_default();
    let conditions = |node: &Node| {
        let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let messages = conditions.filter(|it| it.type_ == "Ready").filter_map(|it| it.message.clone());
        format!("  {}: {}", node.name_any(), messages.collect::<Vec<_>>().join(", "))
    };
    let explanation = nodes.iter().map(conditions).collect::<Vec<_>>().join("\n");
    Err(ReadyError::TimedOut { what, timeout, explanation })
}

/// Waits until all Deployments, `DaemonSet`s and pods in a namespace are ready.
///
/// # Errors
/// If the time limit is exceeded; the error describes the pods that are not ready with their events and last log lines.
pub async fn namespace(client: &Client, namespace: &str, timeout: Duration) -> Result<(), ReadyError> {
    let deployments = Api::<Deployment>::namespaced(client.clone(), namespace);
    let daemon_sets = Api::<DaemonSet>::namespaced(client.clone(), namespace);
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let all = watcher::Config::default;
    let work = async {
        // Workloads first: otherwise pods that have not been created yet would be missed.
        until(deployments, all(), |it: &[Arc<Deployment>]| it.iter().all(|it| is_rolled_out(it))).await?;
        until(daemon_sets, all(), |it: &[Arc<DaemonSet>]| it.iter().all(|it| is_everywhere(it))).await?;
        until(pods, all(), |it: &[Arc<Pod>]| !it.is_empty() && it.iter().all(|it| is_pod_ready(it))).await
    };
    let what = format!("namespace {namespace}");
    match tokio::time::timeout(timeout, work).await {
        Ok(result) => result.map_err(|source| ReadyError::Watch { what, source: Box::new(source) }),
        Err(_) => Err(ReadyError::TimedOut { what, timeout, explanation: explain_pods(client, namespace).await }),
    }
}

/// Watches objects until `is_ready` returns true. Interruptions are retried.
pub async fn until<K>(
    api: Api<K>,
    config: watcher::Config,
    is_ready: impl Fn(&[Arc<K>]) -> bool,
) -> Result<(), watcher::Error>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + Sync + 'static,
{
    watched(api, config, |objects| is_ready(objects).then_some(())).await
}

/// Watches objects until `pick` returns a value, and returns it. A later request could return another state.
pub async fn watched<K, T>(
    api: Api<K>,
    config: watcher::Config,
    pick: impl Fn(&[Arc<K>]) -> Option<T>,
) -> Result<T, watcher::Error>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer): (Store<K>, _) = reflector::store();
    let events = watcher(api, config).default_backoff();
    let mut events = std::pin::pin!(reflector::reflector(writer, events));
    let mut is_complete = false;
    loop {
        match events.try_next().await {
            Ok(Some(event)) => is_complete |= matches!(event, watcher::Event::InitDone),
            // A rejected request stays rejected. Broken connections and busy servers recover.
            Err(error) if is_refusal(&error) => return Err(error),
            Ok(None) | Err(_) => continue,
        }
        if let Some(seen) = is_complete.then(|| pick(&store.state())).flatten() {
            return Ok(seen);
        }
    }
}

fn is_refusal(error: &watcher::Error) -> bool {
    let watcher::Error::InitialListFailed(kube::Error::Api(status)) = error else { return false };
    matches!(status.code, 400..=405)
}
