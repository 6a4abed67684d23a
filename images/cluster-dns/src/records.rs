//! Which names the cluster's Services have, as the specification of DNS for Services in Kubernetes has it.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::successors;
use std::net::IpAddr;

use controller::names::{is_label, is_name};
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset, Service, ServiceSpec};

use crate::state::State;

/// An address and its names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host {
    /// The address.
    pub ip: IpAddr,
    /// The names; the first is also the answer to who has that address.
    pub names: Vec<String>,
}

/// Where a named port is found: one SRV record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// `_PORT._PROTOCOL.` and the Service's name.
    pub name: String,
    /// The host, a name of one of [`Records::hosts`].
    pub target: String,
    /// The port's number there.
    pub port: u16,
}

/// All names of the cluster's domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// The addresses.
    pub hosts: BTreeSet<Host>,
    /// The named ports.
    pub locations: BTreeSet<Location>,
    /// Names that stand for another one, none of them in the end for itself.
    pub aliases: BTreeMap<String, String>,
}

impl Records {
    /// The names in `domain`. What cannot be a name is logged and left out.
    pub fn of(state: &State, domain: &str) -> Self {
        let mut records = Self::default();
        for service in &state.services {
            records.add(state, service, domain);
        }
        records.drop_circles();
        records
    }

    fn add(&mut self, state: &State, service: &Service, domain: &str) {
        let metadata = &service.metadata;
        let (Some(name), Some(namespace), Some(spec)) = (&metadata.name, &metadata.namespace, &service.spec) else {
            return;
        };
        let full = format!("{name}.{namespace}.svc.{domain}").to_ascii_lowercase();
        if !is_label(name) || !is_label(namespace) || !is_name(&full) {
            tracing::warn!(namespace, service = name, "not a name: Service left out");
            return;
        }
        if spec.type_.as_deref() == Some("ExternalName") {
            self.add_alias(full, spec);
        } else if spec.cluster_ip.as_deref() == Some("None") {
            let unready = spec.publish_not_ready_addresses == Some(true);
            for subset in state.subsets(namespace, name) {
                self.add_subset(subset, unready, &full);
            }
        } else {
            self.add_virtual(spec, &full);
        }
    }

    fn add_alias(&mut self, full: String, spec: &ServiceSpec) {
        let target = spec.external_name.as_deref().unwrap_or_default();
        let target = target.strip_suffix('.').unwrap_or(target).to_ascii_lowercase();
        if is_name(&target) {
            self.aliases.insert(full, target);
        } else {
            tracing::warn!(service = full, target, "not a name: Service left out");
        }
    }

    /// A Service with addresses of its own, one for each family.
    fn add_virtual(&mut self, spec: &ServiceSpec, full: &str) {
        // The second field repeats the first one, except on clusters that are older than it.
        let ips = spec.cluster_ip.iter().chain(spec.cluster_ips.iter().flatten());
        let ips: BTreeSet<IpAddr> = ips.filter_map(|ip| ip.parse().ok()).collect();
        if ips.is_empty() {
            return;
        }
        self.hosts.extend(ips.into_iter().map(|ip| Host { ip, names: vec![full.to_owned()] }));
        for port in spec.ports.iter().flatten() {
            self.add_location(port.name.as_deref(), port.protocol.as_deref(), port.port, full, full);
        }
    }

    /// A part of what is behind a headless Service: each address has a name of its own beside the common one.
    fn add_subset(&mut self, subset: &EndpointSubset, unready: bool, full: &str) {
        let unready = subset.not_ready_addresses.iter().flatten().filter(|_| unready);
        for address in subset.addresses.iter().flatten().chain(unready) {
            let Ok(ip) = address.ip.parse() else { continue };
            let own = format!("{}.{full}", own_label(address, ip));
            if !is_name(&own) {
                tracing::warn!(name = own, "not a name: address left out");
                continue;
            }
            for port in subset.ports.iter().flatten() {
                self.add_location(port.name.as_deref(), port.protocol.as_deref(), port.port, full, &own);
            }
            self.hosts.insert(Host { ip, names: vec![own, full.to_owned()] });
        }
    }

