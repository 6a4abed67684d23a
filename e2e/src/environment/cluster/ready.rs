//! Waiting until what was started is ready, by watches.

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

/// Something that was not ready in time.
#[derive(Debug, thiserror::Error)]
pub enum ReadyError {
    /// The watch broke, and not by an interruption that goes by.
    #[error("{what} cannot be watched")]
    Watch {
        /// What was waited for.
        what: String,
        /// Why not.
        #[source]
        source: Box<watcher::Error>,
    },
    /// It took too long.
    #[error("{what} is not ready after {} s\n{explanation}", patience.as_secs())]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        patience: Duration,
        /// What there was to see then.
        explanation: String,
    },
}

/// Waits until every replica of a Deployment is of its latest template and available.
///
/// # Errors
/// When that is not so in time: with its pods, their events and last lines.
pub async fn deployment(client: &Client, namespace: &str, name: &str, patience: Duration) -> Result<(), ReadyError> {
    let what = format!("Deployment {namespace}/{name}");
    let api = Api::<Deployment>::namespaced(client.clone(), namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let is_ready = |deployments: &[Arc<Deployment>]| deployments.iter().any(|it| is_rolled_out(it));
    if let Ok(result) = tokio::time::timeout(patience, until(api.clone(), config, is_ready)).await {
        return result.map_err(|source| ReadyError::Watch { what, source: Box::new(source) });
    }
    let selector = api.get_opt(name).await.ok().flatten().and_then(|it| it.spec?.selector.match_labels);
    let explanation = explain_selected(client, namespace, selector).await;
    Err(ReadyError::TimedOut { what, patience, explanation })
}

/// Waits until every node is Ready.
///
/// # Errors
/// When that is not so in time.
pub async fn nodes(client: &Client, patience: Duration) -> Result<(), ReadyError> {
    let api = Api::<Node>::all(client.clone());
    let is_ready = |nodes: &[Arc<Node>]| !nodes.is_empty() && nodes.iter().all(|node| is_node_ready(node));
    let what = "every node".to_owned();
    if let Ok(result) = tokio::time::timeout(patience, until(api, watcher::Config::default(), is_ready)).await {
        return result.map_err(|source| ReadyError::Watch { what, source: Box::new(source) });
    }
    let nodes = super::nodes(client).await.unwrap_or_default();
    let conditions = |node: &Node| {
        let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let messages = conditions.filter(|it| it.type_ == "Ready").filter_map(|it| it.message.clone());
        format!("  {}: {}", node.name_any(), messages.collect::<Vec<_>>().join(", "))
    };
    let explanation = nodes.iter().map(conditions).collect::<Vec<_>>().join("\n");
    Err(ReadyError::TimedOut { what, patience, explanation })
}

/// Waits until every pod of a namespace is Ready, those of its Deployments and `DaemonSet`s among them.
///
/// # Errors
/// When that is not so in time: with the pods that are not, their events and last lines.
pub async fn namespace(client: &Client, namespace: &str, patience: Duration) -> Result<(), ReadyError> {
    let deployments = Api::<Deployment>::namespaced(client.clone(), namespace);
    let daemon_sets = Api::<DaemonSet>::namespaced(client.clone(), namespace);
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let all = watcher::Config::default;
    let work = async {
        // First what makes pods: else the pods that are ready might be the first half of them.
        until(deployments, all(), |it: &[Arc<Deployment>]| it.iter().all(|it| is_rolled_out(it))).await?;
        until(daemon_sets, all(), |it: &[Arc<DaemonSet>]| it.iter().all(|it| is_everywhere(it))).await?;
        until(pods, all(), |it: &[Arc<Pod>]| !it.is_empty() && it.iter().all(|it| is_pod_ready(it))).await
    };
    let what = format!("namespace {namespace}");
    match tokio::time::timeout(patience, work).await {
        Ok(result) => result.map_err(|source| ReadyError::Watch { what, source: Box::new(source) }),
        Err(_) => Err(ReadyError::TimedOut { what, patience, explanation: explain_pods(client, namespace).await }),
    }
}

/// Watches until the objects are as `is_ready` wants them. Interruptions are waited out.
///
/// # Errors
/// When the API server refuses the watch.
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

/// The same, and returns what was seen: whoever asks again afterwards may be told something else.
///
/// # Errors
/// When the API server refuses the watch.
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
            // An answer that is a refusal stays one; a connection that breaks comes back, and a server that is busy is so for
            // a while.
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
