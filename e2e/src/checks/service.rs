//! Checks that every pod responds through the Service.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt;
use tokio::time::{Instant, sleep};

use super::check::{Evidence, Outcome};
use super::environment::{Environment, ask, object_ref};
use super::failure::expected;
use super::load::host_of;
use super::readiness::ready_pods;
use crate::record::Failure;
use gitlab_runner::executor::kubernetes::is_subdomain;

/// Pause between two requests.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

pub(super) async fn run(environment: Environment) -> Outcome {
    let mut evidence = Evidence::default();
    let service = environment.service().await?;
    let port = service.spec.as_ref().and_then(|spec| spec.ports.as_ref()?.first()).map_or(0, |port| port.port);
    let path = format!("/api/v1/namespaces/{}/services/{}:{port}/proxy/", environment.namespace, service.name_any());
    let pods: BTreeSet<String> = environment.some_pods().await?.iter().map(ResourceExt::name_any).collect();
    let started = Instant::now();
    let (mut seen, mut last) = (BTreeSet::new(), String::new());
    while !pods.is_subset(&seen) {
        if started.elapsed() > environment.timeout {
            let endpoints = ready_pods(&environment, &service.name_any()).await?;
            let joined = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
            return Err(expected(format!("responses from {}", joined(&pods)))
                .actual(if seen.is_empty() { last } else { format!("responses only from {}", joined(&seen)) })
                .at(object_ref(&service))
                .with(&format!("endpoints: {}", joined(&endpoints)))
                .with(&environment.diagnostics(&service).await)
                .hint(
                    "the Service's selector or targetPort matches no pod, or its pods are not ready",
                    "make it select `app` and `ref` of the Deployment, with targetPort http-metrics",
                ));
        }
        match ask(&environment.client, "GET", &path).await? {
            (200, body) => {
                if let Some(host) = host_of(&body)
                    && seen.insert(host.to_owned())
                {
                    require_own_pod(&environment, &service, host).await?;
                }
            }
            // The Service may have been deleted since: then this names it.
            (404, body) => {
                environment.service().await?;
                last = format!("404: {}", body.trim());
            }
            (status, body) => last = format!("{status}: {}", body.trim()),
        }
        sleep(POLL_INTERVAL).await;
    }
    // The API server chooses an endpoint at random: one of another environment may not have responded yet.
    for host in ready_pods(&environment, &service.name_any()).await? {
        require_own_pod(&environment, &service, &host).await?;
    }
    evidence.add(format!(
        "{}: responses from {}",
        object_ref(&service),
        pods.into_iter().collect::<Vec<_>>().join(" and ")
    ));
    Ok(evidence)
}

/// Fails if the response is from a pod that does not belong to the environment. A pod that no longer exists is accepted, because it may
/// have been one of the environment's.
async fn require_own_pod(environment: &Environment, service: &Service, host: &str) -> Result<(), Failure> {
    // The pod chooses the name in its response, and the name becomes part of an API path.
    if !is_subdomain(host) {
        return Err(expected("a response with the name of a pod").actual(host).at(object_ref(service)).hint(
            "the Service selects pods of another service",
            "make it select `app` and `ref`, as manifests/service.yaml does",
        ));
    }
    let Some(pod) = environment.api::<Pod>().get_opt(host).await? else { return Ok(()) };
    let reference = pod.labels().get("ref").cloned().unwrap_or_else(|| "no environment".to_owned());
    if reference == environment.reference {
        return Ok(());
    }
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default();
    let selector = selector.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ");
    Err(expected(format!("responses only from pods with ref={}", environment.reference))
        .actual(format!("{host}, of {reference}"))
        .at(object_ref(service))
        .with(&format!("its selector: {selector}"))
        .caused_by(
            "the Service selects the pods of another environment",
            "make it select `ref` in addition to `app`, as manifests/service.yaml does",
        ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("gitlab-k8s-demo-dev-5d4f8c7b9-x2x7p", true)]
    #[case("", false)]
    #[case("..", false)]
    #[case("web/log", false)]
    #[case("web?x", false)]
    #[case("Web", false)]
    fn the_name_of_a_pod(#[case] name: &str, #[case] expected: bool) {
        assert_eq!(is_subdomain(name), expected);
    }
}
