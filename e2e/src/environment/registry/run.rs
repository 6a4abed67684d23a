//! Runs the registry's container.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::models::{EndpointSettings, NetworkConnectRequest, PortBinding};
use bollard::query_parameters::{InspectContainerOptions, RemoveContainerOptionsBuilder};
use testcontainers::core::{ContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{CopyTargetOptions, GenericImage, ImageExt, ReuseDirective, TestcontainersError};

use super::login::{Login, LoginError, USER};
use super::{HOST, certificate};
use crate::environment::cluster_dir::{ClusterDir, StateError};
use container_engine::labels;
use container_engine::labels::RunId;

/// The default port of image references.
const PORT: u16 = 443;

/// Time that the registry has to start, or to respond.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A running registry.
#[derive(Clone, Debug)]
pub struct Registry {
    /// Its address on this machine. Its certificate is also valid for this address.
    pub address: SocketAddr,
    /// Its user's credentials.
    pub login: Login,
    /// The certificate of its authority, in PEM format.
    pub authority: String,
}

/// The registry cannot be started or connected.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The engine returns an error.
    #[error("cannot manage the registry's container")]
    Engine(#[from] EngineError),
    /// The container does not start.
    #[error("the registry does not start")]
    NotStarted(#[from] TestcontainersError),
    /// The container's port is not published.
    #[error("the registry's container publishes no port")]
    NoPort,
    /// The password cannot be created.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The certificate cannot be created.
    #[error("cannot create the registry's certificate")]
    Certificate(#[from] rcgen::Error),
    /// Its credentials or certificate cannot be written to the cluster's directory.
    #[error(transparent)]
    ClusterDir(#[from] StateError),
}

/// The name of the registry's container.
pub fn container(cluster: &str) -> String {
    format!("{cluster}-registry")
}

/// Returns the registry of `run`: the running one if it responds, or else a new one from `image`. The second value is whether it is
/// new, in which case nodes and jobs do not have its password and authority yet.
///
/// # Errors
/// If no registry can be started.
pub async fn ensure(
    docker: &Docker,
    run: &RunId,
    image: &str,
    state: &ClusterDir,
) -> Result<(Registry, bool), RegistryError> {
    if let Some(registry) = running(docker, run, state).await
        && answers(&registry).await
    {
        return Ok((registry, false));
    }
    let name = container(&run.cluster);
    let remove = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match docker.remove_container(&name, Some(remove)).await {
        Ok(()) | Err(EngineError::DockerResponseServerError { status_code: 404, .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok((start(docker, run, image, state).await?, true))
}

/// The registry of `run`, if its container is running and its files exist. Does not check whether it responds.
pub async fn running(docker: &Docker, run: &RunId, state: &ClusterDir) -> Option<Registry> {
    let container = docker.inspect_container(&container(&run.cluster), None::<InspectContainerOptions>).await.ok()?;
    let belongs_to_run = container.config?.labels?.get(labels::RUN) == Some(&run.id);
    if !belongs_to_run || container.state?.running != Some(true) {
        return None;
    }
    let address = published(container.network_settings?.ports?)?;
    let login = Login::from_password(&std::fs::read_to_string(state.registry_password()).ok()?);
    let authority = std::fs::read_to_string(state.registry_authority()).ok()?;
    Some(Registry { address, login, authority })
}

fn published(ports: HashMap<String, Option<Vec<PortBinding>>>) -> Option<SocketAddr> {
    let bindings = ports.into_iter().find(|(port, _)| *port == format!("{PORT}/tcp"))?.1?;
    let port = bindings.first()?.host_port.as_ref()?.parse().ok()?;
    Some((Ipv4Addr::LOCALHOST, port).into())
}

/// Whether the registry accepts its user's credentials, under its host name and with its certificate.
pub async fn answers(registry: &Registry) -> bool {
    let ask = async {
        let authority = reqwest::Certificate::from_pem(registry.authority.as_bytes())?;
        let client = reqwest::Client::builder().tls_certs_only([authority]).resolve(HOST, registry.address).build()?;
        let url = format!("https://{HOST}:{}/v2/", registry.address.port());
        client.get(url).basic_auth(USER, Some(registry.login.password())).timeout(TIMEOUT).send().await
    };
    ask.await.is_ok_and(|response: reqwest::Response| response.status().is_success())
}

async fn start(docker: &Docker, run: &RunId, image: &str, state: &ClusterDir) -> Result<Registry, RegistryError> {
    let login = Login::generate()?;
    let certificates = certificate::make(&[HOST, "localhost", "127.0.0.1"])?;
    // Write the files first: a registry whose password is lost cannot be used.
    state.write(&state.registry_password(), login.password().as_bytes())?;
    state.write(&state.registry_netrc(), format!("default login {USER} password {}\n", login.password()).as_bytes())?;
    state.write(&state.registry_authority(), certificates.authority.as_bytes())?;

    let (name, tag) = image.rsplit_once(':').unwrap_or((image, "latest"));
    let secret = |path: &str| CopyTargetOptions::new(path).with_mode(0o400);
    GenericImage::new(name, tag)
        .with_exposed_port(ContainerPort::Tcp(PORT))
        .with_wait_for(WaitFor::message_on_stderr("listening on"))
        .with_container_name(container(&run.cluster))
        .with_labels(run.labels())
        .with_startup_timeout(TIMEOUT)
        .with_env_var("REGISTRY_HTTP_ADDR", format!(":{PORT}"))
        .with_env_var("REGISTRY_HTTP_TLS_CERTIFICATE", "/etc/registry/tls.crt")
        .with_env_var("REGISTRY_HTTP_TLS_KEY", "/etc/registry/tls.key")
        .with_env_var("REGISTRY_AUTH", "htpasswd")
        .with_env_var("REGISTRY_AUTH_HTPASSWD_REALM", HOST)
        .with_env_var("REGISTRY_AUTH_HTPASSWD_PATH", "/etc/registry/htpasswd")
        .with_env_var("REGISTRY_STORAGE_DELETE_ENABLED", "true")
        // Files instead of variables, because the engine shows a container's variables to all its users.
        .with_copy_to(secret("/etc/registry/tls.crt"), certificates.certificate.into_bytes())
        .with_copy_to(secret("/etc/registry/tls.key"), certificates.key.into_bytes())
        .with_copy_to(secret("/etc/registry/htpasswd"), login.htpasswd()?.into_bytes())
        .with_host_config_modifier(|config| {
            // Only reachable from this machine, on any free port.
            let binding = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: None };
            config.publish_all_ports = Some(false);
            config.port_bindings = Some([(format!("{PORT}/tcp"), Some(vec![binding]))].into());
        })
        // The container outlives this process: `e2e down` removes it.
        .with_reuse(ReuseDirective::Always)
        .start()
        .await?;
    let inspected = docker.inspect_container(&container(&run.cluster), None::<InspectContainerOptions>).await?;
    let address =
        inspected.network_settings.and_then(|it| it.ports).and_then(published).ok_or(RegistryError::NoPort)?;
    Ok(Registry { address, login, authority: certificates.authority })
}

/// Connects the registry to the cluster's network, under its host name.
pub async fn connect(docker: &Docker, cluster: &str) -> Result<(), RegistryError> {
    let name = container(cluster);
    let inspected = docker.inspect_container(&name, None::<InspectContainerOptions>).await?;
    let networks = inspected.network_settings.and_then(|it| it.networks).unwrap_or_default();
    if networks.contains_key(cluster) {
        return Ok(());
    }
    let endpoint = EndpointSettings { aliases: Some(vec![HOST.to_owned()]), ..EndpointSettings::default() };
    let request = NetworkConnectRequest { container: name, endpoint_config: Some(endpoint) };
    Ok(docker.connect_network(cluster, request).await?)
}
