//! What becomes of a configuration that `HAProxy` refuses. Without the program this test fails.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails; helpers count as outside of tests")]

mod common;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{get, server, settings, until};
use controller::children::Children;
use ingress_controller::proxy::{Error, Proxy};
use ingress_controller::reconcile::{apply, start};
use ingress_controller::render::render;
use ingress_controller::state::State;
use serde_json::json;

/// A host of which [`choosy`] hears nothing.
const BAD: &str = "refuse-me.test";

/// The program, but it refuses what has [`BAD`] in it, in a route or as the name of a certificate.
fn choosy(folder: &Path) -> PathBuf {
    let program = folder.join("haproxy");
    let script = format!(
        "#!/bin/sh\nfor file; do :; done\nif grep -q {BAD} \"$file\" \"$(dirname \"$file\")/certificates.list\"; then echo never >&2; exit 1; fi\nexec haproxy \"$@\"\n"
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

fn state(host: &str, address: SocketAddr) -> State {
    let metadata = json!({"namespace": "n", "name": "s"});
    let rule = |host: &str| {
        json!({"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix",
            "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}})
    };
    let spec = json!({"ingressClassName": "traefik", "rules": [rule("good.test"), rule(host)]});
    let ingress = json!({"metadata": metadata, "spec": spec});
    let service = json!({"metadata": metadata, "spec": {"ports": [{"port": 80}]}});
    let subsets = json!([{"addresses": [{"ip": address.ip()}], "ports": [{"port": address.port()}]}]);
    let endpoints = json!({"metadata": metadata, "subsets": subsets});
    State {
        ingresses: vec![Arc::new(serde_json::from_value(ingress).unwrap())],
        services: vec![Arc::new(serde_json::from_value(service).unwrap())],
        endpoints: vec![Arc::new(serde_json::from_value(endpoints).unwrap())],
        ..State::default()
    }
}

// One test alone: it takes in all children of its process.
#[tokio::test]
async fn a_refused_configuration_never_ends_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let children = Children::new().unwrap();
    let address = server("good");
    let bad = render(&state(BAD, address), &settings);
    let answer = |host: &str| get(settings.http, host, "/").unwrap_or_default();

    let mut proxy = Proxy::new(choosy(folder.path()), folder.path().into(), children.clone());
    start(&mut proxy, &bad, &settings).await.unwrap();
    until("health", || get(settings.health, "x", "/healthz").is_ok_and(|body| body == "ok\n")).await;
    assert_eq!(answer("good.test"), "404");

    proxy.apply(&render(&state("other.test", address), &settings)).await.unwrap();
    until("a route", || answer("other.test") == "good").await;

    let error = proxy.apply(&bad).await.unwrap_err();
    assert!(matches!(&error, Error::Refused(complaint) if complaint == "never"), "{error}");
    assert_eq!((answer("good.test"), answer(BAD)), ("good".into(), "404".into()));

    // A certificate that it does not like takes TLS away, and nothing else.
    let mut weak = render(&state("third.test", address), &settings);
    weak.certificates.insert("weak.pem".into(), "whatever it is".into());
    weak.certificate_list = format!("{}/certificates/weak.pem {BAD}\n", folder.path().display());
    apply(&mut proxy, &weak).await.unwrap();
    until("the third route", || answer("third.test") == "good").await;
    proxy.stop().await.unwrap();

    let mut proxy = Proxy::new("false".into(), folder.path().into(), children.clone());
    let error = start(&mut proxy, &bad, &settings).await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error}");
    let mut proxy = Proxy::new("/does/not/exist".into(), folder.path().into(), children);
    let error = start(&mut proxy, &bad, &settings).await.unwrap_err();
    assert!(matches!(error, Error::Start { .. }), "{error}");
}
