//! The registry's container.

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

use super::HOST;
use super::certificate;
use super::login::{Login, LoginError, USER};
use crate::environment::state::State;
use crate::environment::state::StateError;
use container_engine::labels;
use container_engine::labels::RunId;

/// The port that an image's name without one means.
const PORT: u16 = 443;

/// Time that a registry has to start, or to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A registry that runs.
#[derive(Clone, Debug)]
pub struct Registry {
    /// Where it answers on this machine. Its certificate is good for this address too.
    pub address: SocketAddr,
    /// Its user.
    pub login: Login,
    /// The certificate of its authority, as PEM.
    pub authority: String,
}

/// Why there is no registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The engine refuses.
    #[error("the registry's container")]
    Engine(#[from] EngineError),
    /// Its container does not start.
    #[error("the registry does not start")]
    NotStarted(#[from] TestcontainersError),
    /// Its port is not published.
    #[error("the registry's container publishes no port")]
    NoPort,
    /// Its password cannot be made.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// Its certificate cannot be made.
    #[error("the registry's certificate cannot be made")]
    Certificate(#[from] rcgen::Error),
    /// What is kept of it cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The name of its container.
pub fn container(cluster: &str) -> String {
    format!("{cluster}-registry")
}

/// The registry of `run`: the one that runs, if it answers, or else a new one from `image`. Whether it is a new one, whose
/// password and authority nobody knows yet, is told with it.
///
/// # Errors
/// When none can be started.
pub async fn ensure(
    docker: &Docker,
    run: &RunId,
    image: &str,
    state: &State,
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

/// The registry of `run`, as far as its container runs and its files are there. Whether it answers is another question.
pub async fn running(docker: &Docker, run: &RunId, state: &State) -> Option<Registry> {
    let container = docker.inspect_container(&container(&run.cluster), None::<InspectContainerOptions>).await.ok()?;
    let is_ours = container.config?.labels?.get(labels::RUN) == Some(&run.id);
    if !is_ours || container.state?.running != Some(true) {
        return None;
    }
    let address = published(container.network_settings?.ports?)?;
    let login = Login::of(&std::fs::read_to_string(state.registry_password()).ok()?);
    let authority = std::fs::read_to_string(state.registry_authority()).ok()?;
    Some(Registry { address, login, authority })
}

fn published(ports: HashMap<String, Option<Vec<PortBinding>>>) -> Option<SocketAddr> {
    let bindings = ports.into_iter().find(|(port, _)| *port == format!("{PORT}/tcp"))?.1?;
    let port = bindings.first()?.host_port.as_ref()?.parse().ok()?;
    Some((Ipv4Addr::LOCALHOST, port).into())
}

/// Whether it lets its user in, by its name and with its certificate.
pub async fn answers(registry: &Registry) -> bool {
    let ask = async {
        let authority = reqwest::Certificate::from_pem(registry.authority.as_bytes())?;
        let client = reqwest::Client::builder().tls_certs_only([authority]).resolve(HOST, registry.address).build()?;
        let url = format!("https://{HOST}:{}/v2/", registry.address.port());
        client.get(url).basic_auth(USER, Some(registry.login.password())).timeout(PATIENCE).send().await
    };
    ask.await.is_ok_and(|response: reqwest::Response| response.status().is_success())
}

async fn start(docker: &Docker, run: &RunId, image: &str, state: &State) -> Result<Registry, RegistryError> {
    let login = Login::generate()?;
    let certificates = certificate::make(&[HOST, "localhost", "127.0.0.1"])?;
    // First what is kept of it: a registry whose password is lost is good for nothing.
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
        .with_startup_timeout(PATIENCE)
        .with_env_var("REGISTRY_HTTP_ADDR", format!(":{PORT}"))
        .with_env_var("REGISTRY_HTTP_TLS_CERTIFICATE", "/etc/registry/tls.crt")
        .with_env_var("REGISTRY_HTTP_TLS_KEY", "/etc/registry/tls.key")
        .with_env_var("REGISTRY_AUTH", "htpasswd")
        .with_env_var("REGISTRY_AUTH_HTPASSWD_REALM", HOST)
        .with_env_var("REGISTRY_AUTH_HTPASSWD_PATH", "/etc/registry/htpasswd")
        .with_env_var("REGISTRY_STORAGE_DELETE_ENABLED", "true")
        // Files and not variables: the engine shows a container's variables to whoever asks.
        .with_copy_to(secret("/etc/registry/tls.crt"), certificates.certificate.into_bytes())
        .with_copy_to(secret("/etc/registry/tls.key"), certificates.key.into_bytes())
        .with_copy_to(secret("/etc/registry/htpasswd"), login.htpasswd()?.into_bytes())
        .with_host_config_modifier(|config| {
            // This machine alone, on any port that is free.
            let binding = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: None };
            config.publish_all_ports = Some(false);
            config.port_bindings = Some([(format!("{PORT}/tcp"), Some(vec![binding]))].into());
        })
        // It outlives this program: `e2e down` takes it away.
        .with_reuse(ReuseDirective::Always)
        .start()
        .await?;
    let inspected = docker.inspect_container(&container(&run.cluster), None::<InspectContainerOptions>).await?;
    let address =
        inspected.network_settings.and_then(|it| it.ports).and_then(published).ok_or(RegistryError::NoPort)?;
    Ok(Registry { address, login, authority: certificates.authority })
}

/// Puts the registry on the cluster's network, under its own name.
///
/// # Errors
/// When the engine refuses.
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
