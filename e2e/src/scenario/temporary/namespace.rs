//! A temporary namespace. It has the owner ID of the process that created it, and the time of that process's last heartbeat. With them,
//! another process determines whether the namespace is left over: its process has ended, or, on another machine, has sent no heartbeat for
//! ten minutes.

use std::time::Duration;

use container_engine::labels::{OWNER, RENEWED, TEMPORARY};
use container_engine::ownership;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::checks::discovery::TEMPORARY_PREFIX;
use crate::environment::cluster::ApiError;
use crate::environment::cluster::apply::{ApplyError, create};

/// The value of the label [`TEMPORARY`].
const KIND: &str = "check";

/// Time between two heartbeats.
const HEARTBEAT_INTERVAL: Duration = Duration::from_mins(1);

/// Time after the last heartbeat after which the process of another machine or user has ended. The clocks of two machines differ by
/// much less.
const MAX_AGE: SignedDuration = SignedDuration::from_mins(10);

/// Maximum time until a namespace is gone. Pods have a grace period of 30 s, and a loaded node takes longer.
const TIMEOUT: Duration = Duration::from_mins(5);

const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// A namespace cannot be created, listed or removed.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The API server does not create it.
    #[error("cannot create the temporary namespace")]
    Create(#[from] ApplyError),
    /// The API server does not list or delete it.
    #[error("cannot {action}")]
    Api {
        action: String,
        /// The cause.
        #[source]
        source: ApiError,
    },
    /// Objects in it remain.
    #[error("namespace {name} still exists after {} s{reason}", TIMEOUT.as_secs())]
    Left { name: String, reason: String },
}

impl NamespaceError {
    fn api(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let action = action.into();
        move |source| Self::Api { action, source: source.into() }
    }
}

/// A namespace that this process has created. It gets heartbeats until this value is dropped.
pub struct TemporaryNamespace {
    client: Client,
    pub name: String,
    uid: String,
    _heartbeats: JoinSet<()>,
}

/// The result of [`sweep`].
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// The namespaces that were removed.
    pub removed: Vec<String>,
    /// The namespaces of processes that may still run.
    pub in_use: Vec<InUse>,
}

/// A namespace of a process that may still run.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct InUse {
    pub namespace: String,
    /// The owner ID: machine, process ID and a random number.
    pub owner: String,
    /// The time of the last heartbeat, RFC 3339.
    pub renewed: String,
}

/// A new name.
pub(super) fn name() -> String {
    format!("{TEMPORARY_PREFIX}{:06x}", fastrand::u32(..1 << 24))
}

impl TemporaryNamespace {
    /// Creates the namespace of the manifest `file`. It is identified from the moment it exists.
    pub(super) async fn create(
        client: &Client,
        file: &str,
        mut manifest: DynamicObject,
    ) -> Result<Self, NamespaceError> {
        manifest.labels_mut().insert(TEMPORARY.to_owned(), KIND.to_owned());
        let annotations = manifest.annotations_mut();
        annotations.insert(OWNER.to_owned(), ownership::owner_id());
        annotations.insert(RENEWED.to_owned(), Timestamp::now().to_string());
        let created = create(client, file, &manifest).await?;
        let (name, uid) = (created.name_any(), created.uid().unwrap_or_default());
        let mut heartbeats = JoinSet::new();
        heartbeats.spawn(send_heartbeats(client.clone(), name.clone(), uid.clone()));
        Ok(Self { client: client.clone(), name, uid, _heartbeats: heartbeats })
    }

    /// Deletes the namespace, and waits until it is gone with everything in it.
    ///
    /// # Errors
    /// The API server does not delete it, or something in it remains.
    pub async fn remove(self) -> Result<(), NamespaceError> {
        delete(&self.client, &self.name, Preconditions { uid: Some(self.uid.clone()), resource_version: None }).await?;
        wait_until_gone(&self.client, &self.name, &self.uid).await
    }
}

/// Stores heartbeats in the namespace, which show that this process runs.
async fn send_heartbeats(client: Client, name: String, uid: String) {
    let api = Api::<Namespace>::all(client);
    loop {
        // With the UID, the API server refuses to change another namespace of this name. After a failure, the next attempt follows.
        let patch = json!({"metadata": {"uid": uid, "annotations": {RENEWED: Timestamp::now().to_string()}}});
        let _ = api.patch_metadata(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
        sleep(HEARTBEAT_INTERVAL).await;
    }
}

/// Removes the temporary namespaces of processes that have ended, and waits until they are gone.
///
/// # Errors
/// The first error; the other namespaces are deleted. It is safe to call this again.
pub async fn sweep(client: &Client) -> Result<Swept, NamespaceError> {
    let api = Api::<Namespace>::all(client.clone());
    let selected = ListParams::default().labels(&format!("{TEMPORARY}={KIND}"));
    let found = api.list(&selected).await.map_err(NamespaceError::api("list the temporary namespaces"))?;
    let (mut swept, mut deleted, mut first_error) = (Swept::default(), Vec::new(), None);
    for namespace in found {
        let (name, uid) = (namespace.name_any(), namespace.uid().unwrap_or_default());
        let read = Preconditions { uid: Some(uid.clone()), resource_version: namespace.resource_version() };
        match state(&namespace, Timestamp::now(), ownership::owner_is_gone) {
            State::Foreign => {}
            State::InUse(in_use) => swept.in_use.push(in_use),
            State::Terminating => deleted.push((name, uid)),
            // With the version, a namespace that gets a heartbeat at this moment is not deleted.
            State::Left => match delete(client, &name, read).await {
                Ok(true) => deleted.push((name, uid)),
                Ok(false) => {}
                Err(error) => drop(first_error.get_or_insert(error)),
            },
        }
    }
    for (name, uid) in deleted {
        match wait_until_gone(client, &name, &uid).await {
            Ok(()) => swept.removed.push(name),
            Err(error) => drop(first_error.get_or_insert(error)),
        }
    }
    first_error.map_or(Ok(swept), Err)
}

/// The state of a namespace with the label.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Another program has set the label.
    Foreign,
    InUse(InUse),
    Terminating,
    /// Its owner has ended.
    Left,
}

