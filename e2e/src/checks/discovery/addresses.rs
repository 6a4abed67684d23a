//! The addresses of a controller, as its objects note them.

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::choice::path_of;
use crate::checks::gateway_api::Gateway;

/// The port of HTTP.
pub(super) const HTTP: u16 = 80;

/// Maximum number of nodes' addresses that are tried: each node forwards its node port to the controller.
const MAX_NODES: usize = 4;

/// An address that may lead to the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The address or name.
    pub(super) host: String,
    pub(super) port: u16,
    /// Where it is noted.
    pub(super) source: String,
}

/// The addresses in the status of an Ingress.
pub(super) fn from_status(ingress: &Ingress) -> Vec<Candidate> {
    let status = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let points = status.and_then(|balancer| balancer.ingress.clone()).unwrap_or_default();
    let source = format!("the status of Ingress {}", path_of(ingress));
    let host = points.into_iter().filter_map(|point| point.ip.or(point.hostname));
    host.map(|host| Candidate { host, port: HTTP, source: source.clone() }).collect()
}

/// The addresses of a Service outside of the cluster: those of its load balancer, and those of the nodes.
pub(super) fn from_service(service: &Service, nodes: &[Node], ports: &[u16]) -> Vec<Candidate> {
    let all = service.spec.as_ref().and_then(|spec| spec.ports.clone()).unwrap_or_default();
    let Some(port) = all.into_iter().find(|port| is_one_of(port.port, ports)) else { return Vec::new() };
    let Ok(number) = u16::try_from(port.port) else { return Vec::new() };
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.clone());
    let points = balancer.and_then(|balancer| balancer.ingress).unwrap_or_default();
    let name = path_of(service);
    let balancers = points.into_iter().filter_map(|point| point.ip.or(point.hostname)).map(|host| Candidate {
        host,
        port: number,
        source: format!("the load balancer of Service {name}"),
    });
    let node_port = port.node_port.and_then(|port| u16::try_from(port).ok());
    let node_ports = node_port.into_iter().flat_map(|port| {
        let source = format!("the node port of Service {name}");
        addresses(nodes).take(MAX_NODES).map(move |host| Candidate { host, port, source: source.clone() })
    });
    balancers.chain(node_ports).collect()
}

fn addresses(nodes: &[Node]) -> impl Iterator<Item = String> {
    let all = nodes.iter().flat_map(|node| node.status.iter().flat_map(|status| status.addresses.iter().flatten()));
    all.filter(|address| matches!(&*address.type_, "ExternalIP" | "InternalIP")).map(|address| address.address.clone())
}

/// The addresses of the nodes whose ports the containers of a pod use.
pub(super) fn from_host_ports(pod: &Pod, ports: &[u16]) -> Vec<Candidate> {
    let node = pod.status.as_ref().and_then(|status| status.host_ip.clone());
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let all = containers.flat_map(|container| container.ports.iter().flatten());
    let is_http = |host_port, container_port| is_one_of(host_port, ports) || is_one_of(container_port, ports);
    let port = all.filter_map(|port| Some((port.host_port?, port.container_port))).find(|(a, b)| is_http(*a, *b));
    let port = port.and_then(|(port, _)| u16::try_from(port).ok());
    let source = format!("the node port of Pod {}", path_of(pod));
    node.zip(port).into_iter().map(|(host, port)| Candidate { host, port, source: source.clone() }).collect()
}

/// The addresses in the status of a Gateway, with the ports of its listeners for HTTP.
pub(super) fn from_gateway(gateway: &Gateway) -> Vec<Candidate> {
    let source = format!("the status of Gateway {}", path_of(gateway));
    let hosts = gateway.status.addresses.iter().map(|address| address.value.clone());
    let candidate = |host: String| listeners(gateway).into_iter().map(move |port| (host.clone(), port));
    hosts.flat_map(candidate).map(|(host, port)| Candidate { host, port, source: source.clone() }).collect()
}

/// The ports of a Gateway's listeners for HTTP.
pub(super) fn listeners(gateway: &Gateway) -> Vec<u16> {
    let http = gateway.spec.listeners.iter().filter(|listener| listener.protocol == "HTTP");
    http.map(|listener| listener.port).collect()
}

fn is_one_of(port: i32, ports: &[u16]) -> bool {
    ports.iter().any(|one| i32::from(*one) == port)
}

/// The port of a pod to which a Service leads from the port of HTTP; without a Service, the one with a usual name.
pub(super) fn http_port(pod: &Pod, services: &[&Service], ports: &[u16]) -> Option<u16> {
    let all = pod.spec.iter().flat_map(|spec| &spec.containers).flat_map(|container| container.ports.iter().flatten());
    let all: Vec<_> = all.collect();
    let named =
        |wanted: &str| all.iter().find(|port| port.name.as_deref() == Some(wanted)).map(|port| port.container_port);
    let service_ports =
        services.iter().flat_map(|service| service.spec.iter().flat_map(|spec| spec.ports.iter().flatten()));
    let target_port =
        service_ports.filter(|port| is_one_of(port.port, ports)).find_map(|port| match &port.target_port {
            Some(IntOrString::Int(number)) => Some(*number),
            Some(IntOrString::String(name)) => named(name),
            None => Some(port.port),
        });
    let own = || all.iter().map(|port| port.container_port).find(|port| is_one_of(*port, ports));
    let port = target_port.or_else(own).or_else(|| ["web", "http"].into_iter().find_map(named))?;
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
            shown(from_status(&ingress)),
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
        assert_eq!(shown(from_service(&service, &[node], &[HTTP])), expected);

        let pod = object(json!({
            "metadata": {"name": "traefik-1", "namespace": "ingress"},
            "spec": {"containers": [{"name": "traefik", "ports": [{"containerPort": 8000, "hostPort": 80}]}]},
            "status": {"hostIP": "10.0.0.2"}
        }));
        assert_eq!(shown(from_host_ports(&pod, &[HTTP])), ["10.0.0.2:80: the node port of Pod ingress/traefik-1"]);
    }

    #[test]
    fn the_addresses_of_a_gateway_have_the_ports_of_its_listeners() {
        let gateway = object(json!({
            "metadata": {"name": "web", "namespace": "infra"},
            "spec": {"gatewayClassName": "x", "listeners": [
                {"name": "tls", "port": 443, "protocol": "HTTPS"}, {"name": "web", "port": 8000, "protocol": "HTTP"}
            ]},
            "status": {"addresses": [{"type": "IPAddress", "value": "192.0.2.3"}]}
        }));
        assert_eq!(shown(from_gateway(&gateway)), ["192.0.2.3:8000: the status of Gateway infra/web"]);
    }

    #[rstest]
    #[case::by_name(json!([{"port": 80, "targetPort": "http"}]), Some(8000))]
    #[case::by_number(json!([{"port": 443, "targetPort": 8443}, {"port": 80, "targetPort": 8080}]), Some(8080))]
    #[case::the_same(json!([{"port": 80}]), Some(80))]
    #[case::no_service(json!([]), Some(8000))]
    fn the_port_for_http_is_that_of_the_service(#[case] ports: Value, #[case] expected: Option<u16>) {
        let ports_of_pod = json!([{"name": "http", "containerPort": 8000}]);
        let pod = object(json!({"spec": {"containers": [{"name": "traefik", "ports": ports_of_pod}]}}));
        assert_eq!(http_port(&pod, &[&object(json!({"spec": {"ports": ports}}))], &[HTTP]), expected);
    }
}
