//! Rendered records in the real dnsmasq, on loopback. Without the program this test fails.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails; helpers count as outside of tests")]

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cluster_dns::render::{Rendered, Settings, render};
use cluster_dns::server::Server;
use cluster_dns::state::State;
use controller::children::Children;
use serde_json::{Value, json};

const A: u16 = 1;
const AAAA: u16 = 28;
const SRV: u16 = 33;

fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut packet = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend([kind.to_be_bytes(), 1_u16.to_be_bytes()].concat());
    packet
}

/// The response code and the answers of that type for `name`, sorted, in their usual notation.
fn ask(port: u16, name: &str, kind: u16) -> Option<(u8, Vec<String>)> {
    let packet = question(name, kind);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    // Connected, it hears at once that nobody listens.
    socket.connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    socket.send(&packet).ok()?;
    let mut answer = vec![0; 4096];
    let length = socket.recv(&mut answer).ok()?;
    answer.truncate(length);
    let mut answers = Vec::new();
    let mut at = packet.len();
    for _ in 0..number(&answer, 6) {
        (_, at) = name_at(&answer, at);
        let data = at + 10;
        if number(&answer, at) == kind {
            answers.push(match kind {
                A => IpAddr::from(<[u8; 4]>::try_from(&answer[data..data + 4]).unwrap()).to_string(),
                AAAA => Ipv6Addr::from(<[u8; 16]>::try_from(&answer[data..data + 16]).unwrap()).to_string(),
                _ => format!("{}:{}", name_at(&answer, data + 6).0, number(&answer, data + 4)),
            });
        }
        at = data + usize::from(number(&answer, at + 8));
    }
    answers.sort_unstable();
    Some((answer[3] & 15, answers))
}

fn number(packet: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([packet[at], packet[at + 1]])
}

