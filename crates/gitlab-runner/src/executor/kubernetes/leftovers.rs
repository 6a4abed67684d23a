//! Removes the objects of pipelines from a cluster. Only the object that was read is deleted: if another one has its name meanwhile, its
//! UID differs, and the API server refuses the deletion.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::api::{ApiError, Kind, retry, retry_until};
use super::names::{anchor, pipeline_label};
use container_engine::labels::{OWNER, PIPELINE, RENEWED};
use container_engine::ownership;

/// Maximum time until the objects of a pipeline are deleted. The kubelet ends the containers of pods first, which takes long on a loaded
/// node, and the API server may be restarted meanwhile.
const TIMEOUT: Duration = Duration::from_mins(2);

/// The interval at which the pods that are being deleted are listed.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Time after the last heartbeat in its [anchor](super::anchor) after which a pipeline of another machine or user has ended. Its pods have
/// ended ten minutes after it. The clocks of two machines differ by much less.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(24);

/// Objects of a pipeline could not be removed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot remove the pipeline's objects in namespace {namespace}: {reason}")]
pub struct SweepError {
    /// The namespace.
    pub namespace: String,
    /// The message of the API server, or the names of the remaining objects.
    pub reason: String,
}

/// Removes the pods, Secrets and `ConfigMap`s of the pipeline with the owner ID `owner` from a namespace, and returns how many pods there
/// were.
///
/// # Errors
/// The API server does not answer, or an object still exists. It is safe to call this again.
pub async fn sweep(client: &Client, namespace: &str, owner: &str) -> Result<usize, SweepError> {
    let failed = |reason: String| SweepError { namespace: namespace.to_owned(), reason };
    let refused = |error: ApiError| failed(error.message);
    let deadline = Instant::now() + TIMEOUT;
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let maps = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let selected = ListParams::default().labels(&format!("{PIPELINE}={}", pipeline_label(owner)));
    let mut all = BTreeSet::new();
    loop {
        let mut found = retry_until(deadline, || pods.list(&selected)).await.map_err(refused)?.items;
        found.retain(|pod| is_owned(&pod.metadata, owner));
        if found.is_empty() {
            break;
        }
        for pod in &found {
            if all.insert(pod.uid()) || pod.metadata.deletion_timestamp.is_none() {
                delete(&pods, &pod.metadata, None, deadline).await.map_err(refused)?;
            }
        }
        if Instant::now() > deadline {
            let names: Vec<String> = found.iter().map(ResourceExt::name_any).collect();
            return Err(failed(format!("the pods {} still exist after {} s", names.join(", "), TIMEOUT.as_secs())));
        }
        sleep(POLL_INTERVAL).await;
    }
    // The cluster deletes Secrets with their owner, too, so an account that may not list them leaves nothing behind.
    if let Ok(found) = retry_until(deadline, || secrets.list_metadata(&selected)).await {
        for secret in found.items.iter().filter(|secret| is_owned(&secret.metadata, owner)) {
            delete(&secrets, &secret.metadata, None, deadline).await.map_err(refused)?;
        }
    }
    let name = anchor(owner);
    match retry_until(deadline, || maps.get_metadata(&name)).await {
        Ok(found) if is_anchor(&found.metadata, owner) => {
            delete(&maps, &found.metadata, None, deadline).await.map_err(refused)?;
        }
        Err(error) if !error.is_missing() => return Err(refused(error)),
        _ => {}
    }
    Ok(all.len())
}

