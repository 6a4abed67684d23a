//! The settings in the runner configuration.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::kubernetes::KubernetesConfig;
use super::service::ServiceConfig;
use super::units::{Device, Mount};
use gitlab_ci::config::image::PullPolicy;

/// The path of the trusted certificates in GitLab Runner, and in the containers of jobs and services here.
/// <https://docs.gitlab.com/runner/configuration/tls-self-signed/>
pub const CERTIFICATES: &str = "/etc/gitlab-runner/certs/ca.crt";

/// The runner configuration. The default is that of an empty file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerConfig {
    /// Maximum number of jobs that run at the same time.
    pub concurrent: Option<NonZeroUsize>,
    /// The runner's name.
    pub name: Option<String>,
    /// The executor of the jobs.
    pub executor: Option<ExecutorName>,
    /// The directory that contains the project directories.
    pub builds_dir: Option<String>,
    /// The directory of the caches.
    pub cache_dir: Option<PathBuf>,
    /// Variables of every job: names and values.
    pub environment: Vec<(String, String)>,
    /// Maximum size of a job's output, in KiB.
    pub output_limit: usize,
    /// The time that a script of the shell executor has between SIGTERM and SIGKILL after its timeout.
    pub graceful_kill_timeout: Duration,
    /// The shell that runs scripts; by default `bash` if it is available, else `sh`.
    pub shell: Option<String>,
    /// Commands that run before a job's own, in the same shell.
    pub pre_build_script: Option<String>,
    /// Commands that run after a job's own and before `after_script`.
    pub post_build_script: Option<String>,
    /// The content of `tls-ca-file`: certificates in PEM format that jobs can trust.
    pub certificates: Option<Arc<str>>,
    /// The settings of the docker executor.
    pub docker: DockerConfig,
    /// The settings of the kubernetes executor.
    pub kubernetes: KubernetesConfig,
    /// Feature flags (`FF_...`) and whether they are on.
    pub feature_flags: BTreeMap<String, bool>,
    /// Settings that are valid but not supported here: one message each, with its position in the file.
    pub warnings: Vec<String>,
}

/// The executor of the jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutorName {
    /// Jobs run on this machine.
    Shell,
    /// Jobs run in containers.
    Docker,
    /// Jobs run in pods of a cluster.
    Kubernetes,
}

/// `[runners.docker]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerConfig {
    /// The image of jobs without `image`.
    pub image: Option<String>,
    /// Whether containers are privileged.
    pub privileged: bool,
    /// Volumes and directories that are mounted in the containers of a job.
    pub volumes: Vec<Mount>,
    /// A network mode that replaces the job's own network.
    pub network_mode: Option<String>,
    /// Networks that containers join in addition to the job's own. `config.toml` has no such key.
    pub networks: Vec<String>,
    /// Additional lines of `/etc/hosts`: `NAME:ADDRESS`.
    pub extra_hosts: Vec<String>,
    /// Pull policies, tried in order.
    pub pull_policy: Vec<PullPolicy>,
    /// Pull policies that jobs may use; all if empty.
    pub allowed_pull_policies: Vec<PullPolicy>,
    /// Services of every job.
    pub services: Vec<ServiceConfig>,
    /// Maximum time to wait for services to listen; `None` does not wait.
    pub wait_for_services_timeout: Option<Duration>,
    /// IP addresses of name servers.
    pub dns: Vec<String>,
    /// Capabilities in addition to the engine's default.
    pub cap_add: Vec<String>,
    /// Capabilities to drop.
    pub cap_drop: Vec<String>,
    /// Devices of the engine's host that the job's container can use.
    pub devices: Vec<Device>,
    /// Security options of the engine, such as `seccomp=unconfined`.
    pub security_opt: Vec<String>,
    /// Memory limit of a job's container, in bytes.
    pub memory: Option<i64>,
    /// Relative share of CPU time of a job's container when the CPUs are busy. The engine's default is 1024.
    pub cpu_shares: Option<i64>,
    /// CPU limit of a job's container, in billionths of a CPU.
    pub nano_cpus: Option<i64>,
    /// Size of `/dev/shm`, in bytes.
    pub shm_size: Option<i64>,
    /// The user who runs the commands of jobs without `docker:user`.
    pub user: Option<String>,
}

/// Everything that is wrong with a configuration file: one message for each mistake, with its position.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct RunnerConfigError(pub Vec<String>);

impl Default for RunnerConfig {
    fn default() -> Self {
        Self {
            concurrent: None,
            name: None,
            executor: None,
            builds_dir: None,
            cache_dir: None,
            environment: Vec::new(),
            // `common/const.go`, `DefaultTraceOutputLimit`
            output_limit: 4096,
            // `common/config.go` (`GetGracefulKillTimeout`)
            graceful_kill_timeout: Duration::from_mins(10),
            shell: None,
            pre_build_script: None,
            post_build_script: None,
            certificates: None,
            docker: DockerConfig::default(),
            kubernetes: KubernetesConfig::default(),
            feature_flags: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            image: None,
            privileged: false,
            volumes: Vec::new(),
            network_mode: None,
            networks: Vec::new(),
            extra_hosts: Vec::new(),
            // GitLab Runner's default is `always`. Here, a user would have to wait for a request to the registry in each job.
            pull_policy: vec![PullPolicy::IfNotPresent],
            allowed_pull_policies: Vec::new(),
            services: Vec::new(),
            // `common/const.go`, `DefaultWaitForServicesTimeout`
            wait_for_services_timeout: Some(Duration::from_secs(30)),
            dns: Vec::new(),
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            devices: Vec::new(),
            security_opt: Vec::new(),
            memory: None,
            cpu_shares: None,
            nano_cpus: None,
            shm_size: None,
            user: None,
        }
    }
}
