//! Tests of the life of a cluster. One test goes through all its states, because creating a cluster is slow: created, damaged and repaired,
//! stopped, recreated, removed. Another test interrupts the creation.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::{NAME, Sandbox};
use crate::support::{docker, error, eventually, fail, run};

const TIMEOUT: Duration = Duration::from_secs(30);

#[test]
fn a_cluster_is_created_repaired_and_removed() {
    let sandbox = Sandbox::new();
    let up = run(&mut sandbox.e2e(&["up"]));
    assert!(up.ends_with("Everything is up."), "{up}");
    let first = sandbox.run_id();

    other_kubeconfigs_are_not_changed();
    missing_parts_are_repaired(&sandbox);
    assert_eq!(sandbox.run_id(), first, "repaired, not recreated");

    // If its files are deleted, the cluster stays and gets new ones.
    std::fs::remove_dir_all(sandbox.state()).expect("the files");
    std::fs::create_dir(sandbox.state()).expect("the directory");
    run(&mut sandbox.e2e(&["up"]));
    assert!(sandbox.is_complete());
    assert_eq!(sandbox.run_id(), first, "repaired, not recreated");

    // After a reboot of the machine, the containers exist but are stopped.
    docker(&["kill", &format!("{NAME}-control-plane")]);
    let status = sandbox.e2e(&["status"]).output().expect("e2e runs");
    assert_eq!(status.status.code(), Some(1));
    let output = sandbox.e2e(&["up"]).output().expect("e2e runs");
    assert!(output.status.success(), "{}", error(&output));
    assert!(error(&output).contains("is incomplete or stopped; recreating it"), "{}", error(&output));
    assert_ne!(sandbox.run_id(), first);

    sandbox.down();
    let again = run(&mut sandbox.e2e(&["down"]));
    assert_eq!(again, format!("Nothing to remove for cluster `{NAME}`."));
    let status = sandbox.e2e(&["status"]).output().expect("e2e runs");
    assert_eq!(status.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&status.stdout),
        format!("Cluster `{NAME}` does not exist. Create it with `e2e up`.\n")
    );
}

fn other_kubeconfigs_are_not_changed() {
    let home = std::env::var("HOME").unwrap_or_default();
    let own = std::fs::read_to_string(format!("{home}/.kube/config")).unwrap_or_default();
    assert!(!own.contains(NAME), "{own}");
}

fn missing_parts_are_repaired(sandbox: &Sandbox) {
    let damages: [(&str, &[&str]); 3] = [
        ("the pull secret", &["delete", "secret", "myregistry", "--namespace=gitlab"]),
        ("the Ingress controller", &["delete", "namespace", "ingress"]),
        ("Prometheus", &["delete", "deployment", "prometheus", "--namespace=monitoring"]),
    ];
    for (what, arguments) in damages {
        let output = sandbox.kubectl(arguments).output().expect("kubectl runs");
        assert!(output.status.success(), "{what}: {}", error(&output));
    }
    // If the registry is lost, the nodes must trust its replacement, which has another certificate and another password.
    docker(&["kill", &format!("{NAME}-registry")]);
    let status = sandbox.e2e(&["status"]).output().expect("e2e runs");
    assert_eq!(status.status.code(), Some(1));
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(text.contains("Not ready: Ingress controller, Prometheus, deployer, registry."), "{text}");
    let output = sandbox.e2e(&["up"]).output().expect("e2e runs");
    assert!(output.status.success(), "{}", error(&output));
    assert!(error(&output).contains("the registry was not running: the new one is empty"), "{}", error(&output));
    assert!(sandbox.is_complete());
    let node = format!("{NAME}-control-plane");
    let trusted = docker(&["exec", &node, "cat", "/etc/containerd/certs.d/registry.gitlab-k8s-demo.test/ca.crt"]);
    let authority = std::fs::read_to_string(sandbox.state().join(NAME).join("registry-ca.crt")).expect("the authority");
    assert_eq!(trusted, authority.trim());
}

#[test]
fn an_interrupted_up_exits_at_once_and_down_finds_everything() {
    let sandbox = Sandbox::new();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut up = sandbox.e2e(&["up", "--quiet"]).spawn().expect("e2e runs");
        Sandbox::wait_for_container(&format!("{NAME}-control-plane"));
        // No other process can use the cluster meanwhile.
        let other = fail(&mut sandbox.e2e(&["down"]));
        assert_eq!(
            other.trim(),
            format!("e2e: another `e2e` process is using cluster `{NAME}`: wait until it ends, or stop it")
        );
        let process = Pid::from_child(&up);
        kill_process(process, signal).expect("a signal");
        assert_eq!(up.wait().expect("its end").code(), Some(code));
        // The programs that it has started end with it.
        eventually("the end of kind", TIMEOUT, || {
            let left = sandbox.left();
            if left.iter().any(|it| it.starts_with("program ")) { Err(format!("{left:?}")) } else { Ok(()) }
        });
        sandbox.down();
    }
}
