//! From the port that an Ingress names to the addresses that answer on it.

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::{EndpointPort, EndpointSubset, Endpoints, Service, ServicePort};
use k8s_openapi::api::networking::v1::ServiceBackendPort;

/// The ready addresses behind `port` of `service`, sorted and without doubles; none when the port does not exist.
///
/// A Service's port and its target in the Endpoints share their name, not their number; an unnamed port is the only
/// one on both sides.
pub fn resolve(service: &Service, endpoints: &Endpoints, port: &ServiceBackendPort) -> Vec<SocketAddr> {
    let Some(service_port) = find(service, port) else { return Vec::new() };
    let name = service_port.name.as_deref().unwrap_or_default();
    let mut addresses: Vec<SocketAddr> =
        endpoints.subsets.iter().flatten().flat_map(|subset| ready(subset, name)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn find<'service>(service: &'service Service, port: &ServiceBackendPort) -> Option<&'service ServicePort> {
    let ports = service.spec.as_ref()?.ports.as_ref()?;
    ports.iter().filter(|candidate| is_tcp(candidate.protocol.as_deref())).find(|candidate| match &port.name {
        Some(name) => candidate.name.as_ref() == Some(name),
        None => Some(candidate.port) == port.number,
    })
}

fn ready(subset: &EndpointSubset, name: &str) -> Vec<SocketAddr> {
    let Some(number) = subset.ports.iter().flatten().find_map(|port| number_of(port, name)) else { return Vec::new() };
    let addresses = subset.addresses.iter().flatten();
    addresses.filter_map(|it| it.ip.parse::<IpAddr>().ok()).map(|ip| SocketAddr::new(ip, number)).collect()
}

fn number_of(port: &EndpointPort, name: &str) -> Option<u16> {
    let fits = port.name.as_deref().unwrap_or_default() == name && is_tcp(port.protocol.as_deref());
    if fits { u16::try_from(port.port).ok() } else { None }
}

fn is_tcp(protocol: Option<&str>) -> bool {
    protocol.is_none_or(|protocol| protocol == "TCP")
}
