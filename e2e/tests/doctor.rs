//! Tests of the real `e2e doctor` on a machine without an engine and without tools.

#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};

/// Runs `e2e doctor` without any program in `PATH` and without an engine.
fn doctor(arguments: &[&str]) -> Output {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    Command::new(env!("CARGO_BIN_EXE_e2e"))
        .env_clear()
        .env("PATH", "/nonexistent")
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .current_dir(project)
        .arg("doctor")
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn a_bare_machine_gets_remedies_for_the_missing_engine_and_tools() {
    let output = doctor(&["--format", "json"]);
    assert_eq!(output.status.code(), Some(3));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = document["findings"].as_array().unwrap();
    let found = |subject: &str| findings.iter().find(|finding| finding["subject"] == subject).unwrap();
    for subject in ["container engine", "privileged containers", "kind", "BuildKit client"] {
        let finding = found(subject);
        assert_eq!(finding["verdict"], "missing", "{finding}");
        assert!(finding["remedy"].is_object(), "{finding}");
    }
    assert_eq!(found("kubectl")["verdict"], "warning");
    assert_eq!(found("clock")["verdict"], "good");
    // The doctor contacts package registries only after it has determined that an image must be built.
    assert_eq!(found("images")["found"], "unknown: no container engine is running");
    assert!(findings.iter().all(|finding| finding["subject"] != "Go module proxy"), "{document}");
    assert!(
        found("container engine")["found"].as_str().unwrap().starts_with("none: "),
        "{}",
        found("container engine")
    );
}

/// An engine without images that reaches no registry; it implements only the parts of the API that this test uses.
/// <https://docs.docker.com/reference/api/engine/>
fn serve_engine(socket: &Path) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                    head.extend(byte);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let path = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
                let (status, body) = match path.split('?').next().unwrap_or_default() {
                    path if path.ends_with("/_ping") => ("200 OK", ""),
                    path if path.ends_with("/version") => ("200 OK", r#"{"Version": "28.5.2", "ApiVersion": "1.47"}"#),
                    path if path.ends_with("/info") => ("200 OK", r#"{"CgroupVersion": "1"}"#),
                    path if path.ends_with("/images/json") => ("200 OK", "[]"),
                    path if path.contains("/distribution/") => {
                        ("500 Error", r#"{"message": "dial tcp: lookup registry.invalid: no such host"}"#)
                    }
                    _ => ("404 Not Found", r#"{"message": "nothing"}"#),
                };
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
                );
            });
        }
    });
}

/// Starts a registry that answers all requests with this status. Returns its address, with a user name and a password.
fn serve_registry(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        }
    });
    format!("http://me:secret@127.0.0.1:{port}")
}

/// Problems that would otherwise surface after half an hour of building: an old kind, control groups of version 1, and package registries
/// that do not answer or do not have the required packages.
#[test]
fn missing_requirements_of_a_build_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("docker.sock");
    serve_engine(&socket);
    let kind = dir.path().join("kind");
    std::fs::write(&kind, "#!/bin/sh\necho kind v0.27.0 go1.24.4 linux/amd64\n").unwrap();
    std::fs::set_permissions(&kind, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = dir.path().join("kind-config.yaml");
    std::fs::write(&config, "kind: Cluster\n").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_e2e"))
        .env_clear()
        .env("PATH", dir.path())
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .env("DEBIAN_MIRROR", serve_registry("200 OK"))
        .env("GOPROXY", format!("http://me:secret@{closed},direct"))
        .env("PIP_INDEX_URL", format!("{}/simple", serve_registry("404 Not Found")))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
        .args(["doctor", "--format", "json", "--kind-config"])
        .arg(&config)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("secret"), "{text}");
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let findings = document["findings"].as_array().unwrap();
    let found = |subject: &str| findings.iter().find(|finding| finding["subject"] == subject).unwrap();
    for (subject, verdict, text, advice) in [
        ("kind", "missing", "0.27", ""),
        ("mmdebstrap", "missing", "none", ""),
        ("images", "good", "must be built (cannot reach the registry: its name does not resolve)", ""),
        ("Debian mirror", "warning", "responds on this machine, but inside a build", "DEBIAN_MIRROR"),
        ("Go module proxy", "missing", "refuses the connection", "comes from the environment"),
        ("Python index", "missing", "does not have what is needed (HTTP 404)", "PIP_INDEX_URL"),
        ("control groups", "missing", "version 1", "failCgroupV1: false"),
    ] {
        let finding = found(subject);
        assert_eq!(finding["verdict"], verdict, "{finding}");
        assert!(finding["found"].as_str().unwrap().contains(text), "{finding}");
        assert!(advice.is_empty() || finding["remedy"]["advice"].as_str().unwrap().contains(advice), "{finding}");
    }
    assert!(found("disk")["needed"].as_str().unwrap().starts_with("25.0 GiB free"), "{}", found("disk"));
}

#[test]
fn the_table_ends_with_the_next_step() {
    let output = doctor(&[]);
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().last().unwrap();
    assert!(last.ends_with("prerequisites are missing. `e2e doctor --fix` fixes those that it can."), "{text}");
}

#[test]
fn a_missing_configuration_is_a_finding_and_not_a_crash() {
    let output = doctor(&["--kind-config", "/nonexistent.yaml"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8(output.stdout).unwrap().contains("/nonexistent.yaml: No such file"));
}

#[test]
fn bad_usage_exits_with_2() {
    assert_eq!(doctor(&["--format", "xml"]).status.code(), Some(2));
}
