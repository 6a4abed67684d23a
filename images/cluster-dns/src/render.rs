//! From records to the text of dnsmasq's files; nothing here touches a file or a process.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::records::{Host, Records};
use crate::state::State;

/// What the cluster does not decide.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cluster's domain, without dots around it.
    pub domain: String,
    /// The address to answer on.
    pub address: IpAddr,
    /// The port to answer on.
    pub port: u16,
    /// Who is asked for everything outside of the domain.
    pub resolv_file: PathBuf,
    /// The folder of the files.
    pub directory: PathBuf,
}

impl Settings {
    /// Where dnsmasq finds [`Rendered::configuration`].
    pub fn configuration_file(&self) -> PathBuf {
        self.directory.join("dnsmasq.conf")
    }

    /// Where dnsmasq finds [`Rendered::hosts`].
    pub fn hosts_file(&self) -> PathBuf {
        self.directory.join("hosts")
    }
}

/// Both files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Options, named ports and aliases: read once, so a change asks for another dnsmasq. Where that listens is told to it alone.
    pub configuration: String,
    /// The addresses, the part that changes often: read again on SIGHUP.
    pub hosts: String,
}

/// Renders the files for `state`.
pub fn render(state: &State, settings: &Settings) -> Rendered {
    let records = Records::of(state, &settings.domain);
    let mut hosts = String::new();
    for Host { ip, names } in &records.hosts {
        let _ = writeln!(hosts, "{ip} {}", names.join(" "));
    }
    Rendered { configuration: configuration(&records, settings), hosts }
}

