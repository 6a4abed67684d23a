//! The anchor: a `ConfigMap` that owns all other objects of a pipeline in a namespace. When a program deletes it, Kubernetes deletes the
//! others, even if the program does not know them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::{Mutex, OnceCell};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::api::{ApiError, Kind, retry};
use super::names::{anchor, pipeline_label};
use crate::config::CERTIFICATES;
use crate::executor::request::ExecutorError;
use container_engine::labels::{OWNER, PIPELINE, RENEWED};

/// Time between two heartbeats, which are stored in the anchor. An anchor without a heartbeat for 24 hours is
/// [removed](super::leftovers::sweep_gone) by other pipelines, which cannot see whether a process of another machine still runs.
const HEARTBEAT_INTERVAL: Duration = Duration::from_mins(10);

/// The anchors by namespace.
type AnchorMap = Mutex<HashMap<String, Arc<OnceCell<OwnerReference>>>>;

/// The owners of a pipeline's objects, one per namespace.
pub(super) struct Anchors {
    client: Client,
    /// The owner ID of the pipeline.
    owner: String,
    /// The certificates that the runner trusts, which are stored in the anchor.
    certificates: Option<Arc<str>>,
    known: Arc<AnchorMap>,
    /// Tasks that store heartbeats in the anchors. They are aborted with the pipeline.
    heartbeats: std::sync::Mutex<JoinSet<()>>,
}

impl Anchors {
    pub(super) fn new(client: Client, owner: String, certificates: Option<Arc<str>>) -> Self {
        Self { client, owner, certificates, known: Arc::default(), heartbeats: std::sync::Mutex::default() }
    }

    /// The owner ID of the pipeline.
    pub(super) fn owner_id(&self) -> &str {
        &self.owner
    }

    /// The name of the `ConfigMap` with the certificates, if there are any.
    pub(super) fn certificates(&self) -> Option<String> {
        self.certificates.is_some().then(|| anchor(&self.owner))
    }

    /// The namespaces in which the pipeline may have objects.
    pub(super) async fn namespaces(&self) -> Vec<String> {
        self.known.lock().await.keys().cloned().collect()
    }

    /// The labels of all objects of the pipeline.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        labels(&self.owner)
    }

    /// The owner of the objects in a namespace. It is created when it is first needed.
    pub(super) async fn in_namespace(&self, namespace: &str) -> Result<OwnerReference, ExecutorError> {
        let cell = Arc::clone(self.known.lock().await.entry(namespace.to_owned()).or_default());
        let created = cell.get_or_try_init(|| self.create(namespace)).await.cloned();
        if created.as_ref().is_err_and(|error| matches!(error.code, Some(401 | 403 | 404))) {
            // Nothing was created, and nothing can be removed.
            self.known.lock().await.remove(namespace);
        }
        created.map_err(|error| {
            let help = match error.code {
                Some(403) => "; the account needs permission to create, get, list and delete ConfigMaps there",
                Some(404) => "; create the namespace, or select another one with --namespace or `namespace` in [runners.kubernetes]",
                _ => "",
            };
            ExecutorError::system(format!("cannot create a ConfigMap in namespace {namespace}: {error}{help}"))
        })
    }

    async fn create(&self, namespace: &str) -> Result<OwnerReference, ApiError> {
        let api = Api::<ConfigMap>::namespaced(self.client.clone(), namespace);
        let name = anchor(&self.owner);
        let key = CERTIFICATES.rsplit('/').next().unwrap_or(CERTIFICATES);
        let object = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some(self.labels()),
                annotations: Some(BTreeMap::from([(OWNER.to_owned(), self.owner.clone())])),
                ..ObjectMeta::default()
            },
            data: self.certificates.as_ref().map(|text| BTreeMap::from([(key.to_owned(), text.to_string())])),
            ..ConfigMap::default()
        };
        let parameters = PostParams::default();
        let created = match retry(|| api.create(&parameters, &object)).await {
            // The answer to an earlier attempt was lost. No other program uses this name.
            Err(error) if error.kind == Kind::Taken => retry(|| api.get(&name)).await?,
            created => created?,
        };
        // The API server sets the UID. With a wrong one, the garbage collector would delete the objects at once.
        let uid = created.metadata.uid.unwrap_or_default();
        let heartbeats = send_heartbeats(api, name.clone(), uid.clone(), namespace.to_owned(), Arc::clone(&self.known));
        self.heartbeats.lock().unwrap_or_else(PoisonError::into_inner).spawn(heartbeats);
        Ok(OwnerReference {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            name,
            uid,
            ..OwnerReference::default()
        })
    }
}

/// Stores heartbeats in an anchor. If it no longer exists, forgets it, so that the next job creates another one.
async fn send_heartbeats(api: Api<ConfigMap>, name: String, uid: String, namespace: String, known: Arc<AnchorMap>) {
    loop {
        // With the UID, the API server refuses to change another object of this name.
        let patch = json!({"metadata": {"uid": uid, "annotations": {RENEWED: Timestamp::now().to_string()}}});
        let (patch, parameters) = (Patch::Merge(patch), PatchParams::default());
        match retry(|| api.patch_metadata(&name, &parameters, &patch)).await {
            Err(ApiError { code: Some(404 | 409 | 422), .. }) => {
                known.lock().await.remove(&namespace);
                return;
            }
            // An API server that was restarted refuses everything at first. Without the permission, the anchor gets no heartbeat and does
            // not expire.
            _ => sleep(HEARTBEAT_INTERVAL).await,
        }
    }
}

/// The labels of all objects of the pipeline with this owner ID.
pub(super) fn labels(owner: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (PIPELINE.to_owned(), pipeline_label(owner)),
        ("app.kubernetes.io/managed-by".to_owned(), "gitlab-ci-k8s-demo".to_owned()),
    ])
}
