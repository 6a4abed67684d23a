//! Tests the commands with which a report shows a person the state that a check has verified: a shell runs them as they are printed.

use std::process::Command;

use serde_json::Value;

use crate::deployment::deploy_as;
use crate::fixture::{DEPLOYER, access};
use crate::saboteurs::{COMMIT, reported};
use crate::support::{e2e, error};
use crate::temporary::alone;

/// A part of the output of each check's commands.
const SHOWN: [(&str, &str); 12] = [
    ("registry", "401"),
    ("pull-secret", "myregistry"),
    ("rbac", "deployments.apps"),
    ("pod-security", "violates PodSecurity"),
    ("deployment", "successfully rolled out"),
    ("readiness", r#""path":"/health""#),
    ("liveness", r#""path":"/livez""#),
    ("dns", "coredns-"),
    ("service", "Hello from GitLab CI and Kubernetes!"),
    ("scraping", r#""ref":"reproduced""#),
    ("ingress", "404 Not Found"),
    ("rollout", " 200\n"),
];

/// All commands succeed but one: the API server refuses the privileged pod.
#[test]
fn the_commands_of_a_report_show_the_state_of_the_cluster() {
    let (_alone, _deployer) = (alone(), DEPLOYER.read());
    let _cleanup = deploy_as("reproduced", &COMMIT);
    let arguments = ["check", "--kubeconfig", access("kubeconfig"), "--namespace", "gitlab", "--ref", "reproduced"];
    let output = e2e(&arguments).args(["--format", "json"]).output().expect("e2e runs");
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    let checks = reported(&String::from_utf8_lossy(&output.stdout)).expect("JSON");
    let mut names: Vec<_> = checks.iter().filter_map(|check| check["name"].as_str()).collect();
    names.sort_unstable();
    let shown: Vec<_> = SHOWN.into_iter().chain([("version", COMMIT.as_str())]).collect();
    let mut expected: Vec<_> = shown.iter().map(|(name, _)| *name).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    for (name, shown) in shown {
        let commands = checks.iter().find(|check| check["name"] == name).expect("the check")["reproduce"].as_array();
        let mut printed = String::new();
        for command in commands.expect("a list").iter().filter_map(Value::as_str) {
            let output = Command::new("bash").args(["-euo", "pipefail", "-c", command]).output().expect("bash runs");
            assert_eq!(output.status.success(), !command.contains("--privileged"), "{command}\n{}", error(&output));
            printed += &String::from_utf8_lossy(&output.stdout);
            printed += &error(&output);
        }
        assert!(printed.contains(shown), "{name} does not show {shown}:\n{printed}");
    }
}
