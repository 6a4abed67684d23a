//! Rendered records in the real dnsmasq, on loopback. Without the program this test fails.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails; helpers count as outside of tests")]

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use cluster_dns::render::{Settings, State, configuration, hosts};
use serde_json::json;

/// The response code and the IPv4 addresses for `name`.
fn ask(port: u16, name: &str) -> Option<(u8, Vec<Ipv4Addr>)> {
    let mut packet = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend(label.as_bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    socket.send_to(&packet, (Ipv4Addr::LOCALHOST, port)).unwrap();
    let mut answer = [0; 1500];
    let length = socket.recv(&mut answer).ok()?;
    // Each address: type A, class IN, time to live, length 4, and itself.
    let windows = answer[packet.len()..length].windows(14);
    let records = windows.filter(|it| it[..4] == [0, 1, 0, 1] && it[8..10] == [0, 4]);
    let mut addresses: Vec<_> = records.map(|it| Ipv4Addr::new(it[10], it[11], it[12], it[13])).collect();
    addresses.sort_unstable();
    Some((answer[3] & 15, addresses))
}

#[test]
fn answers_for_services() {
    let folder = tempfile::tempdir().unwrap();
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    std::fs::write(folder.path().join("resolv.conf"), "").unwrap();
    let settings = Settings {
        domain: "cluster.local".into(),
        address: Ipv4Addr::LOCALHOST.into(),
        port,
        resolv_file: folder.path().join("resolv.conf"),
        hosts_file: folder.path().join("hosts"),
    };
    let service = |name: &str, spec: serde_json::Value| {
        Arc::new(serde_json::from_value(json!({"metadata": {"namespace": "n", "name": name}, "spec": spec})).unwrap())
    };
    let endpoints = json!({"metadata": {"namespace": "n", "name": "headless"}, "subsets": [
        {"addresses": [{"ip": "10.0.0.1", "hostname": "zero"}, {"ip": "10.0.0.2"}]}]});
    let state = State {
        services: vec![
            service("web", json!({"clusterIP": "10.96.0.1"})),
            service("headless", json!({"clusterIP": "None"})),
            service("alias", json!({"externalName": "web.n.svc.cluster.local"})),
        ],
        endpoints: vec![Arc::new(serde_json::from_value(endpoints).unwrap())],
    };
    std::fs::write(&settings.hosts_file, hosts(&state, &settings)).unwrap();
    let file = folder.path().join("dnsmasq.conf");
    std::fs::write(&file, configuration(&state, &settings)).unwrap();
    let mut child = Command::new("dnsmasq").arg(format!("--conf-file={}", file.display())).spawn().unwrap();
    let ready = (0..50).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        ask(port, "web.n.svc.cluster.local").is_some()
    });
    let answers: Vec<_> = ["web", "headless", "zero.headless", "alias", "nobody"]
        .map(|name| ask(port, &format!("{name}.n.svc.cluster.local")))
        .into();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ready);
    let (web, one, two) = (Ipv4Addr::new(10, 96, 0, 1), Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    let expected = [(0, vec![web]), (0, vec![one, two]), (0, vec![one]), (0, vec![web]), (3, vec![])];
    assert_eq!(answers, expected.map(Some));
}