/// dnsmasq follows an alias only to names that it has itself, so a Service of type `ExternalName` works for targets
/// inside the cluster.
fn configuration(records: &Records, settings: &Settings) -> String {
    let Settings { domain, resolv_file, .. } = settings;
    let (resolv_file, hosts_file) = (resolv_file.display(), settings.hosts_file());
    let hosts_file = hosts_file.display();
    let mut text = format!(
        "bind-interfaces\nkeep-in-foreground\nlog-facility=-\npid-file=\n\
         no-hosts\naddn-hosts={hosts_file}\nresolv-file={resolv_file}\nlocal=/{domain}/\nlocal-ttl=5\ncache-size=1000\n"
    );
    for location in &records.locations {
        let _ = writeln!(text, "srv-host={},{},{}", location.name, location.target, location.port);
    }
    for (alias, target) in &records.aliases {
        let _ = writeln!(text, "cname={alias},{target}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::fixtures::{named, state};

    fn settings() -> Settings {
        Settings {
            domain: "cluster.local".into(),
            address: Ipv4Addr::UNSPECIFIED.into(),
            port: 1053,
            resolv_file: "/etc/resolv.conf".into(),
            directory: "/run/cluster-dns".into(),
        }
    }

    #[test]
    fn both_files() {
        let services = [
            named(
                "web",
                json!({"spec": {"type": "ClusterIP", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"],
                "ports": [{"name": "http", "port": 80}, {"name": "dns", "protocol": "UDP", "port": 53}]}}),
            ),
            named(
                "database",
                json!({"spec": {"clusterIP": "None", "publishNotReadyAddresses": true, "ports": [{"name": "sql", "port": 1}]}}),
            ),
            named("alias", json!({"spec": {"type": "ExternalName", "externalName": "web.n.svc.cluster.local."}})),
            named("circle", json!({"spec": {"type": "ExternalName", "externalName": "circle.n.svc.cluster.local"}})),
        ];
        let endpoints = [
            named("web", json!({"subsets": [{"addresses": [{"ip": "10.0.0.9"}]}]})),
            named(
                "database",
                json!({"subsets": [{"addresses": [{"ip": "10.0.0.10", "hostname": "database-0"}, {"ip": "10.0.0.2"}],
                "notReadyAddresses": [{"ip": "fd00::9"}], "ports": [{"name": "sql", "port": 5432}]}]}),
            ),
        ];
        let Rendered { configuration, hosts } = render(&state(&services, &endpoints), &settings());
        insta::assert_snapshot!(format!("# dnsmasq.conf\n{configuration}# hosts\n{hosts}"));
    }

    #[test]
    fn the_order_of_objects_does_not_matter() {
        let service = |name: &str, ip: &str| named(name, json!({"spec": {"clusterIP": ip}}));
        let (one, two) = (service("one", "10.0.0.1"), service("two", "10.0.0.2"));
        let render = |services: &[Value]| render(&state(services, &[]), &settings());
        assert_eq!(render(&[one.clone(), two.clone()]), render(&[two, one]));
    }

    /// A good word, one with something hostile in it, or anything.
    fn text() -> impl Strategy<Value = String> {
        let hostile = prop::sample::select(vec!["\n", "\r\n", " ", ",", "#", "/", "=", "\"", "\\", "\0", "\u{2028}"]);
        prop_oneof![
            3 => "[a-z][a-z0-9]{0,4}",
            1 => ("[a-z]{0,3}", hostile, "[a-z]{1,3}").prop_map(|(left, middle, right)| left + middle + &right),
            1 => Just("web\nserver=10.0.0.9".to_owned()),
            1 => any::<String>(),
        ]
    }

    /// Whether `name` is one name of the cluster's domain, with nothing in it that dnsmasq reads as more than that.
    fn is_ours(name: &str) -> bool {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
        name.bytes().all(good) && name.ends_with(".svc.cluster.local")
    }

    fn is_host_line(line: &str) -> bool {
        let mut words = line.split(' ');
        words.next().is_some_and(|ip| ip.parse::<IpAddr>().is_ok())
            && (1..=2).contains(&words.clone().count())
            && words.all(is_ours)
    }

    fn is_record_line(line: &str) -> bool {
        let (option, value) = line.split_once('=').unwrap_or_default();
        match (option, value.split(',').collect::<Vec<_>>().as_slice()) {
            ("srv-host", [name, target, port]) => {
                name.starts_with('_') && is_ours(name) && is_ours(target) && port.parse::<u16>().is_ok()
            }
            ("cname", [name, target]) => is_ours(name) && controller::names::is_name(target),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn no_text_adds_a_line_or_an_option(
            [name, namespace, port, target, hostname, ip] in [text(), text(), text(), text(), text(), text()],
            protocol in prop_oneof![Just("TCP".to_owned()), text()],
        ) {
            let mut services = [
                json!({"spec": {"clusterIP": "10.0.0.1", "ports": [{"name": port, "protocol": protocol, "port": 80}]}}),
                json!({"spec": {"clusterIP": "None"}}),
                json!({"spec": {"type": "ExternalName", "externalName": target}}),
                json!({"spec": {"clusterIP": ip}}),
            ];
            let mut endpoints = [json!({"subsets": [{
                "addresses": [{"ip": "10.0.0.2", "hostname": hostname}, {"ip": ip}],
                "ports": [{"name": port, "protocol": protocol, "port": 8080}],
            }]})];
            for object in services.iter_mut().chain(&mut endpoints) {
                object["metadata"] = json!({"namespace": namespace, "name": name});
            }
            let Rendered { configuration, hosts } = render(&state(&services, &endpoints), &settings());
            let options = render(&State::default(), &settings()).configuration;
            let records: Vec<_> = configuration.strip_prefix(&options).unwrap().lines().collect();
            // All objects share one name, so the most are two named ports and one alias, and an address of its own.
            prop_assert!(records.len() <= 3, "{configuration}");
            prop_assert!(records.iter().all(|line| is_record_line(line)), "{configuration}");
            prop_assert!(hosts.lines().count() <= 2, "{hosts}");
            prop_assert!(hosts.lines().all(is_host_line), "{hosts}");
            prop_assert_eq!(hosts.is_empty(), !controller::names::is_label(&name) || !controller::names::is_label(&namespace));
        }
    }
}