fn state(namespace: &Namespace, now: Timestamp, owner_is_gone: impl Fn(&str) -> bool) -> State {
    let annotation = |name: &str| namespace.annotations().get(name);
    let (Some(owner), Some(renewed)) = (annotation(OWNER), annotation(RENEWED)) else { return State::Foreign };
    let Ok(last) = renewed.parse::<Timestamp>() else { return State::Foreign };
    if !namespace.name_any().starts_with(TEMPORARY_PREFIX) {
        return State::Foreign;
    }
    if namespace.metadata.deletion_timestamp.is_some() {
        return State::Terminating;
    }
    if owner_is_gone(owner) || now.duration_since(last) > MAX_AGE {
        return State::Left;
    }
    State::InUse(InUse { namespace: namespace.name_any(), owner: owner.clone(), renewed: renewed.clone() })
}

/// Asks for the deletion of the namespace that was read. Returns `false` if the API server refuses: it got a
/// heartbeat meanwhile, terminates already, or is gone.
async fn delete(client: &Client, name: &str, read: Preconditions) -> Result<bool, NamespaceError> {
    let api = Api::<Namespace>::all(client.clone());
    match api.delete(name, &DeleteParams::default().preconditions(read)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
        Err(error) => Err(NamespaceError::api(format!("delete namespace {name}"))(error)),
    }
}

/// Waits until a namespace is gone.
async fn wait_until_gone(client: &Client, name: &str, uid: &str) -> Result<(), NamespaceError> {
    let api = Api::<Namespace>::all(client.clone());
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let read = api.get_opt(name).await;
        let last = match read {
            Ok(None) => return Ok(()),
            Ok(Some(namespace)) if namespace.uid().as_deref() != Some(uid) => return Ok(()),
            // The connection may be interrupted for a moment.
            Err(error) if Instant::now() > deadline => {
                return Err(NamespaceError::api(format!("read namespace {name}"))(error));
            }
            Err(_) => None,
            Ok(Some(namespace)) => Some(namespace),
        };
        if Instant::now() > deadline {
            return Err(NamespaceError::Left {
                name: name.to_owned(),
                reason: last.as_ref().map(remaining).unwrap_or_default(),
            });
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// The reason why a namespace still exists, as the API server reports it.
fn remaining(namespace: &Namespace) -> String {
    let conditions = namespace.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let true_ones = conditions.filter(|condition| condition.status == "True");
    let messages = true_ones.filter_map(|condition| condition.message.as_deref());
    std::iter::once("").chain(messages).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-01-31T12:00:00Z";

    fn namespace(name: &str, annotations: &Value) -> Namespace {
        serde_json::from_value(json!({"metadata": {"name": name, "annotations": annotations}})).unwrap()
    }

    #[rstest]
    #[case::a_new_heartbeat("2026-01-31T11:59:30Z", false, false)]
    #[case::almost_expired("2026-01-31T11:50:00Z", false, false)]
    #[case::expired("2026-01-31T11:49:59Z", false, true)]
    #[case::its_process_has_ended("2026-01-31T11:59:30Z", true, true)]
    #[case::the_clock_of_its_machine_is_ahead("2026-01-31T12:01:00Z", false, false)]
    fn a_namespace_is_left_if_its_process_has_ended_or_was_silent(
        #[case] renewed: &str,
        #[case] is_gone: bool,
        #[case] is_left: bool,
    ) {
        let found = namespace("e2e-check-1", &json!({OWNER: "laptop.7.0a", RENEWED: renewed}));
        let in_use = InUse { namespace: "e2e-check-1".into(), owner: "laptop.7.0a".into(), renewed: renewed.into() };
        let expected = if is_left { State::Left } else { State::InUse(in_use) };
        assert_eq!(state(&found, NOW.parse().unwrap(), |_| is_gone), expected);
    }

    #[rstest]
    #[case::another_name("production", json!({OWNER: "a", RENEWED: NOW}))]
    #[case::no_owner("e2e-check-1", json!({RENEWED: NOW}))]
    #[case::no_time("e2e-check-1", json!({OWNER: "a"}))]
    #[case::not_a_time("e2e-check-1", json!({OWNER: "a", RENEWED: "yesterday"}))]
    fn a_namespace_of_others_is_never_removed(#[case] name: &str, #[case] annotations: Value) {
        assert_eq!(state(&namespace(name, &annotations), NOW.parse().unwrap(), |_| true), State::Foreign);
    }

    #[test]
    fn what_remains_is_named() {
        let condition = |status: &str, message: &str| json!({"type": "x", "status": status, "message": message});
        let conditions = json!([condition("False", "all deleted"), condition("True", "pods has 1 resource instances")]);
        let found = serde_json::from_value(json!({"status": {"conditions": conditions}})).unwrap();
        assert_eq!(remaining(&found), "; pods has 1 resource instances");
    }

    #[test]
    fn names_are_dns_labels_and_differ() {
        let (one, other) = (name(), name());
        assert!(gitlab_runner::executor::kubernetes::is_subdomain(&one), "{one}");
        assert_ne!(one, other);
    }
}
