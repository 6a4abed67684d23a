//! The address at which the Ingress controller answers for the hosts of the environments.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::choice::{Search, path_of};
use super::environments::Deployed;
use super::forward::Forward;
use crate::checks::causes::traffic;
use crate::checks::http::Http;
use crate::checks::load::host_of;
use crate::checks::target::Target;

/// What the user can do if no address is found.
const REMEDY: &str = "pass it with `--ingress ADDRESS:PORT`";

/// Time limit for a response: an address that this machine cannot reach usually does not answer at all.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The port of HTTP.
const HTTP: u16 = 80;

/// The label of a controller's pods.
const NAME: &str = traffic::NAME;

/// An address of the controller.
pub(super) struct Controller {
    pub(super) address: SocketAddr,
    /// The port of this machine, if the address is one.
    pub(super) forward: Option<Forward>,
}

/// An address that may lead to the controller.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    /// The address or name.
    host: String,
    port: u16,
    /// Where it is noted.
    source: String,
}

/// What answers at an address.
enum Answer {
    /// The service of this repository.
    Service,
    /// Another program, or the controller without the service.
    Other,
}

/// Finds an address. One at which the service answers is better than one at which only something answers.
pub(super) async fn find(target: &Target, deployed: &[Deployed], is_read_only: bool) -> Search<Controller> {
    let ingresses: Vec<&Ingress> = deployed.iter().filter_map(|it| it.ingress.as_ref()).collect();
    let hosts: Vec<&str> = deployed.iter().map(|it| &*it.host).collect();
    let ingress = ingresses.first().ok_or("no environment has an Ingress")?;
    let pods = controller_pods(target, ingress).await;
    let services = services_of(target, &pods).await;
    let nodes = Api::<Node>::all(target.client.clone()).list(&ListParams::default()).await;
    let nodes: Vec<Node> = nodes.into_iter().flatten().collect();
    let mut candidates: Vec<Candidate> = ingresses.iter().flat_map(|ingress| of_status(ingress)).collect();
    candidates.extend(services.iter().flat_map(|service| of_service(service, &nodes)));
    candidates.extend(pods.iter().flat_map(of_host_ports));
    let mut other = None;
    for candidate in &candidates {
        match probe(candidate, &hosts).await {
            Some((address, Answer::Service)) => {
                let reason = format!("{}; the service answers there", candidate.source);
                return Ok((Controller { address, forward: None }, reason));
            }
            Some((address, Answer::Other)) => {
                other.get_or_insert((address, candidate.source.clone()));
            }
            None => {}
        }
    }
    let tried: Vec<String> = candidates.iter().map(|it| format!("{}:{}", it.host, it.port)).collect();
    let tried = if tried.is_empty() { String::new() } else { format!("; nothing answers at {}", tried.join(", ")) };
    if is_read_only {
        if let Some((address, source)) = other {
            return Ok((Controller { address, forward: None }, format!("{source}; something answers there")));
        }
        return Err(format!(
            "this machine reaches no address of the controller, and --read-only forwards no port{tried}; {REMEDY}"
        ));
    }
    let forwarded = forward(target, &pods, &services, &hosts).await;
    let is_served = matches!(forwarded, Some((_, _, Some(Answer::Service))));
    match (forwarded, other) {
        (Some((controller, pod, _)), None) => {
            Ok((controller, format!("it leads to Pod {pod}, through the API server{tried}")))
        }
        (Some((controller, pod, _)), Some(_)) if is_served => {
            Ok((controller, format!("it leads to Pod {pod}, through the API server; the service answers there")))
        }
        (_, Some((address, source))) => {
            Ok((Controller { address, forward: None }, format!("{source}; something answers there")))
        }
        (None, None) => Err(format!("no ready pod of the controller of its IngressClass is found{tried}; {REMEDY}")),
    }
}

