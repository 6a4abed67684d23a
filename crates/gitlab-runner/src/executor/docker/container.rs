//! The settings that all containers of a job share: mounts, networks, privileges. GitLab Runner's `executors/docker/docker.go`

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, EndpointSettings, HostConfig, HostConfigLogConfig, NetworkingConfig,
};

use super::resources::JobResources;
use crate::config::{DockerConfig, Mount};
use crate::executor::request::ExecutorError;
use crate::workspace::job_dirs::JobDirs;

/// The settings that all containers of a job share.
pub(super) struct CommonSettings<'docker> {
    pub(super) config: &'docker DockerConfig,
    network: String,
    binds: Vec<String>,
}

impl<'docker> CommonSettings<'docker> {
    /// Creates the job's network, unless `network_mode` replaces it, and its volumes.
    pub(super) async fn create(
        config: &'docker DockerConfig,
        job_dirs: &JobDirs,
        resources: &JobResources,
    ) -> Result<Self, ExecutorError> {
        resources.check_networks(&config.networks).await?;
        let network = async {
            match &config.network_mode {
                Some(network) => Ok(network.clone()),
                None => resources.network().await,
            }
        };
        let volumes = async {
            let mut binds = vec![format!("{}:{}", resources.volume("builds").await?, job_dirs.builds)];
            for (number, mount) in config.volumes.iter().enumerate() {
                binds.push(match mount {
                    Mount::Bind(bind) => bind.clone(),
                    Mount::Shared(target) => {
                        format!("{}:{target}", resources.volume(&format!("volume-{number}")).await?)
                    }
                });
            }
            Ok(binds)
        };
        let (network, binds) = tokio::try_join!(network, volumes)?;
        Ok(Self { config, network, binds })
    }

    /// Whether containers can resolve each other's names. Only user-defined networks offer that.
    pub(super) fn has_names(&self) -> bool {
        !matches!(self.network.as_str(), "bridge" | "default" | "host" | "none")
            && !self.network.starts_with("container:")
    }

    /// Whether containers share the host's network and have no addresses of their own.
    pub(super) fn is_host(&self) -> bool {
        self.network == "host"
    }

    /// A container with the shared settings and these network aliases.
    pub(super) fn body(&self, image: String, aliases: Vec<String>) -> ContainerCreateBody {
        let config = self.config;
        let list = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
        let host_config = HostConfig {
            binds: Some(self.binds.clone()),
            network_mode: Some(self.network.clone()),
            privileged: Some(config.privileged),
            extra_hosts: list(&config.extra_hosts),
            dns: list(&config.dns),
            cap_add: list(&config.cap_add),
            cap_drop: list(&config.cap_drop),
            security_opt: list(&config.security_opt),
            shm_size: config.shm_size,
            // The engine's default log driver may be one that cannot return the output.
            log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: None }),
            ..HostConfig::default()
        };
        let endpoint = EndpointSettings { aliases: Some(aliases), ..EndpointSettings::default() };
        let networking = NetworkingConfig { endpoints_config: Some(HashMap::from([(self.network.clone(), endpoint)])) };
        ContainerCreateBody {
            image: Some(image),
            host_config: Some(host_config),
            networking_config: self.has_names().then_some(networking),
            ..ContainerCreateBody::default()
        }
    }

    /// Adds the settings of the job's own container: limits, devices, and the services' host names if the network does not resolve them.
    pub(super) fn add_job_settings(&self, body: &mut ContainerCreateBody, hosts: Vec<String>) {
        let config = self.config;
        let Some(host_config) = &mut body.host_config else { return };
        host_config.memory = config.memory;
        host_config.cpu_shares = config.cpu_shares;
        host_config.nano_cpus = config.nano_cpus;
        host_config.extra_hosts.get_or_insert_default().extend(hosts);
        let devices = config.devices.iter().map(|device| DeviceMapping {
            path_on_host: Some(device.source.clone()),
            path_in_container: Some(device.target.clone()),
            cgroup_permissions: Some(device.permissions.clone()),
        });
        host_config.devices = Some(devices.collect());
    }
}
