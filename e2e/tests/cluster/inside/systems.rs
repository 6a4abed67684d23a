//! Tests of the checks in other systems: Sonobuoy, and a GitLab project that includes the component. Both run the image of
//! `make harness-image` with an account that may do everything, as Sonobuoy's.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::load_image;
use crate::fixture::{Cleanup, DEPLOYER, apply, owner};
use crate::outcome::Run;
use crate::repository::Repository;
use crate::saboteurs::intact;
use crate::support::{error, eventually, image, project, run};

/// A namespace whose pods may do everything in the cluster.
fn powerful(name: &str) -> Cleanup {
    let subject = json!({"kind": "ServiceAccount", "name": "default", "namespace": name});
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"});
    apply(&[
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": role, "subjects": [subject],
        }),
    ]);
    Cleanup(vec![format!("namespace/{name}"), format!("clusterrolebinding/{name}")])
}

/// Unpacks what Sonobuoy's worker would send: the file that `done` names. `pkg/worker/worker.go`
const WORKER: &str = "until [ -e /tmp/sonobuoy/results/done ]; do sleep 0.2; done
tar -x -z -O -f \"$(cat /tmp/sonobuoy/results/done)\" junit.xml";

#[test]
fn sonobuoy_gets_the_report_of_the_plugin() {
    let _deployer = DEPLOYER.read();
    load_image();
    let (_namespace, _environment) = (powerful("e2e-sonobuoy"), intact("plugin"));
    let plugin = std::fs::read_to_string(project().join("manifests/sonobuoy/plugin.yaml")).expect("the plugin");
    let mut plugin: Value = serde_saphyr::from_str(&plugin).expect("YAML");
    assert_eq!(plugin["sonobuoy-config"]["result-format"], "junit");
    // Sonobuoy adds the volume and a container of its own. The other arguments of the plugin are its defaults.
    let arguments = plugin["spec"]["args"].as_array_mut().expect("arguments");
    arguments.extend(["--ref=plugin", "version"].map(|argument| json!(argument)));
    let mounts = plugin["spec"]["volumeMounts"].clone();
    let worker = json!({"name": "worker", "image": image("debian-forky"), "command": ["sh", "-c", WORKER], "volumeMounts": mounts});
    apply(&[json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "plugin", "namespace": "e2e-sonobuoy"},
        "spec": {
            "restartPolicy": "Never",
            "volumes": [{"name": "results", "emptyDir": {}}],
            "containers": [plugin["spec"], worker],
        },
    })]);
    let kubectl = |arguments: &[&str]| run(owner(arguments).arg("--namespace=e2e-sonobuoy"));
    eventually("the end of the plugin", Duration::from_mins(3), || {
        let phase = kubectl(&["get", "pod", "plugin", "--output=jsonpath={.status.phase}"]);
        if phase == "Succeeded" { Ok(()) } else { Err(kubectl(&["describe", "pod", "plugin"])) }
    });
    let report = kubectl(&["logs", "plugin", "--container=worker"]);
    let passed = report.contains(r#"<testcase name="version" "#) && report.contains(r#" failures="0" errors="0" "#);
    assert!(passed, "{report}");
    let log = kubectl(&["logs", "plugin", "--container=plugin"]);
    assert!(log.contains("Checks: 1 passed\n") && log.contains("exit code 0"), "{log}");
}

#[test]
fn a_job_of_the_component_checks_without_changes() {
    let _deployer = DEPLOYER.read();
    load_image();
    let (_namespace, _environment) = (powerful("e2e-component"), intact("component"));
    let pipeline = "include:\n  - local: templates/checks/template.yml\n    inputs: {image: 'gitlab-ci-k8s-demo/e2e:latest', \
                    environment: component, read-only: true}\n";
    let repository = Repository::new("main", pipeline);
    let component = repository.path().join("templates/checks");
    std::fs::create_dir_all(&component).expect("a directory");
    std::fs::copy(project().join("templates/checks/template.yml"), component.join("template.yml")).expect("copied");
    repository.git(&["add", "."]);
    repository.git(&["commit", "--quiet", "--message", "Component"]);
    let settings = NamedTempFile::new().expect("a file");
    let text = "[[runners]]\nexecutor = \"kubernetes\"\n[runners.kubernetes]\npull_policy = \"never\"\nautomount_service_account_token = true\n";
    std::fs::write(settings.path(), text).expect("settings");
    let config = settings.path().to_str().expect("a path");
    let arguments = ["pipeline", "--format", "json", "--namespace", "e2e-component", "--config", config];
    let output = repository.e2e(&arguments).output().expect("e2e");
    let run = Run::new(output);
    assert_eq!(run.code(), 0, "{:#?}\n{}", run.all_lines("checks"), error(&run.output));
    let lines = run.all_lines("checks");
    // The certificate of this registry is that of `make up`, which the pod does not know.
    for expected in ["Checks: 5 passed, 8 not run", "junit.xml: found 1 matching artifact files and directories"] {
        assert!(lines.iter().any(|line| line == expected), "{lines:#?}");
    }
}