/// The ready pods of the controller that serves an Ingress.
async fn controller_pods(target: &Target, ingress: &Ingress) -> Vec<Pod> {
    let classes = Api::<IngressClass>::all(target.client.clone()).list(&ListParams::default()).await;
    let classes: Vec<IngressClass> = classes.into_iter().flatten().collect();
    let Some(class) = traffic::class(ingress, &classes) else { return Vec::new() };
    let names = traffic::controller_names(class);
    let mut found = Vec::new();
    for label in [NAME, "app"] {
        let parameters = ListParams::default().labels(&format!("{label} in ({})", names.join(",")));
        let pods = Api::<Pod>::all(target.client.clone()).list(&parameters).await;
        found = pods.into_iter().flatten().filter(is_ready).collect();
        if !found.is_empty() {
            break;
        }
    }
    found
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The Services that select one of the pods, with a port for HTTP.
async fn services_of(target: &Target, pods: &[Pod]) -> Vec<Service> {
    let Some(namespace) = pods.first().and_then(ResourceExt::namespace) else { return Vec::new() };
    let services = Api::<Service>::namespaced(target.client.clone(), &namespace).list(&ListParams::default()).await;
    let selects = |service: &Service| {
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default();
        !selector.is_empty() && pods.iter().any(|pod| contains(pod.labels(), &selector))
    };
    services.into_iter().flatten().filter(selects).collect()
}

fn contains(labels: &BTreeMap<String, String>, selector: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// The addresses in the status of an Ingress.
fn of_status(ingress: &Ingress) -> Vec<Candidate> {
    let status = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let points = status.and_then(|balancer| balancer.ingress.clone()).unwrap_or_default();
    let source = format!("the status of Ingress {}", path_of(ingress));
    let host = points.into_iter().filter_map(|point| point.ip.or(point.hostname));
    host.map(|host| Candidate { host, port: HTTP, source: source.clone() }).collect()
}

/// The addresses of a Service outside of the cluster: those of its load balancer, and those of the nodes.
fn of_service(service: &Service, nodes: &[Node]) -> Vec<Candidate> {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.clone()).unwrap_or_default();
    let Some(port) = ports.into_iter().find(|port| port.port == i32::from(HTTP)) else { return Vec::new() };
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.clone());
    let points = balancer.and_then(|balancer| balancer.ingress).unwrap_or_default();
    let name = path_of(service);
    let of_balancer = points.into_iter().filter_map(|point| point.ip.or(point.hostname)).map(|host| Candidate {
        host,
        port: HTTP,
        source: format!("the load balancer of Service {name}"),
    });
    let node_port = port.node_port.and_then(|port| u16::try_from(port).ok());
    let of_nodes = node_port.into_iter().flat_map(|port| {
        let source = format!("the node port of Service {name}");
        addresses(nodes).map(move |host| Candidate { host, port, source: source.clone() })
    });
    of_balancer.chain(of_nodes).collect()
}

fn addresses(nodes: &[Node]) -> impl Iterator<Item = String> {
    let all = nodes.iter().flat_map(|node| node.status.iter().flat_map(|status| status.addresses.iter().flatten()));
    all.filter(|address| matches!(&*address.type_, "ExternalIP" | "InternalIP")).map(|address| address.address.clone())
}

/// The addresses of the nodes whose ports the containers of a pod use.
fn of_host_ports(pod: &Pod) -> Vec<Candidate> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let ports = containers.flat_map(|container| container.ports.iter().flatten()).filter_map(|port| port.host_port);
    let node = pod.status.as_ref().and_then(|status| status.host_ip.clone());
    let is_http = ports.into_iter().any(|port| port == i32::from(HTTP));
    let source = format!("the node port of Pod {}", path_of(pod));
    node.filter(|_| is_http).into_iter().map(|host| Candidate { host, port: HTTP, source: source.clone() }).collect()
}

/// What answers at a candidate's address, for any of the hosts.
async fn probe(candidate: &Candidate, hosts: &[&str]) -> Option<(SocketAddr, Answer)> {
    let looked_up = timeout(TIMEOUT, lookup_host((&*candidate.host, candidate.port))).await.ok()?.ok()?;
    let address = looked_up.into_iter().next()?;
    Some((address, answer(address, hosts).await?))
}

async fn answer(address: SocketAddr, hosts: &[&str]) -> Option<Answer> {
    let http = Http::new(address).ok()?;
    let mut found = None;
    for host in hosts {
        match timeout(TIMEOUT, http.get(host, "/")).await {
            Ok(Ok((200, body))) if host_of(&body).is_some() => return Some(Answer::Service),
            Ok(Ok(_)) => found = Some(Answer::Other),
            _ => return found,
        }
    }
    found
}

