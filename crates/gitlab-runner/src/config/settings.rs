//! What a runner is set to.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::units::{Device, Mount};
use gitlab_ci::config::image::PullPolicy;

/// Where GitLab Runner keeps the certificates that it trusts, and where jobs and services find them here.
/// <https://docs.gitlab.com/runner/configuration/tls-self-signed/>
pub const CERTIFICATES: &str = "/etc/gitlab-runner/certs/ca.crt";

/// A runner. The default is one that nobody has set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerConfig {
    /// How many jobs run at the same time.
    pub concurrent: Option<NonZeroUsize>,
    /// What it is called.
    pub name: Option<String>,
    /// Where its jobs run.
    pub executor: Option<ExecutorName>,
    /// The folder that projects are checked out below.
    pub builds_dir: Option<String>,
    /// The folder for caches.
    pub cache_dir: Option<PathBuf>,
    /// Variables of every job.
    pub environment: Vec<(String, String)>,
    /// How much of a job's log is kept, in KiB.
    pub output_limit: usize,
    /// The shell of scripts.
    pub shell: Option<String>,
    /// Commands before a job's own, in the same shell.
    pub pre_build_script: Option<String>,
    /// Commands after a job's own and before `after_script`.
    pub post_build_script: Option<String>,
    /// `tls-ca-file`: certificates, as PEM, that jobs may trust.
    pub certificates: Option<Arc<str>>,
    /// How the docker executor is set up.
    pub docker: DockerConfig,
    /// Feature flags.
    pub feature_flags: BTreeMap<String, bool>,
    /// What of the file is understood and not replayed, each with its place.
    pub warnings: Vec<String>,
}

/// Where jobs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutorName {
    /// On this machine.
    Shell,
    /// In containers.
    Docker,
}

/// `[runners.docker]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerConfig {
    /// The image of jobs that name none.
    pub image: Option<String>,
    /// Whether containers may do everything.
    pub privileged: bool,
    /// What is mounted in the containers of a job.
    pub volumes: Vec<Mount>,
    /// A network in place of the job's own.
    pub network_mode: Option<String>,
    /// Networks that containers join beside the job's own; `config.toml` has no word for it.
    pub networks: Vec<String>,
    /// `NAME:ADDRESS`
    pub extra_hosts: Vec<String>,
    /// When images are pulled, tried in order.
    pub pull_policy: Vec<PullPolicy>,
    /// What jobs may ask for; everything if there is nothing.
    pub allowed_pull_policies: Vec<PullPolicy>,
    /// Services of every job.
    pub services: Vec<ServiceConfig>,
    /// How long services may take to listen; nothing if nobody waits for them.
    pub wait_for_services_timeout: Option<Duration>,
    /// Name servers.
    pub dns: Vec<String>,
    /// Capabilities beside the engine's usual ones.
    pub cap_add: Vec<String>,
    /// Capabilities that are taken away.
    pub cap_drop: Vec<String>,
    /// Devices of the engine's machine.
    pub devices: Vec<Device>,
    /// Options of the engine's security.
    pub security_opt: Vec<String>,
    /// Memory of a job's container, in bytes.
    pub memory: Option<i64>,
    /// How much time on processors a job's container gets where they are not enough, beside others that have 1024 if nobody says
    /// otherwise.
    pub cpu_shares: Option<i64>,
    /// Time on processors of a job's container, in billionths of one.
    pub nano_cpus: Option<i64>,
    /// Shared memory, in bytes.
    pub shm_size: Option<i64>,
    /// Who runs the commands of jobs that do not say it.
    pub user: Option<String>,
}

/// `[[runners.docker.services]]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceConfig {
    /// Its image.
    pub name: String,
    /// Names that it is reached by beside those made of its image's name.
    pub aliases: Vec<String>,
    /// In place of the image's own.
    pub entrypoint: Option<Vec<String>>,
    /// In place of the image's own.
    pub command: Option<Vec<String>>,
    /// Its variables.
    pub environment: Vec<(String, String)>,
}

/// What is wrong with a file: all of it, each with its place.
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
            shell: None,
            pre_build_script: None,
            post_build_script: None,
            certificates: None,
            docker: DockerConfig::default(),
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
            // A runner's default is `always`. Here whoever waits pays for each question to the registry.
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