/// Removes the objects of pipelines that have ended: those of this user whose processes have ended, and those of others whose anchor got
/// no heartbeat for 24 hours. Removes them from all namespaces, or if the account may not list them, from `namespace`. Returns how many
/// pods there were.
///
/// # Errors
/// The first error: the API server does not answer, or an object still exists. The other objects are removed. It is safe to call this
/// again.
pub async fn sweep_gone(client: &Client, namespace: &str) -> Result<usize, SweepError> {
    let labeled = ListParams::default().labels(PIPELINE);
    let everywhere = Api::<ConfigMap>::all(client.clone());
    let anchors = match retry(|| everywhere.list_metadata(&labeled)).await {
        Err(ApiError { code: Some(403), .. }) => {
            let here = Api::<ConfigMap>::namespaced(client.clone(), namespace);
            retry(|| here.list_metadata(&labeled)).await
        }
        anchors => anchors,
    };
    let anchors = anchors.map_err(|error| SweepError { namespace: namespace.to_owned(), reason: error.message })?;
    let (mut count, mut first_error) = (0, None);
    for found in anchors.items {
        let owner = found.annotations().get(OWNER).cloned().unwrap_or_default();
        // Any user who can create objects in the namespace can write an annotation: name and label must agree with it.
        if !is_anchor(&found.metadata, &owner) {
            continue;
        }
        let namespace = found.namespace().unwrap_or_default();
        let removed = if ownership::owner_is_gone(&owner) {
            sweep(client, &namespace, &owner).await
        } else if is_expired(found.annotations().get(RENEWED).map(String::as_str), Timestamp::now()) {
            sweep_expired(client, &namespace, &found.metadata, &owner).await
        } else {
            continue;
        };
        // After a failure in one namespace, continue with the others.
        match removed {
            Ok(removed) => count += removed,
            Err(error) => drop(first_error.get_or_insert(error)),
        }
    }
    if let Some(error) = first_error {
        return Err(error);
    }
    // Only now: without their files, these owners would count as running.
    ownership::forget_gone_owners();
    Ok(count)
}

/// Removes the objects of a pipeline of another machine or user. Its anchor is first: if it gets a heartbeat at this moment, nothing is
/// deleted.
async fn sweep_expired(client: &Client, namespace: &str, found: &ObjectMeta, owner: &str) -> Result<usize, SweepError> {
    let maps = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    match delete(&maps, found, found.resource_version.clone(), Instant::now() + TIMEOUT).await {
        // If the anchor got a heartbeat, it is still there.
        Ok(()) => {
            let name = anchor(owner);
            match retry(|| maps.get_metadata(&name)).await {
                Err(error) if error.is_missing() => sweep(client, namespace, owner).await,
                _ => Ok(0),
            }
        }
        // The account may not delete objects in this namespace. The next pipeline of their user removes them.
        Err(ApiError { code: Some(403), .. }) => Ok(0),
        Err(error) => Err(SweepError { namespace: namespace.to_owned(), reason: error.message }),
    }
}

/// Whether the last heartbeat is too old. An anchor without one does not expire: its account may lack the permission to patch it.
fn is_expired(heartbeat: Option<&str>, now: Timestamp) -> bool {
    let heartbeat = heartbeat.and_then(|time| time.parse::<Timestamp>().ok());
    heartbeat.is_some_and(|heartbeat| now.duration_since(heartbeat) > MAX_AGE)
}

/// Whether this is the anchor of the pipeline.
fn is_anchor(found: &ObjectMeta, owner: &str) -> bool {
    let has = |map: &Option<std::collections::BTreeMap<String, String>>, key: &str, value: &str| {
        map.as_ref().and_then(|map| map.get(key)).is_some_and(|it| it == value)
    };
    found.name.as_deref() == Some(&anchor(owner))
        && has(&found.labels, PIPELINE, &pipeline_label(owner))
        && has(&found.annotations, OWNER, owner)
}

/// Whether the pipeline's anchor owns this object. Any user who can create objects in the namespace can copy a label.
fn is_owned(found: &ObjectMeta, owner: &str) -> bool {
    let name = anchor(owner);
    found.owner_references.iter().flatten().any(|it| it.kind == "ConfigMap" && it.name == name)
}

/// Deletes the object that was read, unless it no longer exists. With `version`, it must not have changed since.
async fn delete<K>(api: &Api<K>, found: &ObjectMeta, version: Option<String>, deadline: Instant) -> Result<(), ApiError>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let name = found.name.as_deref().unwrap_or_default();
    let read = Preconditions { uid: found.uid.clone(), resource_version: version };
    let deletion = DeleteParams::background().grace_period(1).preconditions(read);
    match retry_until(deadline, || api.delete(name, &deletion)).await {
        Err(error) if !error.is_missing() && error.kind != Kind::Replaced => Err(error),
        _ => Ok(()),
    }
}
