//! The services of a job: GitLab Runner's `executors/docker/services.go`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use bollard::models::{ContainerCreateBody, ContainerInspectResponse};
use bollard::query_parameters::{InspectContainerOptions, StartContainerOptions};
use tokio::task::JoinHandle;

use super::container::CommonSettings;
use super::engine::Docker;
use super::resources::JobResources;
use crate::config::{Mount, ServiceConfig};
use crate::executor::reference;
use crate::executor::request::{ExecutorError, Request, ServiceRequest};
use crate::executor::runner_service::from_config;
use crate::job_settings::shows_services;
use crate::log::JobLog;
use container_engine::error_message;

/// Maximum number of a service's ports that are probed: `executors/docker/services.go`.
const MAX_PORTS: usize = 20;

/// A service to start.
pub(super) struct Planned {
    pub(super) request: ServiceRequest,
    /// All host names of the service.
    aliases: Vec<String>,
    /// Whether the service's output is copied to the job's log.
    is_shown: bool,
}

/// A running service.
pub(super) struct Running {
    /// The image as the job names it.
    pub(super) image: String,
    pub(super) aliases: Vec<String>,
    pub(super) container: String,
    /// The ports on which it may listen.
    pub(super) ports: Vec<u16>,
    pub(super) address: Option<IpAddr>,
    /// Background tasks, which are aborted when this is dropped.
    pub(super) tasks: Vec<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Running {
    /// The service's name in messages.
    pub(super) fn title(&self) -> String {
        format!("{} ({})", self.image, self.aliases.join(", "))
    }
}

/// The services of a job: those of the runner configuration, then the job's own. A host name that an earlier service has is left out,
/// and so is a service without any remaining host name.
pub(super) fn plan(runner_services: &[ServiceConfig], request: &Request, log: &JobLog) -> Vec<Planned> {
    let is_shown = shows_services(&request.variables);
    let runner_services = runner_services.iter().map(|service| from_config(service, &request.variables));
    let mut taken: Vec<String> = Vec::new();
    let mut planned = Vec::new();
    for service in runner_services.chain(request.services.iter().cloned()) {
        let mut aliases = Vec::new();
        for alias in reference::aliases(&service.image.name).into_iter().chain(service.aliases.clone()) {
            if taken.contains(&alias) {
                // An alias may repeat a host name that follows from the service's own image.
                if !aliases.contains(&alias) {
                    log.warn(&format!(
                        "service {} is not reachable as {alias}: another service has that name",
                        service.image.name
                    ));
                }
                continue;
            }
            taken.push(alias.clone());
            aliases.push(alias);
        }
        if aliases.is_empty() {
            log.warn(&format!("service {} is not started: other services have all its names", service.image.name));
            continue;
        }
        planned.push(Planned { request: service, aliases, is_shown });
    }
    planned
}

/// The directory of the client's certificates, if the job shares it with no service: with TLS, an engine in a service writes them there.
pub(super) fn unshared_certificates<'request>(volumes: &[Mount], request: &'request Request) -> Option<&'request str> {
    let set = request.variables.iter().rev().find(|variable| &*variable.key == "DOCKER_CERT_PATH")?;
    let path = Path::new(&*set.value);
    let is_shared = |target: &str| !target.is_empty() && path.starts_with(target);
    let builds = &request.job_dirs.builds;
    (path.is_absolute() && !is_shared(builds) && !volumes.iter().any(|volume| is_shared(volume.target())))
        .then_some(&set.value)
}

/// The services' lines for `/etc/hosts`, if the network does not resolve their names.
pub(super) fn hosts(services: &[Running], common: &CommonSettings<'_>) -> Vec<String> {
    if common.has_names() {
        return Vec::new();
    }
    let with_address = services.iter().filter_map(|service| Some((service, service.address?)));
    with_address
        .flat_map(|(service, address)| service.aliases.iter().map(move |alias| format!("{alias}:{address}")))
        .collect()
}

