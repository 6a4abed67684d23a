//! The pod of a job.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, HostAlias, HostPathVolumeSource, LocalObjectReference,
    PersistentVolumeClaimVolumeSource, Pod, PodSecurityContext, PodSpec, SecretVolumeSource, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::container::{self, ContainerPlan, seccomp};
use super::layout::{LOGS, SCRIPTS};
use super::overwrites::JobSettings;
use crate::config::CERTIFICATES;
use crate::config::kubernetes::{KubernetesConfig, PodSecurityConfig, VolumeSource};
use crate::workspace::job_dirs::JobDirs;

/// Additional time of a pod after the job's timeout, for the files that leave the pod then.
const EXTRA_TIME: Duration = Duration::from_mins(2);

/// The [grace period](grace_period) without a configuration, in seconds. The job's processes have ended by then.
const GRACE_PERIOD: i64 = 5;

/// Time between SIGTERM and SIGKILL when the pod is deleted.
pub(super) fn grace_period(config: &KubernetesConfig) -> Duration {
    // The API server refuses a negative number.
    Duration::from_secs(config.termination_grace_period.unwrap_or(GRACE_PERIOD).try_into().unwrap_or(0))
}

/// Maximum size of the scripts' directory. Variables make a script large, but never this large.
const SCRIPTS_SIZE: &str = "64Mi";

/// Everything that determines the pod of a job.
pub(super) struct PodPlan<'job> {
    pub(super) name: &'job str,
    pub(super) config: &'job KubernetesConfig,
    pub(super) settings: &'job JobSettings,
    pub(super) job_dirs: &'job JobDirs,
    /// The job's timeout.
    pub(super) timeout: Duration,
    /// The labels that mark the pod as belonging to the pipeline.
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    /// The object whose deletion deletes the pod, too.
    pub(super) owner: OwnerReference,
    /// `build`, `helper`, and the services.
    pub(super) containers: &'job [ContainerPlan],
    /// The host names of the services.
    pub(super) hosts: Vec<String>,
    /// The Secret with the logins of the job's images.
    pub(super) pull_secret: Option<&'job str>,
    /// The `ConfigMap` with the certificates that the runner trusts.
    pub(super) certificates: Option<&'job str>,
}