/// The name at that place, and what comes after it there.
fn name_at(packet: &[u8], at: usize) -> (String, usize) {
    match packet[at] {
        0 => (String::new(), at + 1),
        0xc0.. => (name_at(packet, usize::from(number(packet, at) & 0x3fff)).0, at + 2),
        length => {
            let end = at + 1 + usize::from(length);
            let (rest, next) = name_at(packet, end);
            let label = String::from_utf8_lossy(&packet[at + 1..end]).into_owned();
            (if rest.is_empty() { label } else { format!("{label}.{rest}") }, next)
        }
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..200 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("in vain: {what}");
}

/// The program, with a line written to the file `starts` at each start.
fn counting(folder: &Path) -> std::path::PathBuf {
    let program = folder.join("dnsmasq");
    let script = format!("#!/bin/sh\necho start >> {}/starts\nexec dnsmasq \"$@\"\n", folder.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

fn object<K: serde::de::DeserializeOwned>(name: &str, mut object: Value) -> Arc<K> {
    object["metadata"] = json!({"namespace": "n", "name": name});
    Arc::new(serde_json::from_value(object).unwrap())
}

fn state(web: &str, database_port: u16) -> State {
    let external = |target: &str| json!({"spec": {"type": "ExternalName", "externalName": target}});
    let ports = json!([{"name": "http", "port": 80}, {"name": "xn--x", "protocol": "UDP", "port": 81}, {"port": 82}]);
    let longest = "x".repeat(63);
    State {
        services: vec![
            object("web", json!({"spec": {"clusterIP": web, "clusterIPs": [web, "fd00::1"], "ports": ports}})),
            object("headless", json!({"spec": {"clusterIP": "None"}})),
            object("alias", external("web.n.svc.cluster.local")),
            // dnsmasq would not start with these two.
            object("itself", external("itself.n.svc.cluster.local")),
            object("odd", external("a,b\nbroken")),
            object("xn--x", json!({"spec": {"clusterIP": "10.96.0.2", "ports": ports}})),
            object("a--x", external("xn--x.n.svc.cluster.local")),
            object(&longest, json!({"spec": {"clusterIP": "10.96.0.3", "ports": ports}})),
        ],
        endpoints: vec![object(
            "headless",
            json!({"subsets": [{"addresses": [{"ip": "10.0.0.1", "hostname": "zero"}, {"ip": "10.0.0.2"}],
                "ports": [{"name": "sql", "port": database_port}]}]}),
        )],
    }
}

/// Asks without a pause until it is told to stop, and returns how often, and what was not answered as it should be.
fn asking(ask: impl Fn() -> Option<(u8, Vec<String>)> + Send + 'static) -> impl FnOnce() -> (usize, Vec<String>) {
    let stop = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&stop);
    let asker = std::thread::spawn(move || {
        let (mut asked, mut wrong) = (0, Vec::new());
        while !is_over.load(Ordering::Relaxed) {
            asked += 1;
            match ask() {
                Some((0, answers)) if !answers.is_empty() => {}
                other => wrong.push(format!("{other:?}")),
            }
        }
        (asked, wrong)
    });
    move || {
        stop.store(true, Ordering::Relaxed);
        asker.join().unwrap()
    }
}

// One test alone: it takes in all children of its process. It asks and waits, and what is asked runs beside it.
#[tokio::test(flavor = "multi_thread")]
async fn answers_for_services_and_follows_them() {
    let folder = tempfile::tempdir().unwrap();
    // Started by root, dnsmasq reads its files again as another user.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    fs::write(folder.path().join("resolv.conf"), "").unwrap();
    let settings = Settings {
        domain: "cluster.local".into(),
        address: Ipv4Addr::LOCALHOST.into(),
        port,
        resolv_file: folder.path().join("resolv.conf"),
        directory: folder.path().into(),
    };
    let starts = || fs::read_to_string(folder.path().join("starts")).unwrap().lines().count();
    let answer = move |name: &str, kind: u16| ask(port, &format!("{name}.n.svc.cluster.local"), kind);
    let has = |name: &str, kind: u16, expected: &str| {
        answer(name, kind).is_some_and(|(_, answers)| answers.iter().any(|it| it == expected))
    };
    let mut server = Server::new(counting(folder.path()), settings.clone(), Children::new().unwrap());
    let apply: [Rendered; 3] = [("10.96.0.1", 5432), ("10.96.0.9", 5432), ("10.96.0.9", 5433)]
        .map(|(web, database_port)| render(&state(web, database_port), &settings));

    server.apply(&apply[0]).await.unwrap();
    until("a first answer", || answer("web", A).is_some()).await;
    let longest = "x".repeat(63);
    let here = |name: &str, port: u16| format!("{name}.n.svc.cluster.local:{port}");
    let (zero, two) = (here("zero.headless", 5432), here("10-0-0-2.headless", 5432));
    let (web, odd, long) = (here("web", 80), here("xn--x", 81), here(&longest, 80));
    let cases: [(&str, u16, u8, &[&str]); 16] = [
        ("web", A, 0, &["10.96.0.1"]),
        ("WEB", A, 0, &["10.96.0.1"]),
        ("web", AAAA, 0, &["fd00::1"]),
        ("headless", A, 0, &["10.0.0.1", "10.0.0.2"]),
        ("zero.headless", A, 0, &["10.0.0.1"]),
        ("10-0-0-2.headless", A, 0, &["10.0.0.2"]),
        ("alias", A, 0, &["10.96.0.1"]),
        ("a--x", A, 0, &["10.96.0.2"]),
        (&longest, A, 0, &["10.96.0.3"]),
        ("nobody", A, 3, &[]),
        ("itself", A, 3, &[]),
        ("_http._tcp.web", SRV, 0, &[&web]),
        ("_xn--x._udp.xn--x", SRV, 0, &[&odd]),
        (&format!("_http._tcp.{longest}"), SRV, 0, &[&long]),
        ("_sql._tcp.headless", SRV, 0, &[&two, &zero]),
        ("_http._udp.web", SRV, 3, &[]),
    ];
    for (name, kind, code, expected) in cases {
        let expected = expected.iter().map(ToString::to_string).collect();
        assert_eq!(answer(name, kind), Some((code, expected)), "{name} {kind}");
    }

    server.apply(&apply[0]).await.unwrap();
    server.apply(&apply[1]).await.unwrap();
    until("a changed address", || has("web", A, "10.96.0.9")).await;
    assert_eq!(starts(), 1, "an address asks for no restart");

    server.apply(&apply[2]).await.unwrap();
    until("a changed port", || has("_sql._tcp.headless", SRV, &here("zero.headless", 5433))).await;
    assert_eq!(starts(), 2, "a named port asks for another dnsmasq");

    let asked = [("web", A), ("_sql._tcp.headless", SRV)].map(|(name, kind)| asking(move || answer(name, kind)));
    for number in 0..10 {
        server.apply(&apply[number % 2 + 1]).await.unwrap();
    }
    for stop in asked {
        let (count, wrong) = stop();
        assert!(count >= 10 && wrong.is_empty(), "of {count} questions while dnsmasq was replaced: {wrong:?}");
    }
    assert_eq!(starts(), 12);

    // By connection too, in which a length comes first.
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let packet = question("web.n.svc.cluster.local", A);
    stream.write_all(&[&u16::try_from(packet.len()).unwrap().to_be_bytes()[..], &packet].concat()).unwrap();
    let mut head = [0; 6];
    stream.read_exact(&mut head).unwrap();
    assert_eq!((&head[2..4], head[5] & 15), (&packet[..2], 0));
    drop(stream);

    server.stop().await.unwrap();
    UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
}
