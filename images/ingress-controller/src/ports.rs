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

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::fixtures::object;

    fn resolved(ports: &Value, subsets: &Value, wanted: &Value) -> Vec<String> {
        let service: Service = object(json!({"metadata": {}, "spec": {"ports": ports}}));
        let endpoints: Endpoints = object(json!({"metadata": {}, "subsets": subsets}));
        let addresses = resolve(&service, &endpoints, &object(wanted.clone()));
        addresses.iter().map(ToString::to_string).collect()
    }

    #[rstest]
    #[case::named(json!({"name": "http"}), &["10.0.0.1:8080"])]
    #[case::numbered(json!({"number": 90}), &["10.0.0.1:9090"])]
    #[case::name_before_number(json!({"name": "http", "number": 90}), &["10.0.0.1:8080"])]
    #[case::number_of_udp_and_tcp(json!({"number": 80}), &["10.0.0.1:8080"])]
    #[case::target_is_no_number_of_the_service(json!({"number": 8080}), &[])]
    #[case::missing_name(json!({"name": "missing"}), &[])]
    #[case::missing_number(json!({"number": 70}), &[])]
    #[case::name_of_udp(json!({"name": "datagrams"}), &[])]
    #[case::neither(json!({}), &[])]
    fn by_name_or_number(#[case] wanted: Value, #[case] expected: &[&str]) {
        let ports = json!([{"name": "datagrams", "protocol": "UDP", "port": 80}, {"name": "http", "port": 80},
            {"name": "metrics", "protocol": "TCP", "port": 90}]);
        let subsets = json!([{"addresses": [{"ip": "10.0.0.1"}], "ports": [
            {"name": "datagrams", "protocol": "UDP", "port": 8053}, {"name": "http", "port": 8080},
            {"name": "metrics", "protocol": "TCP", "port": 9090}]}]);
        assert_eq!(resolved(&ports, &subsets, &wanted), expected);
    }

    #[rstest]
    #[case::one(json!([{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "http", "port": 80}]}]), &["10.0.0.1:80"])]
    #[case::udp_of_the_same_name(
        json!([{"addresses": [{"ip": "10.0.0.1"}],
            "ports": [{"name": "http", "protocol": "UDP", "port": 81}, {"name": "http", "port": 80}]}]),
        &["10.0.0.1:80"]
    )]
    #[case::udp_alone(
        json!([{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "http", "protocol": "UDP", "port": 80}]}]),
        &[]
    )]
    #[case::version_6(
        json!([{"addresses": [{"ip": "fd00::1"}], "ports": [{"name": "http", "port": 80}]}]),
        &["[fd00::1]:80"]
    )]
    #[case::not_ready(
        json!([{"notReadyAddresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "http", "port": 80}]}]),
        &[]
    )]
    #[case::several_subsets_sorted_without_doubles(
        json!([
            {"addresses": [{"ip": "10.0.0.9"}, {"ip": "10.0.0.10"}], "ports": [{"name": "http", "port": 80}]},
            {"addresses": [{"ip": "10.0.0.2"}], "ports": [{"name": "http", "port": 81}]},
            {"addresses": [{"ip": "10.0.0.9"}], "ports": [{"name": "http", "port": 80}]},
            {"addresses": [{"ip": "10.0.0.3"}], "ports": [{"name": "other", "port": 80}]},
        ]),
        &["10.0.0.2:81", "10.0.0.9:80", "10.0.0.10:80"]
    )]
    #[case::not_an_address(
        json!([{"addresses": [{"ip": "10.0.0.1 check\n"}], "ports": [{"name": "http", "port": 80}]}]),
        &[]
    )]
    #[case::not_a_port(
        json!([{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "http", "port": 65536}]}]),
        &[]
    )]
    #[case::no_ports(json!([{"addresses": [{"ip": "10.0.0.1"}]}]), &[])]
    #[case::nobody(json!([]), &[])]
    fn endpoints(#[case] subsets: Value, #[case] expected: &[&str]) {
        let ports = json!([{"name": "http", "port": 8000}]);
        assert_eq!(resolved(&ports, &subsets, &json!({"number": 8000})), expected);
    }

    #[test]
    fn an_unnamed_port_is_unnamed_on_both_sides() {
        let subsets =
            json!([{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "other", "port": 81}, {"port": 80}]}]);
        assert_eq!(resolved(&json!([{"port": 8000}]), &subsets, &json!({"number": 8000})), ["10.0.0.1:80"]);
    }
}
