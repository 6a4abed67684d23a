//! The versions of the programs and images that a run used.

use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::InspectContainerOptions;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{NodeSystemInfo, Pod, Service};
use kube::api::ListParams;
use kube::{Api, Client};

use super::definition::{ClusterSource, Scenario};
use crate::checks::environment::Prometheus;
use crate::checks::target::Target;
use crate::environment::images::Images;
use crate::environment::registry::run as registry;
use crate::environment::{cluster, command};
use container_engine::labels;

/// The timeout of a program that prints its version.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Programs and their versions. A program that does not answer is left out.
pub async fn collect(scenario: &Scenario, target: &Target) -> Vec<(String, String)> {
    let mut versions = vec![("e2e".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
    let mut add = |what: &str, version: Option<String>| {
        versions.extend(version.filter(|it| !it.is_empty()).map(|version| (what.to_owned(), version)));
    };
    add("git", first_line("git", &["--version"]).await);
    add("kubectl", kubectl().await);
    add("Docker", scenario.docker.version().await.ok().and_then(|it| it.version));
    add("Kubernetes", target.client.apiserver_version().await.ok().map(|info| info.git_version));
    if let Some(nodes) = cluster::nodes(&target.client).await {
        let node_versions = |pick: fn(&NodeSystemInfo) -> String| {
            let mut all: Vec<_> =
                nodes.iter().filter_map(|node| node.status.as_ref()?.node_info.as_ref().map(pick)).collect();
            all.sort();
            all.dedup();
            Some(all.join(" and "))
        };
        add("nodes", node_versions(|info| format!("{}, {}", info.os_image, info.architecture)));
        add("kernel", node_versions(|info| info.kernel_version.clone()));
        add("container runtime", node_versions(|info| info.container_runtime_version.clone()));
    }
    if let Some(prometheus) = &target.prometheus {
        add("Prometheus", prometheus_version(&target.client, prometheus).await);
    }
    match &scenario.cluster {
        ClusterSource::Kind(plan) => {
            add("kind", first_line("kind", &["version"]).await);
            add("Ingress controller", ingress_controller(&target.client).await);
            let container = registry::container(&plan.cluster);
            let inspected = scenario.docker.inspect_container(&container, None::<InspectContainerOptions>).await.ok();
            let image = inspected.and_then(|it| it.config?.image);
            add("registry", image);
        }
        // The API does not show the kind version that created the cluster.
        ClusterSource::Existing(_) => add("registry", target.registry.as_ref().map(|registry| registry.host.clone())),
    }
    versions
}

/// The images of jobs and services: the name in the pipeline file, and the image that was used.
pub async fn image_versions(docker: &Docker, images: &Images) -> Vec<(String, String)> {
    let mut versions = Vec::new();
    for (name, reference) in images.used() {
        let image = docker.inspect_image(&reference).await.ok();
        let (id, digests) = image.map(|it| (it.id, it.repo_digests.unwrap_or_default())).unwrap_or_default();
        versions.push((format!("image {name}"), image_version(&name, &reference, id, &digests)));
    }
    versions
}

/// The digest in the registry, or else the engine's own ID of the image.
fn image_version(name: &str, reference: &str, id: Option<String>, digests: &[String]) -> String {
    let digest = digests.first().and_then(|it| it.split_once('@')).map(|(_, digest)| digest.to_owned());
    let number = match (digest, id) {
        (Some(digest), _) => digest,
        (None, Some(id)) => format!("{id}, the engine's own ID"),
        (None, None) => "no longer present".to_owned(),
    };
    // An image of the catalog may replace it, or its name may be complete.
    if name == reference { number } else { format!("{reference}, {number}") }
}

/// Known only for the cluster of `e2e up`: the address of another controller does not reveal its version.
async fn ingress_controller(client: &Client) -> Option<String> {
    let deployments = Api::<Deployment>::namespaced(client.clone(), "ingress");
    let ours = ListParams::default().labels(labels::RUN);
    deployments.list(&ours).await.ok()?.items.first().map(crate::checks::image_of)
}

/// The program behind the Service of Prometheus.
async fn prometheus_version(client: &Client, prometheus: &Prometheus) -> Option<String> {
    let service = Api::<Service>::namespaced(client.clone(), &prometheus.namespace).get(&prometheus.service).await;
    let selector = service.ok()?.spec?.selector?;
    let selector = selector.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    let pods = Api::<Pod>::namespaced(client.clone(), &prometheus.namespace);
    let pods = pods.list(&ListParams::default().labels(&selector)).await.ok()?;
    image_of_prometheus(&pods.items)
}

/// The image of Prometheus in its pods, which may also contain a config reloader with a similar name.
fn image_of_prometheus(pods: &[Pod]) -> Option<String> {
    let containers = pods.iter().filter_map(|pod| pod.spec.as_ref()).flat_map(|spec| &spec.containers);
    let images: Vec<&str> = containers.filter_map(|container| container.image.as_deref()).collect();
    let exactly = images.iter().find(|image| repository(image) == "prometheus");
    exactly.or_else(|| images.iter().find(|image| image.contains("prometheus"))).map(|image| (*image).to_owned())
}

/// The last component of an image's name, without tag and digest.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split(':').next().unwrap_or(last)
}

/// The version of kubectl, from its JSON output: the text output differs between versions.
async fn kubectl() -> Option<String> {
    let printed = command::run("kubectl", &["version", "--client", "--output", "json"], TIMEOUT).await.ok()?;
    let printed: serde_json::Value = serde_json::from_str(&printed).ok()?;
    printed["clientVersion"]["gitVersion"].as_str().map(str::to_owned)
}

async fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let printed = command::run(program, arguments, TIMEOUT).await.ok()?;
    printed.lines().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::pulled("rust:1", "docker.io/library/rust:1", &["rust@sha256:ab"], "docker.io/library/rust:1, sha256:ab")]
    #[case::as_it_is_called("debian:13", "debian:13", &["debian@sha256:ab"], "sha256:ab")]
    #[case::built("rust:1", "own/rust:cd", &[], "own/rust:cd, sha256:ef, the engine's own ID")]
    fn images(#[case] name: &str, #[case] reference: &str, #[case] digests: &[&str], #[case] expected: &str) {
        let digests: Vec<_> = digests.iter().map(|it| (*it).to_owned()).collect();
        assert_eq!(image_version(name, reference, Some("sha256:ef".to_owned()), &digests), expected);
    }

    #[rstest]
    #[case::alone(&["quay.io/prometheus/prometheus:v2.53.3"], Some("quay.io/prometheus/prometheus:v2.53.3"))]
    #[case::behind_its_reloader(
        &["quay.io/prometheus-operator/prometheus-config-reloader:v0.80", "registry:5000/prometheus@sha256:ab"],
        Some("registry:5000/prometheus@sha256:ab")
    )]
    #[case::a_build_of_others(&["example.com/our-prometheus:1"], Some("example.com/our-prometheus:1"))]
    #[case::something_else(&["grafana/grafana:11"], None)]
    fn prometheus(#[case] images: &[&str], #[case] expected: Option<&str>) {
        let containers: Vec<_> = images.iter().map(|image| json!({"name": "a", "image": image})).collect();
        let pod: Pod = serde_json::from_value(json!({"spec": {"containers": containers}})).unwrap();
        assert_eq!(image_of_prometheus(&[pod]).as_deref(), expected);
    }
}
