//! Tests of the private registry: authentication for pushes and for pods' pulls.

use std::process::Command;
use std::time::Duration;

use crate::fixture::{Cleanup, Client, DEPLOYER, access, feed, owner, pushed_image};
use crate::support::{docker, eventually, fail, run};

const TIMEOUT: Duration = Duration::from_mins(1);

#[test]
fn a_push_needs_the_password() {
    let image = format!("{}/course/nothing:test", Client::registry());
    let client = Client::new();
    // An empty image suffices: the registry requests credentials before any layer is sent.
    feed(&mut client.docker(&["build", "--quiet", "--tag", &image, "-"]), "FROM scratch\nLABEL a=b\n");
    let push = || client.docker(&["push", "--quiet", &image]);
    let unknown = fail(&mut push());
    assert!(unknown.contains("no basic auth credentials"), "{unknown}");
    client.believe("wrong");
    let refused = fail(&mut push());
    assert!(refused.contains("unauthorized: authentication required"), "{refused}");
    client.login();
    run(&mut push());
    docker(&["rmi", &image]);
}

/// Connects like a client in the cluster's network: by the registry's host name, trusting only its own authority.
#[test]
fn the_certificate_is_valid_for_the_host_name() {
    let address = access("registry_address");
    let port = address.rsplit_once(':').expect("an address").1;
    let host = access("registry_host");
    let curl = |authority: &[&str], user: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--output", "/dev/null", "--write-out", "%{http_code}"]);
        command.args(["--resolve", &format!("{host}:{port}:127.0.0.1")]).args(authority).args(user);
        command.arg(format!("https://{host}:{port}/v2/"));
        command
    };
    let authority = ["--cacert", access("registry_authority")];
    let user = ["--netrc-file", access("registry_netrc")];
    assert_eq!(run(&mut curl(&authority, &user)), "200");
    assert_eq!(run(&mut curl(&authority, &[])), "401");
    let untrusted = fail(&mut curl(&[], &user));
    assert!(untrusted.contains("certificate"), "{untrusted}");
}

fn pod(name: &str, pull_secret: bool, tag: &str) -> String {
    let secret = if pull_secret { "imagePullSecrets: [{name: myregistry}]" } else { "enableServiceLinks: false" };
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: gitlab}}\nspec:\n  {secret}\n  \
         securityContext: {{runAsNonRoot: true, runAsUser: 65532, seccompProfile: {{type: RuntimeDefault}}}}\n  containers:\n    \
         - name: app\n      image: {}:{tag}\n      imagePullPolicy: Always\n      securityContext: {{allowPrivilegeEscalation: false, \
         capabilities: {{drop: [ALL]}}}}\n",
        pushed_image()
    )
}

#[test]
fn a_pod_can_pull_only_with_the_secret() {
    let _deployer = DEPLOYER.read();
    let (with, without) = ("pulls-with-secret", "pulls-without-secret");
    let _cleanup = Cleanup(vec!["--namespace=gitlab".into(), "pod".into(), with.into(), without.into()]);
    for (name, secret) in [(with, true), (without, false)] {
        feed(&mut owner(&["apply", "--filename", "-"]), &pod(name, secret, "test"));
    }
    run(&mut owner(&["wait", "--namespace=gitlab", "--for=condition=Ready", "--timeout=60s", "pod", with]));
    let events = format!("involvedObject.name={without},reason=Failed");
    eventually("the refusal", TIMEOUT, || {
        let printed = run(&mut owner(&[
            "get",
            "events",
            "--namespace=gitlab",
            "--field-selector",
            &events,
            "--output=jsonpath={.items[*].message}",
        ]));
        // containerd's message for 401.
        if printed.contains("401 Unauthorized") || printed.contains("authorization failed") {
            Ok(())
        } else {
            Err(printed)
        }
    });
    let phase = run(&mut owner(&["get", "pod", without, "--namespace=gitlab", "--output=jsonpath={.status.phase}"]));
    assert_eq!(phase, "Pending");
}

/// The message in the pod's status distinguishes a missing tag from a registry that the node does not trust.
#[test]
fn a_missing_tag_is_reported_as_not_found() {
    let _deployer = DEPLOYER.read();
    let name = "pulls-a-missing-tag";
    let _cleanup = Cleanup(vec!["--namespace=gitlab".into(), "pod".into(), name.into()]);
    feed(&mut owner(&["apply", "--filename", "-"]), &pod(name, true, "missing"));
    let path = "--output=jsonpath={.status.containerStatuses[0].state.waiting.message}";
    let message = eventually("the refusal", TIMEOUT, || {
        let message = run(&mut owner(&["get", "pod", name, "--namespace=gitlab", path]));
        if message.is_empty() { Err("no message yet".to_owned()) } else { Ok(message) }
    });
    assert!(message.contains("not found") && !message.contains("x509"), "{message}");
}

#[test]
fn the_registry_is_announced_to_other_tools() {
    let text = run(&mut owner(&[
        "get",
        "configmap",
        "local-registry-hosting",
        "--namespace=kube-public",
        r"--output=jsonpath={.data.localRegistryHosting\.v1}",
    ]));
    assert!(text.contains(&format!("host: \"{}\"", Client::registry())), "{text}");
    assert!(text.contains("hostFromClusterNetwork: \"registry.gitlab-k8s-demo.test\""), "{text}");
}
