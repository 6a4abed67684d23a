//! What goes wrong outside of the harness: each ends with a message that says what, and what to do next.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::Command;

use crate::bench::{Bench, NAME, PORTS};
use crate::support::{docker, error, run};

/// Runs `e2e up`, which must fail for something of its surroundings, and returns what it says.
fn up_fails(bench: &Bench, change: impl FnOnce(&mut Command)) -> String {
    let mut command = bench.e2e(&["up"]);
    change(&mut command);
    let output = command.output().expect("e2e runs");
    let said = error(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    // A table breaks its lines where it must.
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn no_engine() {
    let bench = Bench::new();
    let said = up_fails(&bench, |command| {
        command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    });
    assert!(said.contains("no container engine answers at unix:///nonexistent/docker.sock"), "{said}");
    assert!(said.contains("`e2e doctor` tells what to do"), "{said}");
    assert_eq!(bench.left(), Vec::<String>::new());
}

/// The real engine behind a door that refuses privileged containers as one does on a host that lacks a capability.
#[test]
fn an_engine_without_privileged_containers() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("docker.sock");
    let door = UnixListener::bind(&socket).expect("a socket");
    std::thread::spawn(move || {
        for client in door.incoming().flatten() {
            std::thread::spawn(move || refuse_starts(client));
        }
    });
    let said = up_fails(&bench, |command| {
        command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    });
    assert!(said.contains("privileged containers do not work: "), "{said}");
    assert!(said.contains("operation not permitted") && said.contains("to install the missing packages"), "{said}");
    assert_eq!(bench.left(), Vec::<String>::new());
}

/// Hands everything on to the engine, one request per connection, but answers by itself when a container is to be started.
fn refuse_starts(mut client: std::os::unix::net::UnixStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|count| count == 1) {
        head.extend(byte);
    }
    let text = String::from_utf8_lossy(&head).replacen("\r\n", "\r\nConnection: close\r\n", 1);
    if text.starts_with("POST") && text.lines().next().is_some_and(|line| line.contains("/start")) {
        let body = r#"{"message":"unable to apply caps: operation not permitted"}"#;
        let length = body.len();
        let _ = write!(
            client,
            "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        return;
    }
    let Ok(mut engine) = std::os::unix::net::UnixStream::connect("/var/run/docker.sock") else { return };
    let _ = engine.write_all(text.as_bytes());
    let (Ok(mut from), Ok(mut to)) = (client.try_clone(), engine.try_clone()) else { return };
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    let _ = std::io::copy(&mut engine, &mut client);
    let _ = client.shutdown(std::net::Shutdown::Both);
}

/// kind 0.27 is Debian 13's. It starts a node of Kubernetes 1.37 and fails only when that refuses its configuration.
#[test]
fn a_kind_that_is_older_than_the_cluster() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().expect("a folder");
    let kind = folder.path().join("kind");
    std::fs::write(&kind, "#!/bin/sh\ntest \"$1\" = version && echo kind v0.27.0 go1.24.4 linux/amd64\n")
        .expect("written");
    std::fs::set_permissions(&kind, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let path = std::env::var("PATH").expect("a path");
    let said = up_fails(&bench, |command| {
        command.env("PATH", format!("{}:{path}", folder.path().display()));
    });
    assert!(said.contains("missing kind 0.27"), "{said}");
    assert!(said.contains("0.33 or newer"), "{said}");
    assert_eq!(bench.left(), Vec::<String>::new());
}

#[test]
fn a_port_that_is_taken() {
    let bench = Bench::new();
    let _listener = TcpListener::bind(("127.0.0.1", PORTS[0])).expect("the port");
    let said = up_fails(&bench, |_| {});
    assert!(said.contains(&format!("{}: in use by another program", PORTS[0])), "{said}");
    assert!(said.contains("ss -ltnp"), "{said}");
    assert_eq!(bench.left(), Vec::<String>::new());
}

#[test]
fn a_cluster_of_that_name_that_somebody_else_made() {
    let bench = Bench::new();
    // What kind knows its clusters by is this label.
    let image =
        docker(&["images", "--filter", "label=io.gitlab-ci-k8s-demo.recipe", "--format", "{{.Repository}}:{{.Tag}}"]);
    let image = image.lines().next().expect("an image (make images)");
    let name = format!("{NAME}-control-plane");
    let label = format!("io.x-k8s.kind.cluster={NAME}");
    docker(&[
        "create",
        "--name",
        &name,
        "--label",
        &label,
        "--label",
        "io.x-k8s.kind.role=control-plane",
        image,
        "true",
    ]);
    let remove = || drop(Command::new("docker").args(["rm", "--force", &name]).output());
    let result = std::panic::catch_unwind(|| {
        assert!(run(Command::new("kind").args(["get", "clusters"])).lines().any(|line| line == NAME));
        let said = up_fails(&bench, |_| {});
        assert!(said.contains("was not created by `e2e`: choose another name"), "{said}");
        assert!(said.contains("--name"), "{said}");
        run(&mut bench.e2e(&["down"]));
        assert_eq!(docker(&["inspect", "--format", "{{.Name}}", &name]), format!("/{name}"), "it was taken away");
        let status = bench.e2e(&["status"]).output().expect("e2e runs");
        assert!(error(&status).contains("was not created by `e2e`"), "{status:?}");
    });
    remove();
    result.expect("what the cluster's maker sees");
    assert_eq!(bench.left(), Vec::<String>::new());
}

#[test]
fn a_full_disk() {
    let bench = Bench::new();
    // A file system of one page: its root takes it.
    let state = bench.state();
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=4k,nr_inodes=2", "tmpfs"]).arg(&state));
    let result = std::panic::catch_unwind(|| up_fails(&bench, |_| {}));
    run(Command::new("umount").arg(&state));
    let said = result.expect("a failure");
    assert!(said.contains("No space left on device"), "{said}");
    assert!(said.contains(&state.display().to_string()), "{said}");
    bench.down();
}

#[test]
fn a_configuration_that_kind_does_not_take() {
    let bench = Bench::new();
    let config = tempfile::NamedTempFile::new().expect("a file");
    // The patch is what `doctor` demands on a machine with cgroup v1.
    let text = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: [{role: master}]\n\
        kubeadmConfigPatches: [\"kind: KubeletConfiguration\\nfailCgroupV1: false\"]\n";
    std::fs::write(config.path(), text).expect("written");
    let mut command = crate::support::e2e(&["up", "--name", NAME, "--state-dir"]);
    command.arg(bench.state()).arg("--kind-config").arg(config.path());
    let output = command.output().expect("e2e runs");
    let said = error(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    // kind's own words, and where all of them are.
    assert!(said.contains("\"master\" is not a valid node role"), "{said}");
    assert!(said.contains("kind.log"), "{said}");
    bench.down();
}
