//! A mutating admission webhook on this machine, which the cluster's API server calls.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::environment::registry::certificate;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::fixture::host_address;

/// Starts a webhook that applies `patch` to every object, and returns how clients reach it: the `clientConfig` of its configuration.
/// It runs until the tests end.
pub(crate) fn start(patch: &Value) -> Value {
    let host = host_address();
    let listener = TcpListener::bind((host.as_str(), 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    let made = certificate::make(&[&host]).expect("a certificate");
    let chain = vec![CertificateDer::from_pem_slice(made.certificate.as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(made.key.as_bytes()).expect("PEM");
    // Another test may have chosen the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).expect("a configuration");
    let (config, patch) = (Arc::new(config), patch.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // The API server repeats a request whose connection broke.
            let _ = answer(stream, &config, &patch);
        }
    });
    json!({"url": format!("https://{address}/"), "caBundle": STANDARD.encode(made.authority)})
}

/// Answers one request: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response>
fn answer(stream: TcpStream, config: &Arc<ServerConfig>, patch: &Value) -> std::io::Result<()> {
    let connection = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let mut length = 0;
    let mut line = String::new();
    while stream.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let review: Value = serde_json::from_slice(&body)?;
    let response = json!({
        "uid": review["request"]["uid"],
        "allowed": true,
        "patchType": "JSONPatch",
        "patch": STANDARD.encode(patch.to_string()),
    });
    let text = json!({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}).to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    let stream = stream.get_mut();
    stream.write_all(format!("{head}{text}").as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}
