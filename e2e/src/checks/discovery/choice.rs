//! The user's selection, and each choice with its reason.

use kube::ResourceExt;

use crate::environment::cluster::ApiError;

/// The labels of the Deployments: the service, and any environment.
pub(super) const LABELS: &str = "app=gitlab-k8s-demo,ref";

/// The choices of the user.
#[derive(Debug, Default)]
pub struct Selection {
    /// The namespace; without it, the only one with environments.
    pub namespace: Option<String>,
    /// The environments; without it, all in the namespace.
    pub references: Vec<String>,
    /// The account that the pipeline deploys with, a `ServiceAccount`: `NAMESPACE/NAME`.
    pub account: Option<String>,
    /// The host of the only environment.
    pub host: Option<String>,
    /// Whether the host of each environment is known: below the target's base domain. Otherwise it is that of the Ingress.
    pub has_known_hosts: bool,
    /// Whether nothing may be changed in the cluster, not even by a request that stores nothing.
    pub is_read_only: bool,
}

/// A choice, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The input that was searched for.
    pub subject: &'static str,
    /// The value that was found; `None` if nothing was found.
    pub value: Option<String>,
    /// Why it was chosen, or why nothing was found and what to do.
    pub reason: String,
}

/// The result of a search: the value and the reason for this choice, or the reason why nothing was found and the next step.
pub(super) type Search<T> = Result<(T, String), String>;

/// The environments cannot be determined.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// No Deployment has the labels.
    #[error(
        "nothing is deployed {place}: no Deployment has the labels {LABELS}; run the pipeline's deploy job, or select the namespace with --namespace"
    )]
    Nothing { place: String },
    /// The user has to choose.
    #[error("several namespaces have environments: {0}; select one with --namespace")]
    Several(String),
    /// The API server does not list the Deployments.
    #[error("cannot list the Deployments {place}")]
    Api {
        place: String,
        /// The cause.
        #[source]
        source: ApiError,
    },
}

/// `Namespace/name` of an object.
pub(super) fn path_of(object: &impl ResourceExt) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}
