//! Applies manifests to a cluster with server-side apply, like `kubectl apply --server-side`.
//!
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/>

use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::{self, Scope};
use kube::{Api, Client};

use super::ApiError;
use container_engine::labels;
use container_engine::labels::RunId;

/// The field manager that the API server records for every field.
pub const MANAGER: &str = "gitlab-ci-k8s-demo";

/// A manifest could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A document is not YAML, or not a Kubernetes object.
    #[error("{file}: invalid manifest: {reason}")]
    NotAManifest {
        /// The manifest's file.
        file: String,
        /// The mistake, with line and column if known.
        reason: String,
    },
    /// The API server rejects an object.
    #[error("{file}: cannot apply {kind} {name}")]
    Refused {
        /// The manifest's file.
        file: String,
        /// The object's kind.
        kind: String,
        /// The object's name.
        name: String,
        /// The API server's answer.
        #[source]
        source: ApiError,
    },
}

/// Applies every document of `text`, in order, and labels each object with `run`. Errors name the manifest `file`. Fields that the
/// manifest does not mention keep their values.
///
/// # Errors
/// The first document that is invalid or rejected.
pub async fn apply(client: &Client, run: &RunId, file: &str, text: &str) -> Result<(), ApplyError> {
    for mut object in documents(file, text)? {
        object.metadata.labels.get_or_insert_default().insert(labels::RUN.to_owned(), run.id.clone());
        apply_one(client, file, &object).await?;
    }
    Ok(())
}

/// Creates an object of the manifest `file`.
///
/// # Errors
/// If the API server rejects it, for example because it exists.
pub async fn create(client: &Client, file: &str, object: &DynamicObject) -> Result<DynamicObject, ApplyError> {
    let api = api(client, file, object).await?;
    api.create(&PostParams::default(), object).await.map_err(|error| refused(file, object, error))
}

async fn apply_one(client: &Client, file: &str, object: &DynamicObject) -> Result<(), ApplyError> {
    let api = api(client, file, object).await?;
    let name = object.metadata.name.clone().unwrap_or_default();
    // Force takes over fields that another field manager has written: `up` repairs the cluster.
    let applied = api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(object)).await;
    applied.map(drop).map_err(|error| refused(file, object, error))
}

/// The API for the kind and the namespace of an object.
async fn api(client: &Client, file: &str, object: &DynamicObject) -> Result<Api<DynamicObject>, ApplyError> {
    let kind = GroupVersionKind::try_from(object.types.clone().unwrap_or_default())
        .map_err(|error| ApplyError::NotAManifest { file: file.to_owned(), reason: error.to_string() })?;
    let found = discovery::pinned_kind(client, &kind).await;
    let (resource, capabilities) = found.map_err(|error| refused(file, object, error))?;
    Ok(match (&capabilities.scope, &object.metadata.namespace) {
        (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client.clone(), namespace, &resource),
        (Scope::Namespaced, None) => Api::default_namespaced_with(client.clone(), &resource),
        (Scope::Cluster, _) => Api::all_with(client.clone(), &resource),
    })
}

fn refused(file: &str, object: &DynamicObject, source: kube::Error) -> ApplyError {
    ApplyError::Refused {
        file: file.to_owned(),
        kind: object.types.as_ref().map(|types| types.kind.clone()).unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
        source: source.into(),
    }
}

/// The objects in the text of the manifest `file`, in order.
///
/// # Errors
/// If the text is not YAML, or a document is not a Kubernetes object.
pub fn documents(file: &str, text: &str) -> Result<Vec<DynamicObject>, ApplyError> {
    let wrong = |reason: String| ApplyError::NotAManifest { file: file.to_owned(), reason };
    let values: Vec<serde_json::Value> = serde_saphyr::from_multiple(text).map_err(|error| wrong(error.to_string()))?;
    let objects = values.into_iter().filter(|value| !value.is_null()).map(serde_json::from_value);
    objects.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_keep_their_order() {
        let text = "# comment\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: a}\ndata: {k: v}\n";
        let objects = documents("x.yaml", text).unwrap();
        let names: Vec<_> = objects.iter().map(|object| object.metadata.name.as_deref().unwrap()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(objects[1].data["data"]["k"], "v");
    }

    #[test]
    fn invalid_yaml_is_reported_with_its_file() {
        let error = documents("x.yaml", "kind: [\n").unwrap_err().to_string();
        assert!(error.starts_with("x.yaml: invalid manifest: "), "{error}");
    }
}
