//! The labels, annotations and environment variables of everything that this project creates. With them, a later run finds and removes
//! the resources of a program that was killed.

use std::collections::HashMap;

/// Label of the containers, networks, volumes, images and Kubernetes objects of a cluster. Its value is the [`RunId::id`] of the run that
/// created them.
pub const RUN: &str = "io.gitlab-ci-k8s-demo.run";

/// Label of the containers, networks, volumes and images of a cluster, in addition to [`RUN`]. Its value is the cluster's name.
pub const CLUSTER: &str = "io.gitlab-ci-k8s-demo.cluster";

/// Label of everything that a pipeline creates. On containers, networks and volumes, its value is the pipeline's
/// [owner ID](crate::ownership). On Kubernetes objects, it is a hash of the owner ID, because the value of a label cannot have all of an
/// owner ID's characters.
pub const PIPELINE: &str = "io.gitlab-ci-k8s-demo.pipeline";

/// Label of the containers, networks and volumes that also have the label [`PIPELINE`]. Its value is the job's name.
pub const JOB: &str = "io.gitlab-ci-k8s-demo.job";

/// Annotation of a Kubernetes object that owns others, or contains them: the [owner ID](crate::ownership) of the process that created it.
/// An owner ID has characters that the value of a label cannot have.
pub const OWNER: &str = "io.gitlab-ci-k8s-demo.owner";

/// Annotation of the same object: the time of the owner's last heartbeat, in RFC 3339.
pub const RENEWED: &str = "io.gitlab-ci-k8s-demo.renewed";

/// Label of the namespaces that `e2e check --deploy` creates. Its value is `check`.
pub const TEMPORARY: &str = "io.gitlab-ci-k8s-demo.temporary";

/// Label that kind sets on the containers of its nodes. Its value is the cluster's name.
pub const KIND_CLUSTER: &str = "io.x-k8s.kind.cluster";

/// Environment variable of every program that is started for a cluster. Its value is the cluster's name.
pub const CLUSTER_VARIABLE: &str = "GITLAB_CI_K8S_DEMO_CLUSTER";

/// Environment variable of every job that runs directly on this machine. Its value is the [owner ID](crate::ownership) of the process that
/// runs the pipeline.
pub const PIPELINE_VARIABLE: &str = "GITLAB_CI_K8S_DEMO_PIPELINE";

/// Identifies one creation of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunId {
    /// Eight lowercase hexadecimal digits.
    pub id: String,
    /// The cluster's name.
    pub cluster: String,
}

impl RunId {
    /// A random ID for a new run on `cluster`.
    pub fn new(cluster: &str) -> Self {
        Self { id: format!("{:08x}", fastrand::u32(..)), cluster: cluster.to_owned() }
    }

    /// The labels [`RUN`] and [`CLUSTER`] with the values of this run.
    pub fn labels(&self) -> HashMap<String, String> {
        [(RUN, &self.id), (CLUSTER, &self.cluster)].map(|(key, value)| (key.to_owned(), value.clone())).into()
    }
}

/// A list filter, in the engine API's format, for the label `key` with the given value; `None` matches any value.
///
/// ```
/// use container_engine::labels::{JOB, filter};
///
/// assert_eq!(filter(JOB, Some("test"))["label"], ["io.gitlab-ci-k8s-demo.job=test"]);
/// ```
pub fn filter(key: &str, value: Option<&str>) -> HashMap<String, Vec<String>> {
    let label = value.map_or_else(|| key.to_owned(), |value| format!("{key}={value}"));
    HashMap::from([("label".to_owned(), vec![label])])
}
