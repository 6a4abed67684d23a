//! A rendered configuration in the real `HAProxy`, on loopback. Without the program these tests fail.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails; helpers count as outside of tests")]

mod common;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use common::{get, server, settings, until};
use controller::children::Children;
use ingress_controller::proxy::Proxy;
use ingress_controller::render::render;
use ingress_controller::state::State;
use serde_json::json;

/// All that a request line can carry and that means something to `HAProxy`'s parser.
const ODD: &str = "/odd\"{p}\\$HOME%[x](y),'|`<>^";

fn state(services: &[(&str, Option<SocketAddr>)], secret: Option<(&str, &str)>) -> State {
    let path = |path: &str, kind: &str, service: &str| json!({"path": path, "pathType": kind, "backend": {"service": {"name": service, "port": {"name": "http"}}}});
    let ingress = json!({"metadata": {"namespace": "n", "name": "i"}, "spec": {
    "ingressClassName": "traefik",
    "tls": [{"hosts": ["a.test", "c.test"], "secretName": "t"}],
    "rules": [
        {"host": "a.test", "http": {"paths": [path("/", "Prefix", "root"), path("/foo", "Prefix", "foo"),
            path("/foo", "Exact", "exact"), path(ODD, "Exact", "foo"), path("/none", "Prefix", "none")]}},
        {"host": "*.w.test", "http": {"paths": [path("/w", "ImplementationSpecific", "foo")]}},
    ]}});
    let mut state = State { ingresses: vec![Arc::new(serde_json::from_value(ingress).unwrap())], ..State::default() };
    for (name, address) in services {
        let metadata = json!({"namespace": "n", "name": name});
        let service = json!({"metadata": metadata, "spec": {"ports": [{"name": "http", "port": 80}]}});
        state.services.push(Arc::new(serde_json::from_value(service).unwrap()));
        let subsets = address.map_or(json!([]), |address| {
            json!([{"addresses": [{"ip": address.ip().to_string()}],
                    "ports": [{"name": "other", "port": 1}, {"name": "http", "port": address.port()}]}])
        });
        let endpoints = json!({"metadata": metadata, "subsets": subsets});
        state.endpoints.push(Arc::new(serde_json::from_value(endpoints).unwrap()));
    }
    if let Some((certificate, key)) = secret {
        let secret = json!({"metadata": {"namespace": "n", "name": "t"}, "type": "kubernetes.io/tls"});
        let mut secret: k8s_openapi::api::core::v1::Secret = serde_json::from_value(secret).unwrap();
        let entry = |text: &str| k8s_openapi::ByteString(text.as_bytes().to_vec());
        secret.data = Some([("tls.crt".into(), entry(certificate)), ("tls.key".into(), entry(key))].into());
        state.secrets.push(Arc::new(secret));
    }
    state
}

#[tokio::test]
async fn routes_and_reloads_without_a_lost_request() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let (root, foo, exact) = (server("root"), server("foo"), server("exact"));
    let services = [("root", Some(root)), ("foo", Some(foo)), ("exact", Some(exact)), ("none", None)];
    let pair = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let (certificate, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let mut proxy = Proxy::new(PathBuf::from("haproxy"), folder.path().into(), Children::new().unwrap());
    proxy.apply(&render(&state(&services, Some((&certificate, &key))), &settings)).await.unwrap();
    let web = settings.http;
    until("health", || get(settings.health, "x", "/healthz").is_ok_and(|body| body == "ok\n")).await;
    for (host, path, expected) in [
        ("a.test", "/", "root"),
        ("A.test:80", "/foo", "exact"),
        ("a.test", "/foo/bar", "foo"),
        ("a.test", "/foo/", "foo"),
        ("a.test", "/foobar", "root"),
        ("a.test", "/none", "503"),
        ("a.test", "/none/", "503"),
        ("a.test", "/nonesuch", "root"),
        ("a.test", "/FOO/bar", "root"),
        ("a.test", ODD, "foo"),
        ("a.test", "/odd", "root"),
        ("b.test", "/", "404"),
        ("x.w.test", "/w/1", "foo"),
        ("x.w.test", "/", "404"),
        ("y.x.w.test", "/w", "404"),
        ("w.test", "/w", "404"),
    ] {
        assert_eq!(get(web, host, path).unwrap(), expected, "{host}{path}");
    }
    // By the name in the handshake; a name without a certificate is refused. `output` blocks the runtime's only thread,
    // so the reaper cannot take this child.
    let handshake = |name: &str| {
        let address = settings.https.to_string();
        let mut command = std::process::Command::new("openssl");
        command.args(["s_client", "-connect", &address, "-servername", name]).stdin(std::process::Stdio::null());
        String::from_utf8_lossy(&command.output().unwrap().stdout).contains("BEGIN CERTIFICATE")
    };
    assert!(handshake("a.test"));
    assert!(handshake("c.test"));
    assert!(!handshake("b.test"));
    let load = std::thread::spawn(move || {
        (0..3000).filter(|_| !get(web, "a.test", "/foo").is_ok_and(|body| body == "exact")).count()
    });
    for round in 0..4 {
        let services: Vec<_> = services.iter().copied().filter(|(name, _)| round % 2 == 1 || *name != "root").collect();
        proxy.apply(&render(&state(&services, None), &settings)).await.unwrap();
        let expected = if round % 2 == 1 { "root" } else { "503" };
        until("the reload", || get(web, "a.test", "/").is_ok_and(|body| body == expected)).await;
    }
    assert_eq!(load.join().unwrap(), 0, "lost requests");
    proxy.stop().await.unwrap();
    assert!(get(web, "a.test", "/").is_err());
}