impl PodPlan<'_> {
    /// The pod.
    pub(super) fn pod(&self) -> Pod {
        let (config, settings) = (self.config, self.settings);
        let mut labels = settings.labels.clone();
        // The job must not be able to hide its pod from the next start.
        labels.extend(self.labels.clone());
        let mut annotations = self.annotations.clone();
        annotations.extend(settings.annotations.clone());
        let deadline = self.timeout.saturating_add(EXTRA_TIME).as_secs();
        let secrets = config.image_pull_secrets.iter().map(String::as_str).chain(self.pull_secret);
        let secrets: Vec<_> = secrets.map(|name| LocalObjectReference { name: name.to_owned() }).collect();
        let containers =
            self.containers.iter().map(|plan| container::build(plan, config, self.mounts(plan.has_scripts())));
        let spec = PodSpec {
            containers: containers.collect(),
            volumes: Some(self.volumes()),
            host_aliases: self.host_aliases(),
            restart_policy: Some("Never".to_owned()),
            active_deadline_seconds: Some(i64::try_from(deadline).unwrap_or(i64::MAX)),
            termination_grace_period_seconds: Some(config.termination_grace_period.unwrap_or(GRACE_PERIOD)),
            service_account_name: settings.service_account.clone(),
            automount_service_account_token: settings.automount_token,
            // Otherwise variables of every Service of the namespace would appear in the job.
            enable_service_links: Some(false),
            node_selector: (!settings.node_selector.is_empty()).then(|| settings.node_selector.clone()),
            tolerations: (!settings.tolerations.is_empty()).then(|| settings.tolerations.clone()),
            image_pull_secrets: (!secrets.is_empty()).then_some(secrets),
            security_context: pod_security(&config.pod_security),
            dns_policy: config.dns_policy.clone(),
            priority_class_name: config.priority_class.clone(),
            runtime_class_name: config.runtime_class.clone(),
            scheduler_name: config.scheduler.clone(),
            ..PodSpec::default()
        };
        Pod {
            metadata: ObjectMeta {
                name: Some(self.name.to_owned()),
                namespace: Some(settings.namespace.clone()),
                labels: Some(labels),
                annotations: Some(annotations),
                owner_references: Some(vec![self.owner.clone()]),
                ..ObjectMeta::default()
            },
            spec: Some(spec),
            status: None,
        }
    }

    /// Whether the configuration mounts a volume of its own at the directory of the checkouts.
    fn has_own_builds(&self) -> bool {
        self.config.volumes.iter().any(|volume| volume.mount_path.trim_end_matches('/') == self.job_dirs.builds)
    }

    fn volumes(&self) -> Vec<Volume> {
        let empty = |name: &str, medium: Option<&str>, size: Option<&str>| Volume {
            name: name.to_owned(),
            empty_dir: Some(EmptyDirVolumeSource {
                medium: medium.map(str::to_owned),
                size_limit: size.map(|size| Quantity(size.to_owned())),
            }),
            ..Volume::default()
        };
        let mut volumes = vec![empty("scripts", Some("Memory"), Some(SCRIPTS_SIZE)), empty("logs", None, None)];
        if !self.has_own_builds() {
            volumes.push(empty("builds", None, None));
        }
        if let Some(name) = self.certificates {
            let source = ConfigMapVolumeSource { name: name.to_owned(), ..ConfigMapVolumeSource::default() };
            volumes.push(Volume { name: "certificates".to_owned(), config_map: Some(source), ..Volume::default() });
        }
        for (number, configured) in self.config.volumes.iter().enumerate() {
            let mut volume = Volume { name: format!("volume-{number}"), ..Volume::default() };
            let name = configured.name.clone();
            match &configured.source {
                VolumeSource::EmptyDir { medium, size_limit } => {
                    volume = empty(&volume.name, medium.as_deref(), size_limit.as_deref());
                }
                VolumeSource::HostPath(path) => {
                    volume.host_path = Some(HostPathVolumeSource { path: path.clone(), type_: None });
                }
                VolumeSource::Claim => {
                    volume.persistent_volume_claim =
                        Some(PersistentVolumeClaimVolumeSource { claim_name: name, read_only: None });
                }
                VolumeSource::ConfigMap => {
                    volume.config_map = Some(ConfigMapVolumeSource { name, ..ConfigMapVolumeSource::default() });
                }
                VolumeSource::Secret => {
                    let source = SecretVolumeSource { secret_name: Some(name), ..SecretVolumeSource::default() };
                    volume.secret = Some(source);
                }
            }
            volumes.push(volume);
        }
        volumes
    }

    /// The mounts of a container. Only the job's own containers see scripts and output.
    fn mounts(&self, has_scripts: bool) -> Vec<VolumeMount> {
        let mount = |name: &str, path: &str| VolumeMount {
            name: name.to_owned(),
            mount_path: path.to_owned(),
            ..VolumeMount::default()
        };
        let mut mounts = Vec::new();
        if has_scripts {
            mounts.extend([mount("scripts", SCRIPTS), mount("logs", LOGS)]);
        }
        if !self.has_own_builds() {
            mounts.push(mount("builds", &self.job_dirs.builds));
        }
        if self.certificates.is_some() {
            let dir = CERTIFICATES.rsplit_once('/').map_or(CERTIFICATES, |(dir, _)| dir);
            mounts.push(VolumeMount { read_only: Some(true), ..mount("certificates", dir) });
        }
        for (number, configured) in self.config.volumes.iter().enumerate() {
            mounts.push(VolumeMount {
                sub_path: configured.sub_path.clone(),
                read_only: configured.read_only.then_some(true),
                ..mount(&format!("volume-{number}"), &configured.mount_path)
            });
        }
        mounts
    }

    /// The services share the network of the job, so all of their names are names of this host.
    fn host_aliases(&self) -> Option<Vec<HostAlias>> {
        let services = (!self.hosts.is_empty())
            .then(|| HostAlias { ip: "127.0.0.1".to_owned(), hostnames: Some(self.hosts.clone()) });
        let configured = self.config.host_aliases.iter();
        let configured =
            configured.map(|alias| HostAlias { ip: alias.ip.clone(), hostnames: Some(alias.hostnames.clone()) });
        let all: Vec<_> = services.into_iter().chain(configured).collect();
        (!all.is_empty()).then_some(all)
    }
}

fn pod_security(config: &PodSecurityConfig) -> Option<PodSecurityContext> {
    (*config != PodSecurityConfig::default()).then(|| PodSecurityContext {
        fs_group: config.fs_group,
        run_as_user: config.run_as_user,
        run_as_group: config.run_as_group,
        run_as_non_root: config.run_as_non_root,
        supplemental_groups: (!config.supplemental_groups.is_empty()).then(|| config.supplemental_groups.clone()),
        seccomp_profile: config.seccomp_profile.as_ref().map(seccomp),
        ..PodSecurityContext::default()
    })
}
