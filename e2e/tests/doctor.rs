//! The real `e2e doctor`, on a machine that is made to look bare.

#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use std::path::Path;
use std::process::{Command, Output};

/// Runs it without any program on its path and with an engine that is not there.
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
fn a_bare_machine_lacks_engine_and_tools_and_says_how_to_get_them() {
    let output = doctor(&["--format", "json"]);
    assert_eq!(output.status.code(), Some(3));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = document["findings"].as_array().unwrap();
    let of = |subject: &str| findings.iter().find(|finding| finding["subject"] == subject).unwrap();
    for subject in ["container engine", "privileged containers", "kind", "BuildKit client"] {
        let finding = of(subject);
        assert_eq!(finding["verdict"], "missing", "{finding}");
        assert!(finding["remedy"].is_object(), "{finding}");
    }
    assert_eq!(of("kubectl")["verdict"], "warning");
    assert_eq!(of("clock")["verdict"], "good");
    assert!(of("container engine")["found"].as_str().unwrap().starts_with("none: "), "{}", of("container engine"));
}

#[test]
fn the_table_ends_with_how_it_stands() {
    let output = doctor(&[]);
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().last().unwrap();
    assert!(last.ends_with("are missing. `e2e doctor --fix` runs what it can."), "{text}");
}

#[test]
fn a_missing_configuration_is_a_finding_and_not_a_crash() {
    let output = doctor(&["--kind-config", "/nonexistent.yaml"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8(output.stdout).unwrap().contains("/nonexistent.yaml: No such file"));
}

#[test]
fn usage_is_2() {
    assert_eq!(doctor(&["--format", "xml"]).status.code(), Some(2));
}