impl Docker {
    /// Starts a service from an image that the engine has.
    pub(super) async fn start(
        &self,
        planned: Planned,
        image: String,
        resources: &JobResources,
        common: &CommonSettings<'_>,
        log: &Arc<JobLog>,
    ) -> Result<Running, ExecutorError> {
        let Planned { request: service, aliases, is_shown } = planned;
        let name = service.image.name;
        log.say(&format!("Starting service {name} ..."));
        let body = ContainerCreateBody {
            env: Some(service.variables.iter().map(|(key, value)| format!("{key}={value}")).collect()),
            cmd: service.command,
            entrypoint: service.image.entrypoint,
            user: service.image.user,
            ..common.body(image, aliases.clone())
        };
        let what = aliases.first().map_or("service", String::as_str);
        let container = resources.container(what, body, service.image.platform.as_deref(), self.networks()).await?;
        self.put_certificates(&container).await?;
        let started = self.engine.start_container(&container, None::<StartContainerOptions>).await;
        started.map_err(|error| {
            let reason = error_message(&error);
            ExecutorError::system(format!("service {name} ({}) does not start: {reason}", aliases.join(", ")))
        })?;
        let inspected = self.engine.inspect_container(&container, None::<InspectContainerOptions>).await;
        let inspected = inspected.unwrap_or_default();
        let environment = inspected.config.as_ref().and_then(|config| config.env.as_deref()).unwrap_or_default();
        let set_port = healthcheck_port(environment)
            .map_err(|message| ExecutorError::system(format!("service {name}: {message}")))?;
        let ports = set_port.map_or_else(|| exposed(&inspected), |port| vec![port]);
        let address = if common.is_host() { Some(Ipv4Addr::LOCALHOST.into()) } else { address(inspected) };
        let mut running = Running { image: name, aliases, container, ports, address, tasks: Vec::new() };
        if is_shown {
            running.tasks.push(self.show(&running, log));
        }
        Ok(running)
    }
}

/// The port on which a service listens when it is ready, from its environment: that of its variables, or else of its image.
/// GitLab Runner's `executors/docker/services.go`
fn healthcheck_port(environment: &[String]) -> Result<Option<u16>, String> {
    let pairs = environment.iter().filter_map(|line| line.split_once('='));
    let Some((key, port)) = pairs.into_iter().find(|(key, _)| key.eq_ignore_ascii_case("HEALTHCHECK_TCP_PORT")) else {
        return Ok(None);
    };
    let is_port = |port: &u16| *port > 0;
    port.trim()
        .parse()
        .ok()
        .filter(is_port)
        .map(Some)
        .ok_or_else(|| format!("the value of {key} is {port:?}; expected a port between 1 and 65535"))
}

/// The TCP ports that the container exposes, sorted.
fn exposed(container: &ContainerInspectResponse) -> Vec<u16> {
    let exposed = container.config.as_ref().and_then(|config| config.exposed_ports.as_ref());
    let tcp = exposed.into_iter().flatten().filter_map(|port| port.strip_suffix("/tcp")?.parse().ok());
    let mut ports: Vec<u16> = tcp.collect();
    ports.sort_unstable();
    ports.truncate(MAX_PORTS);
    ports
}

