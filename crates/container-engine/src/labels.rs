//! The marks by which everything that is made here is found again, whatever became of the program that made it.

use std::collections::HashMap;

/// On containers, networks, volumes, images and Kubernetes objects: the run that made it.
pub const RUN: &str = "io.gitlab-ci-k8s-demo.run";

/// Beside it, on what belongs to a cluster: the cluster's name.
pub const CLUSTER: &str = "io.gitlab-ci-k8s-demo.cluster";

/// On what belongs to a job of a pipeline: the mark of the program that runs it.
pub const PIPELINE: &str = "io.gitlab-ci-k8s-demo.pipeline";

/// Beside it: the job's name.
pub const JOB: &str = "io.gitlab-ci-k8s-demo.job";

/// kind's own, on its nodes: the cluster's name.
pub const KIND_CLUSTER: &str = "io.x-k8s.kind.cluster";

/// In the environment of every program that is run for a cluster: the cluster's name.
pub const VARIABLE: &str = "GITLAB_CI_K8S_DEMO_CLUSTER";

/// In the environment of every job that runs on this machine: the mark of the program that runs its pipeline.
pub const PIPELINE_VARIABLE: &str = "GITLAB_CI_K8S_DEMO_PIPELINE";

/// One bringing up of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Eight hexadecimal digits.
    pub id: String,
    /// The cluster's name.
    pub cluster: String,
}

impl Run {
    /// A new one.
    pub fn new(cluster: &str) -> Self {
        Self { id: format!("{:08x}", fastrand::u32(..)), cluster: cluster.to_owned() }
    }

    /// The labels of everything that belongs to it.
    pub fn labels(&self) -> HashMap<String, String> {
        [(RUN, &self.id), (CLUSTER, &self.cluster)].map(|(key, value)| (key.to_owned(), value.clone())).into()
    }
}

/// The filter by which engines list what has a label of this value; with any value if there is none.
pub fn filter(key: &str, value: Option<&str>) -> HashMap<String, Vec<String>> {
    let label = value.map_or_else(|| key.to_owned(), |value| format!("{key}={value}"));
    HashMap::from([("label".to_owned(), vec![label])])
}
