//! The Service of Prometheus.

use k8s_openapi::api::core::v1::{Service, ServicePort};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::choice::Search;
use crate::checks::environment::{Prometheus, ask};
use crate::checks::target::Target;
use container_engine::error_chain::error_chain;

/// The remedy if no Prometheus is found.
const REMEDY: &str = "pass it with `--prometheus NAMESPACE/SERVICE:PORT`";

/// Port names that charts and manifests give to Prometheus' API.
const PORT_NAMES: [&str; 4] = ["http", "web", "http-web", "prometheus"];

/// The port of Prometheus by default.
const PORT: i32 = 9090;

/// Other programs whose Services have `prometheus` in their names.
const OTHERS: [&str; 6] = ["alertmanager", "node-exporter", "kube-state-metrics", "pushgateway", "adapter", "operator"];

/// Finds the Service that answers as Prometheus. Of several, it is the one with targets in the namespace.
pub(super) async fn find(target: &Target) -> Search<Prometheus> {
    let services = Api::<Service>::all(target.client.clone()).list(&ListParams::default()).await;
    let services = services.map_err(|error| {
        format!("the account cannot list the Services of the cluster ({}); {REMEDY}", error_chain(&error))
    })?;
    let candidates: Vec<Prometheus> = services.iter().filter_map(candidate).collect();
    if candidates.is_empty() {
        return Err(format!("no Service is named or labeled prometheus and has its port; {REMEDY}"));
    }
    let mut answering = Vec::new();
    for candidate in &candidates {
        if let Some(version) = version(target, candidate).await {
            if scrapes(target, candidate).await {
                let reason = format!("it is Prometheus {version}, with targets in namespace {}", target.namespace);
                return Ok((candidate.clone(), reason));
            }
            answering.push((candidate.clone(), format!("it is Prometheus {version}, the only one that answers")));
        }
    }
    let names = |all: &[Prometheus]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match answering.len() {
        0 => Err(format!("no answer of Prometheus from {}; {REMEDY}", names(&candidates))),
        1 => answering.pop().ok_or_else(String::new),
        _ => {
            let all: Vec<Prometheus> = answering.into_iter().map(|(service, _)| service).collect();
            Err(format!("none of {} has a target in namespace {}; {REMEDY}", names(&all), target.namespace))
        }
    }
}

/// The Service of a Prometheus by its name, labels and ports.
fn candidate(service: &Service) -> Option<Prometheus> {
    let name = service.name_any();
    let labels = ["app.kubernetes.io/name", "app"].map(|key| service.labels().get(key).map(String::as_str));
    // `prometheus-operated` is the Service of each Prometheus of the operator.
    let is_named = name.contains("prometheus")
        && (name == "prometheus-operated" || !OTHERS.iter().any(|other| name.contains(other)));
    if !is_named && !labels.contains(&Some("prometheus")) {
        return None;
    }
    let ports = service.spec.as_ref()?.ports.as_ref()?;
    let is_named = |port: &&ServicePort| port.name.as_deref().is_some_and(|name| PORT_NAMES.contains(&name));
    let port = ports.iter().find(|port| port.port == PORT).or_else(|| ports.iter().find(is_named))?;
    let port = port.name.clone().unwrap_or_else(|| port.port.to_string());
    Some(Prometheus { namespace: service.namespace()?, service: name, port })
}

/// The version, if the Service answers as Prometheus. <https://prometheus.io/docs/prometheus/latest/querying/api/#build-information>
async fn version(target: &Target, service: &Prometheus) -> Option<String> {
    let data = get(target, service, "/api/v1/status/buildinfo").await?;
    data["version"].as_str().map(str::to_owned)
}

/// Whether it has a target in the namespace. <https://prometheus.io/docs/prometheus/latest/querying/api/#targets>
async fn scrapes(target: &Target, service: &Prometheus) -> bool {
    let Some(data) = get(target, service, "/api/v1/targets?state=active").await else { return false };
    let targets = data["activeTargets"].as_array().cloned().unwrap_or_default();
    targets.iter().any(|it| it["discoveredLabels"]["__meta_kubernetes_namespace"] == *target.namespace)
}

async fn get(target: &Target, service: &Prometheus, path: &str) -> Option<serde_json::Value> {
    let (status, body) = ask(&target.client, "GET", &service.proxied(path)).await.ok()?;
    let answer = serde_json::from_str::<serde_json::Value>(&body).ok()?;
    (status == 200 && answer["status"] == "success").then(|| answer["data"].clone())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::this_project(json!({"name": "prometheus"}), json!([{"name": "http", "port": 9090}]), Some("monitoring/prometheus:http"))]
    #[case::operator(json!({"name": "prometheus-operated"}), json!([{"name": "web", "port": 9090}]), Some("monitoring/prometheus-operated:web"))]
    #[case::chart(
        json!({"name": "p-server", "labels": {"app.kubernetes.io/name": "prometheus"}}),
        json!([{"name": "http", "port": 80}]), Some("monitoring/p-server:http")
    )]
    #[case::no_name_of_the_port(json!({"name": "my-prometheus"}), json!([{"port": 9090}]), Some("monitoring/my-prometheus:9090"))]
    #[case::reloader_first(
        json!({"name": "prometheus"}), json!([{"name": "reloader-web", "port": 8080}, {"name": "http-web", "port": 9090}]),
        Some("monitoring/prometheus:http-web")
    )]
    #[case::exporter(json!({"name": "prometheus-node-exporter"}), json!([{"name": "http", "port": 9100}]), None)]
    #[case::operator_itself(json!({"name": "prometheus-operator"}), json!([{"name": "http", "port": 8080}]), None)]
    #[case::another(json!({"name": "grafana"}), json!([{"name": "http", "port": 9090}]), None)]
    fn a_service_of_prometheus_is_recognized(
        #[case] metadata: serde_json::Value,
        #[case] ports: serde_json::Value,
        #[case] expected: Option<&str>,
    ) {
        let mut service: Service =
            serde_json::from_value(json!({"metadata": metadata, "spec": {"ports": ports}})).unwrap();
        service.metadata.namespace = Some("monitoring".to_owned());
        assert_eq!(candidate(&service).map(|it| it.to_string()).as_deref(), expected);
    }
}
