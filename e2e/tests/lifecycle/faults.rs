//! Tests of faults outside the harness: each must be reported with a message that names the problem and the next step.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::Command;

use crate::sandbox::{NAME, PORTS, Sandbox};
use crate::support::{docker, error, run};

/// Runs `e2e up`, which must fail because of its environment, and returns its message.
fn up_fails(sandbox: &Sandbox, change: impl FnOnce(&mut Command)) -> String {
    let mut command = sandbox.e2e(&["up"]);
    change(&mut command);
    let output = command.output().expect("e2e runs");
    let stderr = error(&output);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    // The table wraps long lines.
    stderr.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_engine_is_missing() {
    let sandbox = Sandbox::new();
    let stderr = up_fails(&sandbox, |command| {
        command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    });
    assert!(stderr.contains("no container engine answers at unix:///nonexistent/docker.sock"), "{stderr}");
    assert!(stderr.contains("`e2e doctor` shows what to do"), "{stderr}");
    assert_eq!(sandbox.left(), Vec::<String>::new());
}

/// The real engine behind a proxy that rejects privileged containers, like an engine on a host that lacks a capability.
#[test]
fn an_engine_without_privileged_containers() {
    let sandbox = Sandbox::new();
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("docker.sock");
    let listener = UnixListener::bind(&socket).expect("a socket");
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || refuse_starts(client));
        }
    });
    let stderr = up_fails(&sandbox, |command| {
        command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    });
    assert!(stderr.contains("privileged containers do not work: "), "{stderr}");
    assert!(
        stderr.contains("operation not permitted") && stderr.contains("to install the missing packages"),
        "{stderr}"
    );
    assert_eq!(sandbox.left(), Vec::<String>::new());
}

/// Forwards all requests to the engine, one per connection, but rejects requests to start a container.
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

/// Debian 13 has kind 0.27. It starts a node with Kubernetes 1.37, and fails only when kubeadm rejects its configuration.
#[test]
fn kind_is_too_old_for_the_cluster() {
    let sandbox = Sandbox::new();
    let dir = tempfile::tempdir().expect("a directory");
    let kind = dir.path().join("kind");
    std::fs::write(&kind, "#!/bin/sh\ntest \"$1\" = version && echo kind v0.27.0 go1.24.4 linux/amd64\n")
        .expect("written");
    std::fs::set_permissions(&kind, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let path = std::env::var("PATH").expect("a path");
    let stderr = up_fails(&sandbox, |command| {
        command.env("PATH", format!("{}:{path}", dir.path().display()));
    });
    assert!(stderr.contains("missing kind 0.27"), "{stderr}");
    assert!(stderr.contains("0.33 or newer"), "{stderr}");
    assert_eq!(sandbox.left(), Vec::<String>::new());
}

#[test]
fn a_port_is_in_use() {
    let sandbox = Sandbox::new();
    let _listener = TcpListener::bind(("127.0.0.1", PORTS[0])).expect("the port");
    let stderr = up_fails(&sandbox, |_| {});
    assert!(stderr.contains(&format!("{}: in use by another program", PORTS[0])), "{stderr}");
    assert!(stderr.contains("ss -ltnp"), "{stderr}");
    assert_eq!(sandbox.left(), Vec::<String>::new());
}

#[test]
fn a_foreign_cluster_has_the_same_name() {
    let sandbox = Sandbox::new();
    // kind identifies its clusters by this label.
    let image =
        docker(&["images", "--filter", "label=io.gitlab-ci-k8s-demo.recipe", "--format", "{{.Repository}}:{{.Tag}}"]);
    let image = image.lines().find(|image| !image.contains("/run:")).expect("an image (make images)");
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
        let stderr = up_fails(&sandbox, |_| {});
        assert!(stderr.contains("was not created by `e2e`: choose another name"), "{stderr}");
        assert!(stderr.contains("--name"), "{stderr}");
        run(&mut sandbox.e2e(&["down"]));
        assert_eq!(docker(&["inspect", "--format", "{{.Name}}", &name]), format!("/{name}"), "it was removed");
        let status = sandbox.e2e(&["status"]).output().expect("e2e runs");
        assert!(error(&status).contains("was not created by `e2e`"), "{status:?}");
    });
    remove();
    result.expect("the foreign cluster is not changed");
    assert_eq!(sandbox.left(), Vec::<String>::new());
}

#[test]
fn the_disk_is_full() {
    let sandbox = Sandbox::new();
    // A file system of one page, which its root directory uses up.
    let state = sandbox.state();
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=4k,nr_inodes=2", "tmpfs"]).arg(&state));
    let result = std::panic::catch_unwind(|| up_fails(&sandbox, |_| {}));
    run(Command::new("umount").arg(&state));
    let stderr = result.expect("a failure");
    assert!(stderr.contains("No space left on device"), "{stderr}");
    assert!(stderr.contains(&state.display().to_string()), "{stderr}");
    sandbox.down();
}

#[test]
fn kind_rejects_the_configuration() {
    let sandbox = Sandbox::new();
    let config = tempfile::NamedTempFile::new().expect("a file");
    // `doctor` requires this patch on a machine with cgroup v1.
    let text = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: [{role: master}]\n\
        kubeadmConfigPatches: [\"kind: KubeletConfiguration\\nfailCgroupV1: false\"]\n";
    std::fs::write(config.path(), text).expect("written");
    let mut command = crate::support::e2e(&["up", "--name", NAME, "--state-dir"]);
    command.arg(sandbox.state()).arg("--kind-config").arg(config.path());
    let output = command.output().expect("e2e runs");
    let stderr = error(&output);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    // The message contains kind's own error and the path of the log.
    assert!(stderr.contains("\"master\" is not a valid node role"), "{stderr}");
    assert!(stderr.contains("kind.log"), "{stderr}");
    sandbox.down();
}