    fn add_location(&mut self, port: Option<&str>, protocol: Option<&str>, number: i32, full: &str, target: &str) {
        let protocol = match protocol {
            None | Some("TCP") => "tcp",
            Some("UDP") => "udp",
            Some("SCTP") => "sctp",
            Some(_) => return,
        };
        let Some((port, number)) = port.filter(|it| is_label(it)).zip(u16::try_from(number).ok()) else { return };
        let name = format!("_{}._{protocol}.{full}", port.to_ascii_lowercase());
        if name.len() <= 253 {
            self.locations.insert(Location { name, target: target.to_owned(), port: number });
        }
    }

    /// dnsmasq does not start with names that stand for themselves, so one such Service would take all names away.
    fn drop_circles(&mut self) {
        let follow = |name: &String| self.aliases.get(name);
        let is_circle = |start: &&String| {
            successors(follow(start), |name| follow(name)).take(self.aliases.len()).any(|name| name == *start)
        };
        let circles: Vec<String> = self.aliases.keys().filter(is_circle).cloned().collect();
        for name in circles {
            tracing::warn!(service = name, "stands for itself: Service left out");
            self.aliases.remove(&name);
        }
    }
}

/// A label that no other address of the same Service has: the hostname, or the address as `CoreDNS` writes it.
fn own_label(address: &EndpointAddress, ip: IpAddr) -> String {
    match (&address.hostname, ip) {
        (Some(hostname), _) if is_label(hostname) => hostname.to_ascii_lowercase(),
        (_, IpAddr::V4(ip)) => ip.octets().map(|part| part.to_string()).join("-"),
        // In full: a label neither begins nor ends with a hyphen.
        (_, IpAddr::V6(ip)) => ip.segments().map(|part| format!("{part:x}")).join("-"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::fixtures::{named, state};

    fn hosts(state: &State) -> Vec<String> {
        let records = Records::of(state, "d");
        records.hosts.iter().map(|host| format!("{} {}", host.ip, host.names.join(" "))).collect()
    }

    fn locations(state: &State) -> Vec<String> {
        let records = Records::of(state, "d");
        records.locations.iter().map(|it| format!("{} {} {}", it.name, it.target, it.port)).collect()
    }

    fn aliases(services: &[Value]) -> Vec<(String, String)> {
        Records::of(&state(services, &[]), "d").aliases.into_iter().collect()
    }

    fn external(name: &str, target: &str) -> Value {
        named(name, json!({"spec": {"type": "ExternalName", "externalName": target}}))
    }

    #[rstest]
    #[case::one(json!({"clusterIP": "10.0.0.1"}), &["10.0.0.1 s.n.svc.d"])]
    #[case::repeated(json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]}), &["10.0.0.1 s.n.svc.d"])]
    #[case::dual(
        json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"]}),
        &["10.0.0.1 s.n.svc.d", "fd00::1 s.n.svc.d"]
    )]
    #[case::version_6_first(
        json!({"clusterIP": "fd00::1", "clusterIPs": ["fd00::1", "10.0.0.1"]}),
        &["10.0.0.1 s.n.svc.d", "fd00::1 s.n.svc.d"]
    )]
    #[case::not_an_address(json!({"clusterIP": "10.0.0.1 x\n10.0.0.2"}), &[])]
    #[case::not_yet(json!({"clusterIP": ""}), &[])]
    #[case::none(json!({}), &[])]
    #[case::external(json!({"type": "ExternalName", "externalName": "t.d", "clusterIP": "10.0.0.1"}), &[])]
    fn addresses_of_a_service(#[case] spec: Value, #[case] expected: &[&str]) {
        assert_eq!(hosts(&state(&[named("s", json!({"spec": spec}))], &[])), expected);
    }

    fn headless(spec: &Value, subsets: &Value) -> State {
        let mut spec = spec.clone();
        spec["clusterIP"] = json!("None");
        state(&[named("s", json!({"spec": spec}))], &[named("s", json!({"subsets": subsets}))])
    }

    #[rstest]
    #[case::hostname(json!([{"addresses": [{"ip": "10.0.0.1", "hostname": "Zero"}]}]), &["10.0.0.1 zero.s.n.svc.d s.n.svc.d"])]
    #[case::version_4(json!([{"addresses": [{"ip": "10.0.0.1"}]}]), &["10.0.0.1 10-0-0-1.s.n.svc.d s.n.svc.d"])]
    #[case::version_6(json!([{"addresses": [{"ip": "fd00::1"}]}]), &["fd00::1 fd00-0-0-0-0-0-0-1.s.n.svc.d s.n.svc.d"])]
    #[case::odd_hostname(
        json!([{"addresses": [{"ip": "10.0.0.1", "hostname": "a\n10.0.0.9 b"}]}]),
        &["10.0.0.1 10-0-0-1.s.n.svc.d s.n.svc.d"]
    )]
    #[case::several_subsets(
        json!([{"addresses": [{"ip": "10.0.0.2", "hostname": "b"}]}, {"addresses": [{"ip": "10.0.0.1", "hostname": "a"}]}]),
        &["10.0.0.1 a.s.n.svc.d s.n.svc.d", "10.0.0.2 b.s.n.svc.d s.n.svc.d"]
    )]
    #[case::not_an_address(json!([{"addresses": [{"ip": "10.0.0"}]}]), &[])]
    #[case::not_ready(json!([{"notReadyAddresses": [{"ip": "10.0.0.1"}]}]), &[])]
    #[case::nobody(json!([]), &[])]
    fn addresses_behind_a_headless_service(#[case] subsets: Value, #[case] expected: &[&str]) {
        assert_eq!(hosts(&headless(&json!({}), &subsets)), expected);
    }

    #[rstest]
    #[case::published(json!({"publishNotReadyAddresses": true}), 2)]
    #[case::not_published(json!({"publishNotReadyAddresses": false}), 1)]
    fn unready_addresses(#[case] spec: Value, #[case] expected: usize) {
        let addresses = json!([{"addresses": [{"ip": "10.0.0.1"}], "notReadyAddresses": [{"ip": "10.0.0.2"}],
            "ports": [{"name": "http", "port": 8080}]}]);
        let state = headless(&spec, &addresses);
        assert_eq!(hosts(&state).len(), expected);
        assert_eq!(locations(&state).len(), expected);
    }

    #[test]
    fn others_endpoints_are_not_taken() {
        let subsets = json!([{"addresses": [{"ip": "10.0.0.1"}]}]);
        let mut elsewhere = named("s", json!({"subsets": subsets}));
        elsewhere["metadata"]["namespace"] = json!("other");
        let service = named("s", json!({"spec": {"clusterIP": "None"}}));
        assert_eq!(hosts(&state(&[service], &[elsewhere, named("t", json!({"subsets": subsets}))])), [""; 0]);
    }

    #[rstest]
    #[case::default_protocol(json!({"name": "http", "port": 80}), &["_http._tcp.s.n.svc.d s.n.svc.d 80"])]
    #[case::tcp(json!({"name": "http", "protocol": "TCP", "port": 80}), &["_http._tcp.s.n.svc.d s.n.svc.d 80"])]
    #[case::udp(json!({"name": "dns", "protocol": "UDP", "port": 53}), &["_dns._udp.s.n.svc.d s.n.svc.d 53"])]
    #[case::sctp(json!({"name": "a", "protocol": "SCTP", "port": 1}), &["_a._sctp.s.n.svc.d s.n.svc.d 1"])]
    #[case::other_protocol(json!({"name": "a", "protocol": "X,y", "port": 1}), &[])]
    #[case::unnamed(json!({"port": 80}), &[])]
    #[case::odd_name(json!({"name": "a,b", "port": 80}), &[])]
    #[case::no_port_number(json!({"name": "a", "port": 65536}), &[])]
    fn named_ports_of_a_service(#[case] port: Value, #[case] expected: &[&str]) {
        let service = named("s", json!({"spec": {"clusterIP": "10.0.0.1", "ports": [port]}}));
        assert_eq!(locations(&state(&[service], &[])), expected);
    }

    #[test]
    fn a_service_without_an_address_has_no_named_ports() {
        let service = named("s", json!({"spec": {"ports": [{"name": "http", "port": 80}]}}));
        assert_eq!(locations(&state(&[service], &[])), [""; 0]);
    }

    #[test]
    fn named_ports_behind_a_headless_service_are_those_of_the_endpoints() {
        let state = headless(
            &json!({"ports": [{"name": "http", "port": 80}]}),
            &json!([
                {"addresses": [{"ip": "10.0.0.1", "hostname": "a"}, {"ip": "10.0.0.2"}], "ports": [{"name": "http", "port": 8080}]},
                {"addresses": [{"ip": "10.0.0.3"}], "ports": [{"name": "http", "port": 8081}, {"port": 1}]},
            ]),
        );
        let expected = [
            "_http._tcp.s.n.svc.d 10-0-0-2.s.n.svc.d 8080",
            "_http._tcp.s.n.svc.d 10-0-0-3.s.n.svc.d 8081",
            "_http._tcp.s.n.svc.d a.s.n.svc.d 8080",
        ];
        assert_eq!(locations(&state), expected);
    }

    #[rstest]
    #[case::plain("web.n.svc.d", Some("web.n.svc.d"))]
    #[case::dot_last("Example.org.", Some("example.org"))]
    #[case::empty("", None)]
    #[case::two_dots_last("example.org..", None)]
    #[case::comma("a,b", None)]
    #[case::line_feed("a\nserver=10.0.0.1", None)]
    #[case::space("a b", None)]
    fn targets(#[case] target: &str, #[case] expected: Option<&str>) {
        let expected: Vec<_> = expected.map(|it| ("e.n.svc.d".to_owned(), it.to_owned())).into_iter().collect();
        assert_eq!(aliases(&[external("e", target)]), expected);
    }

    #[test]
    fn an_external_name_without_its_type_means_nothing() {
        assert_eq!(aliases(&[named("e", json!({"spec": {"type": "ClusterIP", "externalName": "t.d"}}))]), []);
    }

    #[rstest]
    #[case::itself(&[("a", "a.n.svc.d")], &[])]
    #[case::itself_in_capitals(&[("a", "A.N.svc.d.")], &[])]
    #[case::each_other(&[("a", "b.n.svc.d"), ("b", "a.n.svc.d")], &[])]
    #[case::into_a_circle(&[("a", "b.n.svc.d"), ("b", "c.n.svc.d"), ("c", "b.n.svc.d")], &["a.n.svc.d"])]
    #[case::chain(&[("a", "b.n.svc.d"), ("b", "c.n.svc.d")], &["a.n.svc.d", "b.n.svc.d"])]
    fn circles(#[case] services: &[(&str, &str)], #[case] expected: &[&str]) {
        let services: Vec<_> = services.iter().map(|(name, target)| external(name, target)).collect();
        let names: Vec<_> = aliases(&services).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, expected);
    }

    #[rstest]
    #[case::line_feed("a\n10.0.0.9 b")]
    #[case::space("a b")]
    #[case::comma("a,b")]
    #[case::hash("a#")]
    #[case::dot("a.b")]
    #[case::too_long(&"a".repeat(64))]
    #[case::empty("")]
    fn odd_names_of_services(#[case] name: &str) {
        let ports = json!([{"name": "http", "port": 80}]);
        let virtual_one = named(name, json!({"spec": {"clusterIP": "10.0.0.1", "ports": ports}}));
        let headless = named(name, json!({"spec": {"clusterIP": "None"}}));
        let endpoints = named(name, json!({"subsets": [{"addresses": [{"ip": "10.0.0.2"}], "ports": ports}]}));
        let mut odd_namespace = virtual_one.clone();
        odd_namespace["metadata"] = json!({"name": "a", "namespace": name});
        let services = [virtual_one, headless, odd_namespace, external(name, "t.d")];
        assert_eq!(Records::of(&state(&services, &[endpoints]), "d"), Records::default());
    }

    #[test]
    fn names_that_are_too_long_together() {
        let domain = format!("{}d", "d.".repeat(100));
        let service = named(&"a".repeat(63), json!({"spec": {"clusterIP": "10.0.0.1"}}));
        let fits = named("a", json!({"spec": {"clusterIP": "10.0.0.1"}}));
        assert_eq!(Records::of(&state(&[service, fits], &[]), &domain).hosts.len(), 1);
    }
}