fn address(container: ContainerInspectResponse) -> Option<IpAddr> {
    let networks = container.network_settings.and_then(|it| it.networks).unwrap_or_default();
    networks.into_values().find_map(|network| network.ip_address?.parse().ok())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::executor::request::ImageRequest;
    use crate::log::testing::log;
    use crate::workspace::job_dirs::JobDirs;
    use gitlab_ci::variables::collection::{Origin, Variable};

    fn request(services: Vec<ServiceRequest>, variables: Vec<Variable>) -> Request {
        let job_dirs = JobDirs { builds: "/builds".to_owned(), project: "/builds/p".to_owned() };
        Request {
            name: "job".into(),
            id: 1,
            timeout: std::time::Duration::from_hours(1),
            variables: Arc::new(variables),
            image: None,
            services,
            job_dirs,
        }
    }

    /// The planned services, and the lines of the log.
    fn planned(services: &[(&str, &str)], variables: Vec<Variable>) -> (Vec<Planned>, Vec<String>) {
        let (_dir, log) = log(&[]);
        let services = services.iter().map(|(name, aliases)| ServiceRequest {
            image: ImageRequest { name: (*name).to_owned(), ..ImageRequest::default() },
            aliases: aliases.split_whitespace().map(str::to_owned).collect(),
            ..ServiceRequest::default()
        });
        let request = request(services.collect(), variables);
        let runner_services = ServiceConfig { name: "redis:7".to_owned(), ..ServiceConfig::default() };
        let planned = plan(&[runner_services], &request, &log);
        (planned, log.last_lines())
    }

    #[rstest]
    #[case::none(&["PATH=/bin"], Ok(None))]
    #[case::port(&["PATH=/bin", "HEALTHCHECK_TCP_PORT=5432"], Ok(Some(5432)))]
    #[case::small_letters(&["healthcheck_tcp_port= 80 "], Ok(Some(80)))]
    #[case::word(&["HEALTHCHECK_TCP_PORT=http"], Err("the value of HEALTHCHECK_TCP_PORT is \"http\"; expected a port between 1 and 65535"))]
    #[case::zero(&["HEALTHCHECK_TCP_PORT=0"], Err("the value of HEALTHCHECK_TCP_PORT is \"0\"; expected a port between 1 and 65535"))]
    fn the_environment_names_a_port(#[case] environment: &[&str], #[case] expected: Result<Option<u16>, &str>) {
        let environment: Vec<String> = environment.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(healthcheck_port(&environment), expected.map_err(str::to_owned));
    }

    #[rstest]
    #[case::without_tls("", "/certs/client", None)]
    #[case::shared("/certs/client", "/certs/client", None)]
    #[case::a_parent_is_shared("/certs/client", "/certs", None)]
    #[case::in_the_project("/builds/p/certs", "/certs", None)]
    #[case::another_directory("/certs/client", "/certs/clients", Some("/certs/client"))]
    #[case::from_the_host("/certs/client", "/etc/docker:/certs/client:ro", None)]
    #[case::nothing("/certs/client", "/etc/docker:/docker", Some("/certs/client"))]
    fn certificates_that_no_service_can_write_are_found(
        #[case] path: &str,
        #[case] volume: &str,
        #[case] unshared: Option<&str>,
    ) {
        let bind = volume.contains(':').then(|| Mount::Bind(volume.to_owned()));
        let volume = bind.unwrap_or_else(|| Mount::Shared(volume.to_owned()));
        let request = Request {
            variables: Arc::new(vec![Variable::new("DOCKER_CERT_PATH", path, Origin::Job)]),
            ..request(Vec::new(), Vec::new())
        };
        assert_eq!(unshared_certificates(&[volume], &request), unshared);
    }

    #[rstest]
    #[case::from_the_image(&[("postgres:15", "")], &["redis", "postgres"], &[])]
    #[case::aliases_are_added(&[("docker:dind", "engine d")], &["redis", "docker engine d"], &[])]
    #[case::image_with_slashes(&[("r.test:5000/a/b", "")], &["redis", "r.test__a__b r.test-a-b"], &[])]
    #[case::alias_repeats_the_image(&[("docker:28-dind", "docker")], &["redis", "docker"], &[])]
    #[case::one_name_is_taken(
        &[("mysql:8", "db"), ("postgres:15", "db")],
        &["redis", "mysql db", "postgres"],
        &["WARNING: service postgres:15 is not reachable as db: another service has that name"]
    )]
    #[case::all_names_are_taken(
        &[("redis:6", "")],
        &["redis"],
        &[
            "WARNING: service redis:6 is not reachable as redis: another service has that name",
            "WARNING: service redis:6 is not started: other services have all its names",
        ]
    )]
    fn each_service_has_unique_names(
        #[case] services: &[(&str, &str)],
        #[case] expected: &[&str],
        #[case] warnings: &[&str],
    ) {
        let (planned, lines) = planned(services, Vec::new());
        assert_eq!(planned.iter().map(|service| service.aliases.join(" ")).collect::<Vec<_>>(), expected);
        assert_eq!(lines, warnings);
    }

    #[test]
    fn services_of_the_runner_have_the_public_variables() {
        let secret = Variable { masked: true, ..Variable::new("SECRET", "x", Origin::Job) };
        let variables = vec![Variable::new("A", "1", Origin::Job), Variable::new("B", "2", Origin::Project), secret];
        let (planned, _) = planned(&[], variables);
        assert_eq!(planned[0].request.variables, [("A".to_owned(), "1".to_owned())]);
    }
}
