//! `[runners.kubernetes]`: the settings of the kubernetes executor.
//! <https://docs.gitlab.com/runner/executors/kubernetes/#configuration-settings>

use std::collections::BTreeMap;
use std::time::Duration;

use super::service::ServiceConfig;
use gitlab_ci::config::image::PullPolicy;

/// The resources of a container that can be requested and limited, as they are called in the keys of the configuration and, in upper case,
/// in the variables of a job.
pub const RESOURCES: [&str; 6] = [
    "cpu_limit",
    "cpu_request",
    "ephemeral_storage_limit",
    "ephemeral_storage_request",
    "memory_limit",
    "memory_request",
];

/// `[runners.kubernetes]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesConfig {
    /// The namespace of the pods.
    pub namespace: Option<String>,
    /// The context of the kubeconfig.
    pub context: Option<String>,
    /// The image of jobs without `image`.
    pub image: Option<String>,
    /// The image of the container that moves files and reads logs; by default that of the job.
    pub helper_image: Option<String>,
    /// Whether all containers are privileged.
    pub privileged: bool,
    /// `allowPrivilegeEscalation` of all containers.
    pub allow_privilege_escalation: Option<bool>,
    /// Pull policies, in the order in which they are tried. If the list is empty, the cluster decides.
    pub pull_policy: Vec<PullPolicy>,
    /// Pull policies that jobs may use; if empty, those of `pull_policy`.
    pub allowed_pull_policies: Vec<PullPolicy>,
    /// Users that jobs may name with `kubernetes:user`; all but root if empty.
    pub allowed_users: Vec<String>,
    /// Names of Secrets with the credentials for pulls.
    pub image_pull_secrets: Vec<String>,
    /// The service account of the pods.
    pub service_account: Option<String>,
    /// Whether the account's token is mounted in the containers. Without a value, it is mounted only for a job that names its account, if
    /// the account allows it.
    pub automount_service_account_token: Option<bool>,
    /// Services of every job.
    pub services: Vec<ServiceConfig>,
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods tolerate: `KEY` or `KEY=VALUE`, and the effect.
    pub node_tolerations: BTreeMap<String, String>,
    /// Additional labels of the pods.
    pub pod_labels: BTreeMap<String, String>,
    /// Additional annotations of the pods.
    pub pod_annotations: BTreeMap<String, String>,
    /// Additional lines of `/etc/hosts`.
    pub host_aliases: Vec<HostAlias>,
    /// Volumes that are mounted in all containers.
    pub volumes: Vec<Volume>,
    /// Maximum time until the pod runs.
    pub poll_timeout: Duration,
    /// Time between SIGTERM and SIGKILL when a pod is deleted, in seconds.
    pub termination_grace_period: Option<i64>,
    /// `dnsPolicy` of the pods.
    pub dns_policy: Option<String>,
    /// The priority class of the pods.
    pub priority_class: Option<String>,
    /// The runtime class of the pods.
    pub runtime_class: Option<String>,
    /// The scheduler of the pods.
    pub scheduler: Option<String>,
    /// Capabilities to add to all containers.
    pub cap_add: Vec<String>,
    /// Capabilities to drop from containers without a `cap_drop` of their own.
    pub cap_drop: Vec<String>,
    /// The resources of the job's container.
    pub build: ResourceConfig,
    /// The resources of the helper container.
    pub helper: ResourceConfig,
    /// The resources of each service.
    pub service: ResourceConfig,
    /// The security context of the pod.
    pub pod_security: PodSecurityConfig,
    /// The security context of the job's container.
    pub build_security: SecurityConfig,
    /// The security context of the helper container.
    pub helper_security: SecurityConfig,
    /// The security context of each service.
    pub service_security: SecurityConfig,
    /// The settings that the variables of a job may change.
    pub overwrites: OverwriteConfig,
}

/// The resources of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceConfig {
    /// The requests and limits, by their names in [`RESOURCES`].
    pub values: BTreeMap<&'static str, String>,
    /// The maximum values that jobs may set; a job cannot set those that are not here.
    pub maxima: BTreeMap<&'static str, String>,
}

