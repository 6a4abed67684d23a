//! Removes the objects of pipelines from a cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, ResourceExt};
use tokio::time::{Instant, sleep};

use super::api::{ApiError, retry};
use super::names::{OWNER, anchor, pipeline_label};
use container_engine::labels::PIPELINE;
use container_engine::ownership;

/// Maximum time until the pods of a pipeline are deleted. The kubelet ends their containers first, which takes long on a loaded node.
const TIMEOUT: Duration = Duration::from_mins(2);

/// The pause between two looks at the pods that are being deleted.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Objects of a pipeline could not be removed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot remove the pipeline's objects in namespace {namespace}: {reason}")]
pub struct SweepError {
    /// The namespace.
    pub namespace: String,
    /// The message of the API server, or the names of the remaining objects.
    pub reason: String,
}

/// Removes the pods, Secrets and `ConfigMap`s of the pipeline with the owner ID `owner` from a namespace, and returns how many there were.
///
/// # Errors
/// The API server does not answer, or an object is still there. It is safe to call this again.
pub async fn sweep(client: &Client, namespace: &str, owner: &str) -> Result<usize, SweepError> {
    let failed = |reason: String| SweepError { namespace: namespace.to_owned(), reason };
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let maps = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let selected = ListParams::default().labels(&format!("{PIPELINE}={}", pipeline_label(owner)));
    let deletion = DeleteParams::background().grace_period(1);
    let mut all = BTreeSet::new();
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let found = retry(|| pods.list(&selected)).await.map_err(|error| failed(error.message))?;
        if found.items.is_empty() {
            break;
        }
        for pod in &found.items {
            let name = pod.name_any();
            if all.insert(name.clone()) || pod.metadata.deletion_timestamp.is_none() {
                gone(retry(|| pods.delete(&name, &deletion)).await).map_err(&failed)?;
            }
        }
        if Instant::now() > deadline {
            let names: Vec<String> = found.items.iter().map(ResourceExt::name_any).collect();
            return Err(failed(format!("after {} s there still are the pods {}", TIMEOUT.as_secs(), names.join(", "))));
        }
        sleep(POLL_INTERVAL).await;
    }
    let anchor = anchor(owner);
    // Secrets have an owner, so the cluster deletes them with it; an account that may not list them needs nothing more.
    if let Ok(found) = retry(|| secrets.list_metadata(&selected)).await {
        for secret in found.items {
            let name = secret.name_any();
            gone(retry(|| secrets.delete(&name, &deletion)).await).map_err(&failed)?;
        }
    }
    gone(retry(|| maps.delete(&anchor, &deletion)).await).map_err(&failed)?;
    Ok(all.len())
}

/// Removes the objects of pipelines of this user whose processes have ended: from all namespaces, or if the account may not list them, from
/// `namespace`. Returns how many pods there were.
///
/// # Errors
/// The first error: the API server does not answer, or an object is still there. What can be removed is removed. It is safe to call this
/// again.
pub async fn sweep_gone(client: &Client, namespace: &str) -> Result<usize, SweepError> {
    let labelled = ListParams::default().labels(PIPELINE);
    let everywhere = Api::<ConfigMap>::all(client.clone());
    let anchors = match retry(|| everywhere.list_metadata(&labelled)).await {
        Err(ApiError { code: Some(403), .. }) => {
            let here = Api::<ConfigMap>::namespaced(client.clone(), namespace);
            retry(|| here.list_metadata(&labelled)).await
        }
        anchors => anchors,
    };
    let anchors = anchors.map_err(|error| SweepError { namespace: namespace.to_owned(), reason: error.message })?;
    let (mut count, mut first_error) = (0, None);
    for found in anchors.items {
        let owner = found.annotations().get(OWNER).cloned().unwrap_or_default();
        // Everyone who can create objects in the namespace can write an annotation: name and label must agree with it.
        let is_anchor = found.name_any() == anchor(&owner)
            && found.labels().get(PIPELINE).is_some_and(|label| *label == pipeline_label(&owner));
        if is_anchor && ownership::owner_is_gone(&owner) {
            // One namespace must not keep the objects in others.
            match sweep(client, &found.namespace().unwrap_or_default(), &owner).await {
                Ok(removed) => count += removed,
                Err(error) => drop(first_error.get_or_insert(error)),
            }
        }
    }
    if let Some(error) = first_error {
        return Err(error);
    }
    // Only now: without their files, these owners would count as running.
    ownership::forget_gone_owners();
    Ok(count)
}

/// The result of a deletion: an object that no longer exists is deleted, too.
fn gone<T>(result: Result<T, ApiError>) -> Result<(), String> {
    match result {
        Err(error) if !error.is_missing() => Err(error.message),
        _ => Ok(()),
    }
}