/// A port of this machine that leads to a pod of the controller: the one that serves the hosts, or else the first.
async fn forward(
    target: &Target,
    pods: &[Pod],
    services: &[Service],
    hosts: &[&str],
) -> Option<(Controller, String, Option<Answer>)> {
    let mut first = None;
    for pod in pods {
        let (Some(namespace), Some(port)) = (pod.namespace(), http_port(pod, services)) else { continue };
        let api = Api::namespaced(target.client.clone(), &namespace);
        let Ok((forward, address)) = Forward::begin(api, pod.name_any(), port).await else { continue };
        let answer = answer(address, hosts).await;
        let is_served = matches!(answer, Some(Answer::Service));
        let found = (Controller { address, forward: Some(forward) }, path_of(pod), answer);
        if is_served {
            return Some(found);
        }
        first.get_or_insert(found);
    }
    first
}

/// The port of a pod to which a Service leads from the port of HTTP; without a Service, the one with a usual name.
fn http_port(pod: &Pod, services: &[Service]) -> Option<u16> {
    let all = pod.spec.iter().flat_map(|spec| &spec.containers).flat_map(|container| container.ports.iter().flatten());
    let all: Vec<_> = all.collect();
    let named =
        |wanted: &str| all.iter().find(|port| port.name.as_deref() == Some(wanted)).map(|port| port.container_port);
    let ports = services.iter().flat_map(|service| service.spec.iter().flat_map(|spec| spec.ports.iter().flatten()));
    let of_service = ports.filter(|port| port.port == i32::from(HTTP)).find_map(|port| match &port.target_port {
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => named(name),
        None => Some(port.port),
    });
    let port = of_service.or_else(|| ["web", "http"].into_iter().find_map(named))?;
    u16::try_from(port).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    fn object<K: DeserializeOwned>(value: Value) -> K {
        serde_json::from_value(value).unwrap()
    }

    fn shown(candidates: Vec<Candidate>) -> Vec<String> {
        candidates.into_iter().map(|it| format!("{}:{}: {}", it.host, it.port, it.source)).collect()
    }

    #[test]
    fn the_addresses_of_the_controller_are_listed_with_their_source() {
        let ingress = object(json!({
            "metadata": {"name": "dev", "namespace": "gitlab"},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb.example.com"}]}}
        }));
        let status = "the status of Ingress gitlab/dev";
        assert_eq!(
            shown(of_status(&ingress)),
            [format!("192.0.2.1:80: {status}"), format!("lb.example.com:80: {status}")]
        );

        let service = object(json!({
            "metadata": {"name": "traefik", "namespace": "ingress"},
            "spec": {"ports": [{"port": 443, "nodePort": 30443}, {"port": 80, "nodePort": 30080}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}]}}
        }));
        let node = object(json!({"status": {"addresses": [
            {"type": "Hostname", "address": "node-1"}, {"type": "InternalIP", "address": "10.0.0.1"}
        ]}}));
        let expected = [
            "192.0.2.2:80: the load balancer of Service ingress/traefik",
            "10.0.0.1:30080: the node port of Service ingress/traefik",
        ];
        assert_eq!(shown(of_service(&service, &[node])), expected);

        let pod = object(json!({
            "metadata": {"name": "traefik-1", "namespace": "ingress"},
            "spec": {"containers": [{"name": "traefik", "ports": [{"containerPort": 8000, "hostPort": 80}]}]},
            "status": {"hostIP": "10.0.0.2"}
        }));
        assert_eq!(shown(of_host_ports(&pod)), ["10.0.0.2:80: the node port of Pod ingress/traefik-1"]);
    }

    #[rstest]
    #[case::by_name(json!([{"port": 80, "targetPort": "http"}]), Some(8000))]
    #[case::by_number(json!([{"port": 443, "targetPort": 8443}, {"port": 80, "targetPort": 8080}]), Some(8080))]
    #[case::the_same(json!([{"port": 80}]), Some(80))]
    #[case::no_service(json!([]), Some(8000))]
    fn the_port_for_http_is_that_of_the_service(#[case] ports: Value, #[case] expected: Option<u16>) {
        let ports_of_pod = json!([{"name": "http", "containerPort": 8000}]);
        let pod = object(json!({"spec": {"containers": [{"name": "traefik", "ports": ports_of_pod}]}}));
        assert_eq!(http_port(&pod, &[object(json!({"spec": {"ports": ports}}))]), expected);
    }
}