/// Regular expressions that the values of a job's variables must match. A job cannot change a setting that has no expression.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OverwriteConfig {
    /// `KUBERNETES_NAMESPACE_OVERWRITE`
    pub namespace: Option<String>,
    /// `KUBERNETES_SERVICE_ACCOUNT_OVERWRITE`
    pub service_account: Option<String>,
    /// `KUBERNETES_POD_LABELS_*`
    pub pod_labels: Option<String>,
    /// `KUBERNETES_POD_ANNOTATIONS_*`
    pub pod_annotations: Option<String>,
    /// `KUBERNETES_NODE_SELECTOR_*`
    pub node_selector: Option<String>,
    /// `KUBERNETES_NODE_TOLERATIONS_*`
    pub node_tolerations: Option<String>,
}

/// Host names for an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAlias {
    /// The IP address.
    pub ip: String,
    /// The host names.
    pub hostnames: Vec<String>,
}

/// A volume that is mounted in all containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The name of the volume; for objects of the cluster, the object's name.
    pub name: String,
    /// The directory in the containers.
    pub mount_path: String,
    /// A path in the volume that is mounted in its place.
    pub sub_path: Option<String>,
    /// Whether the containers cannot write to it.
    pub read_only: bool,
    /// Where the volume comes from.
    pub source: VolumeSource,
}

/// The source of a [`Volume`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeSource {
    /// A directory that is removed with the pod.
    EmptyDir {
        /// `Memory`, or else a disk of the node.
        medium: Option<String>,
        /// The maximum size.
        size_limit: Option<String>,
    },
    /// A directory of the node.
    HostPath(String),
    /// A `PersistentVolumeClaim`.
    Claim,
    /// A `ConfigMap`.
    ConfigMap,
    /// A `Secret`.
    Secret,
}

/// The security context of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSecurityConfig {
    /// The group that owns the volumes.
    pub fs_group: Option<i64>,
    /// The user of all containers.
    pub run_as_user: Option<i64>,
    /// The group of all containers.
    pub run_as_group: Option<i64>,
    /// Whether the user must not be root.
    pub run_as_non_root: Option<bool>,
    /// Additional groups.
    pub supplemental_groups: Vec<i64>,
    /// The seccomp profile.
    pub seccomp_profile: Option<SeccompProfile>,
}

/// The security context of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecurityConfig {
    /// The user.
    pub run_as_user: Option<i64>,
    /// The group.
    pub run_as_group: Option<i64>,
    /// Whether the user must not be root.
    pub run_as_non_root: Option<bool>,
    /// Whether the container is privileged.
    pub privileged: Option<bool>,
    /// Whether programs can gain privileges.
    pub allow_privilege_escalation: Option<bool>,
    /// Whether the image's files cannot be changed.
    pub read_only_root_filesystem: Option<bool>,
    /// Capabilities to add to those of [`KubernetesConfig::cap_add`].
    pub cap_add: Vec<String>,
    /// Capabilities to drop, in place of [`KubernetesConfig::cap_drop`].
    pub cap_drop: Vec<String>,
    /// The seccomp profile.
    pub seccomp_profile: Option<SeccompProfile>,
}

/// A seccomp profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeccompProfile {
    /// `RuntimeDefault`, `Unconfined` or `Localhost`.
    pub kind: String,
    /// The file of a `Localhost` profile.
    pub localhost_profile: Option<String>,
}

impl Default for KubernetesConfig {
    fn default() -> Self {
        Self {
            namespace: None,
            context: None,
            image: None,
            helper_image: None,
            privileged: false,
            allow_privilege_escalation: None,
            pull_policy: Vec::new(),
            allowed_pull_policies: Vec::new(),
            allowed_users: Vec::new(),
            image_pull_secrets: Vec::new(),
            service_account: None,
            automount_service_account_token: None,
            services: Vec::new(),
            node_selector: BTreeMap::new(),
            node_tolerations: BTreeMap::new(),
            pod_labels: BTreeMap::new(),
            pod_annotations: BTreeMap::new(),
            host_aliases: Vec::new(),
            volumes: Vec::new(),
            // `executors/kubernetes/util.go`
            poll_timeout: Duration::from_mins(3),
            termination_grace_period: None,
            dns_policy: None,
            priority_class: None,
            runtime_class: None,
            scheduler: None,
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            build: ResourceConfig::default(),
            helper: ResourceConfig::default(),
            service: ResourceConfig::default(),
            pod_security: PodSecurityConfig::default(),
            build_security: SecurityConfig::default(),
            helper_security: SecurityConfig::default(),
            service_security: SecurityConfig::default(),
            overwrites: OverwriteConfig::default(),
        }
    }
}
