//! The services of a job: further containers of its pod. GitLab Runner's `executors/kubernetes/kubernetes.go`, `host_aliases.go`

use super::layout::{BUILD, HELPER};
use super::names::{is_label, is_subdomain};
use crate::config::ServiceConfig;
use crate::executor::reference;
use crate::executor::request::{ExecutorError, Request, ServiceRequest};
use crate::executor::runner_service::from_config;

/// A service of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) request: ServiceRequest,
    /// The name of its container.
    pub(super) container: String,
    /// Its host names.
    pub(super) hosts: Vec<String>,
    /// `HEALTHCHECK_TCP_PORT`: the port on which it listens when it is ready.
    pub(super) port: Option<u16>,
}

impl Service {
    /// The service's name in messages.
    pub(super) fn title(&self) -> String {
        format!("{} ({})", self.request.image.name, self.hosts.join(", "))
    }
}

/// The services of a job: those of the runner configuration, then the job's own.
///
/// # Errors
/// An alias is not a host name, or is the name of a container that every job has.
pub(super) fn plan(config: &[ServiceConfig], request: &Request) -> Result<Vec<Service>, ExecutorError> {
    let runner_services = config.iter().map(|service| from_config(service, &request.variables));
    let mut planned: Vec<Service> = Vec::new();
    for (number, service) in runner_services.chain(request.services.iter().cloned()).enumerate() {
        let name = &service.image.name;
        for alias in &service.aliases {
            if !is_subdomain(alias) {
                return Err(ExecutorError::system(format!(
                    "alias `{alias}` of service {name} is not a host name: Kubernetes allows a-z, 0-9, - and dots; rename the alias"
                )));
            }
            if alias == BUILD || alias == HELPER {
                return Err(ExecutorError::system(format!(
                    "alias `{alias}` of service {name} is the name of a container that every job has; rename the alias"
                )));
            }
        }
        // A name that follows from the image may have characters that a host name cannot have. It is left out, as in GitLab Runner.
        let derived = reference::aliases(name).into_iter().filter(|alias| is_subdomain(alias));
        let mut hosts: Vec<String> = Vec::new();
        for alias in service.aliases.iter().cloned().chain(derived) {
            if !hosts.contains(&alias) {
                hosts.push(alias);
            }
        }
        let is_free = |name: &&String| {
            is_label(name) && *name != BUILD && *name != HELPER && planned.iter().all(|other| other.container != **name)
        };
        let container = hosts.iter().find(is_free).cloned().unwrap_or_else(|| format!("svc-{number}"));
        let port = service.variables.iter().rev().find(|(key, _)| key == "HEALTHCHECK_TCP_PORT");
        let port = port.and_then(|(_, port)| port.trim().parse().ok());
        planned.push(Service { request: service, container, hosts, port });
    }
    Ok(planned)
}

/// A warning about services that listen on the same port, which only one of them can do: they share the network of the pod.
pub(super) fn shared_port(services: &[Service]) -> Option<String> {
    let mut all = services.iter().enumerate().filter_map(|(index, service)| Some((index, service, service.port?)));
    all.find_map(|(index, service, port)| {
        let other = services.get(..index)?.iter().find(|other| other.port == Some(port))?;
        Some(format!(
            "services {} and {} both listen on port {port}: the containers of a pod share one network, so one of them must use \
             another port",
            other.title(),
            service.title()
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rstest::rstest;

    use super::*;
    use crate::executor::request::ImageRequest;
    use crate::workspace::job_dirs::JobDirs;

    fn planned(services: &[(&str, &str)]) -> Result<Vec<Service>, String> {
        let services = services.iter().map(|(name, aliases)| ServiceRequest {
            image: ImageRequest { name: (*name).to_owned(), ..ImageRequest::default() },
            aliases: aliases.split_whitespace().map(str::to_owned).collect(),
            variables: vec![("HEALTHCHECK_TCP_PORT".to_owned(), "5432".to_owned())],
            ..ServiceRequest::default()
        });
        let request = Request {
            name: "job".into(),
            id: 1,
            timeout: Duration::from_hours(1),
            variables: Arc::default(),
            image: None,
            services: services.collect(),
            job_dirs: JobDirs { builds: "/builds".to_owned(), project: "/builds/p".to_owned() },
        };
        plan(&[], &request).map_err(|error| error.message)
    }

    #[rstest]
    #[case::alias_first(&[("postgres:15", "db")], &["db: db postgres"])]
    #[case::several_aliases(&[("a:1", "x.y z")], &["z: x.y z a"])]
    #[case::from_the_image(&[("r.test:5000/a/b:1", "")], &["svc-0: r.test-a-b"])]
    #[case::name_is_taken(&[("a:1", "db"), ("db:2", "")], &["db: db a", "svc-1: db"])]
    #[case::own_container(&[("helper:1", "")], &["svc-0: helper"])]
    fn containers_and_host_names_follow_from_aliases(#[case] services: &[(&str, &str)], #[case] expected: &[&str]) {
        let services = planned(services).unwrap();
        let actual: Vec<_> = services.iter().map(|it| format!("{}: {}", it.container, it.hosts.join(" "))).collect();
        assert_eq!(actual, expected);
    }

    #[rstest]
    #[case::underscore("my_db", "alias `my_db` of service postgres:15 is not a host name")]
    #[case::helper("helper", "alias `helper` of service postgres:15 is the name of a container")]
    fn an_alias_that_no_pod_can_have_is_refused(#[case] alias: &str, #[case] expected: &str) {
        let error = planned(&[("postgres:15", alias)]).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn two_services_on_one_port_are_reported() {
        let services = planned(&[("postgres:15", "a"), ("postgres:16", "b")]).unwrap();
        let warning = shared_port(&services).unwrap();
        assert!(
            warning.starts_with("services postgres:15 (a, postgres) and postgres:16 (b, postgres) both"),
            "{warning}"
        );
        assert_eq!(shared_port(services.get(..1).unwrap()), None);
    }
}
