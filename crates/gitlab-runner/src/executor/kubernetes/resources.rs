//! The objects that were created for a job, and their removal.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::api::{ApiError, Kind, retry};
use crate::executor::creations;

/// Time between SIGTERM and SIGKILL when a pod is deleted, in seconds. Its services have nothing to save.
const GRACE_PERIOD: u32 = 1;

/// Whether programs of the job may still run in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Containers {
    Running,
    /// All of them have ended. The API server removes such a pod at once, without waiting for the kubelet.
    Ended,
}

/// Maximum time to wait for the containers of a deleted pod.
pub(super) const REMOVAL_TIMEOUT: Duration = Duration::from_secs(15);

/// The objects of a job. When this is dropped, the remaining ones are removed in the background if a Tokio runtime is running; otherwise
/// [`sweep`](super::leftovers::sweep) removes them.
pub(super) struct JobObjects {
    client: Client,
    namespace: String,
    names: Mutex<Names>,
}

/// The names of all requested objects, whether or not their creation succeeded.
#[derive(Clone, Debug, Default)]
struct Names {
    pods: Vec<String>,
    secrets: Vec<String>,
}

impl JobObjects {
    pub(super) fn new(client: Client, namespace: String) -> Self {
        Self { client, namespace, names: Mutex::default() }
    }

    /// The pods of the job's namespace.
    pub(super) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(super) async fn create_pod(&self, pod: Pod) -> Result<(), ApiError> {
        let name = pod.metadata.name.clone().unwrap_or_default();
        self.note(|names| names.pods.push(name));
        create(self.pods(), pod).await
    }

    pub(super) async fn create_secret(&self, secret: Secret) -> Result<(), ApiError> {
        let name = secret.metadata.name.clone().unwrap_or_default();
        self.note(|names| names.secrets.push(name));
        create(Api::namespaced(self.client.clone(), &self.namespace), secret).await
    }

    /// Requests the deletion of all objects, without waiting for the end of the containers.
    pub(super) async fn delete(&self, containers: Containers) {
        let names = std::mem::take(&mut *self.names.lock().unwrap_or_else(PoisonError::into_inner));
        // If the caller stops waiting, the rest is deleted in the background as well.
        let deletion = tokio::spawn(delete(self.client.clone(), self.namespace.clone(), names, containers));
        let _ = deletion.await;
    }

    fn note(&self, what: impl FnOnce(&mut Names)) {
        what(&mut self.names.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for JobObjects {
    fn drop(&mut self) {
        let names = std::mem::take(self.names.get_mut().unwrap_or_else(PoisonError::into_inner));
        if names.pods.is_empty() && names.secrets.is_empty() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(delete(self.client.clone(), self.namespace.clone(), names, Containers::Running));
        }
    }
}

/// Creates an object. The creation continues if the caller stops waiting.
async fn create<K>(api: Api<K>, object: K) -> Result<(), ApiError>
where
    K: Resource<Scope = NamespaceResourceScope>
        + Clone
        + Serialize
        + DeserializeOwned
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    let creation = async move {
        let parameters = PostParams::default();
        match retry(|| api.create(&parameters, &object)).await {
            // The names are random, so an earlier attempt created the object, and its answer was lost.
            Err(error) if error.kind == Kind::Taken => Ok(()),
            created => created.map(drop),
        }
    };
    let created = creations::create(creation).await;
    created.map_err(|error| ApiError::without_answer(error.to_string(), false))?
}

async fn delete(client: Client, namespace: String, names: Names, containers: Containers) {
    creations::all_are_complete().await;
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
    let secrets = Api::<Secret>::namespaced(client, &namespace);
    let grace_period = match containers {
        Containers::Running => GRACE_PERIOD,
        Containers::Ended => 0,
    };
    let options = DeleteParams::background().grace_period(grace_period);
    // The removal of the pipeline deletes the remaining objects, and reports a failure.
    for name in &names.pods {
        let _ = retry(|| pods.delete(name, &options)).await;
    }
    for name in &names.secrets {
        let _ = retry(|| secrets.delete(name, &options)).await;
    }
}
