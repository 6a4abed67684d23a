//! Saboteurs of the registry, the image and the pull secret: the checks `registry` and `pull-secret`.

use std::process::Command;

use serde_json::{Value, json};

use super::{
    QUICK, WITHOUT_PODS, caught, container, explained, failing, intact, patch_pods, patch_template, record,
    record_reported,
};
use crate::fixture::{Cleanup, Client, DEPLOYER, access, feed, owner};
use crate::support::{docker, project, run};

#[test]
fn the_tag_is_pushed_again_after_the_deployment() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("retagged");
    // Use a separate tag, so that other environments are not affected.
    let client = Client::new();
    client.login();
    let repository = format!("{}/course/demo", Client::registry());
    let push = |label: &str| {
        let image = format!("{repository}:retagged");
        run(client.docker(&["build", "--quiet", "--label", label, "--tag", &image]).arg(project()));
        run(&mut client.docker(&["push", "--quiet", &image]));
        run(&mut client.docker(&["rmi", &image]));
    };
    push("sabotage=before");
    let image = format!("{}/course/demo:retagged", access("registry_host"));
    patch_pods("retagged", &container(json!({"image": image})));
    push("sabotage=after");
    caught("retagged", "registry", &WITHOUT_PODS, "@sha256:", &[]);
}

#[test]
fn the_tag_does_not_exist() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("untagged");
    let image = format!("{}/course/demo:no-such-tag", access("registry_host"));
    patch_template("untagged", &container(json!({"image": image})));
    explained("untagged", &["deployment"], &[("deployment", "no-such-tag: ")]);
    refuses_the_image("untagged", "404");
}

#[test]
fn a_service_account_gives_a_pull_secret_to_every_pod() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("generous");
    let _account = Cleanup(vec!["--namespace=gitlab".into(), "serviceaccount/generous".into()]);
    feed(
        &mut owner(&["apply", "--filename", "-"]),
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: generous, namespace: gitlab}\nimagePullSecrets: [{name: myregistry}]\n",
    );
    patch_pods("generous", &json!({"spec": {"template": {"spec": {"serviceAccountName": "generous"}}}}));
    caught("generous", "pull-secret", &QUICK, "pulled the image with myregistry", &[]);
}

#[test]
fn a_pull_secret_is_missing_or_wrong() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("secretless");
    let _secret = Cleanup(vec!["--namespace=gitlab".into(), "secret/secretless".into()]);
    // The pods still have a valid pull secret in addition, so only the check notices this one.
    let secrets = json!([{"name": "secretless"}]);
    patch_pods("secretless", &json!({"spec": {"template": {"spec": {"imagePullSecrets": secrets}}}}));
    caught("secretless", "pull-secret", &QUICK, "no Secret secretless", &[]);
    run(&mut owner(&["--namespace=gitlab", "create", "secret", "generic", "secretless", "--from-literal=password=x"]));
    let failure = caught("secretless", "pull-secret", &["pull-secret"], "secretless of type Opaque", &[]);
    assert_eq!(failure["object"], "Secret gitlab/secretless");
}

#[test]
fn the_pull_secret_has_a_wrong_password() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("mistyped");
    let _secret = Cleanup(vec!["--namespace=gitlab".into(), "secret/mistyped".into()]);
    let secret = run(&mut owner(&["--namespace=gitlab", "get", "secret", "myregistry", "--output=json"]));
    let secret: Value = serde_json::from_str(&secret).expect("JSON");
    let mine = |data: &Value| {
        json!({"apiVersion": "v1", "kind": "Secret", "type": secret["type"], "data": data,
            "metadata": {"name": "mistyped", "namespace": "gitlab"}})
    };
    feed(&mut owner(&["apply", "--filename", "-"]), &mine(&secret["data"]).to_string());
    // A merge of lists would keep the other Secret.
    let patch = json!({"spec": {"template": {"spec": {"imagePullSecrets": [{"name": "mistyped"}]}}}});
    let name = "deployment/gitlab-k8s-demo-mistyped";
    run(&mut owner(&["--namespace=gitlab", "patch", name, "--type=merge", "--patch", &patch.to_string()]));
    run(&mut owner(&["--namespace=gitlab", "rollout", "status", "--timeout=120s", name]));
    let auths = json!({"auths": {access("registry_host"): {"username": "gitlab", "password": "wrong", "auth": "Z2l0bGFiOndyb25n"}}});
    let text = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, auths.to_string());
    feed(&mut owner(&["apply", "--filename", "-"]), &mine(&json!({".dockerconfigjson": text})).to_string());
    explained(
        "mistyped",
        &["pull-secret", "deployment", "readiness", "service", "version"],
        &[("pull-secret", "the registry denies the pull with Secret mistyped"), ("readiness", "ImagePull")],
    );
}

#[test]
#[ignore = "a variant: make test-variants"]
fn the_image_is_of_a_registry_that_does_not_exist() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("elsewhere");
    patch_template("elsewhere", &container(json!({"image": "registry.invalid/course/demo:v1"})));
    explained("elsewhere", &["deployment"], &[("deployment", "registry.invalid")]);
    refuses_the_image("elsewhere", "registry.invalid/course/demo:v1");
}

#[test]
fn the_registry_requires_no_login() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("unlocked");
    let registry = OpenRegistry::start();
    let address = registry.address();
    let login = ["--registry-user=gitlab", "--registry-password-file", access("registry_password")];
    let target =
        ["--kubeconfig", access("kubeconfig"), "--registry", &address, "--registry-ca", access("registry_authority")];
    let failed = failing("unlocked", &["registry", "service"], "10s", &[target.as_slice(), &login].concat());
    assert_eq!(failed.keys().collect::<Vec<_>>(), ["registry"], "{failed:?}");
    let actual = failed["registry"]["failure"]["seen"].as_str().expect("what was seen");
    assert!(actual.starts_with("200"), "{failed:?}");
    record_reported(&["registry", "service"], &failed);
}

#[test]
#[ignore = "a variant: make test-variants"]
fn the_tag_is_deleted_from_the_registry() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("forgotten");
    let client = Client::new();
    client.login();
    let here = format!("{}/course/demo:forgotten", Client::registry());
    run(client.docker(&["build", "--quiet", "--label", "sabotage=forgotten", "--tag", &here]).arg(project()));
    run(&mut client.docker(&["push", "--quiet", &here]));
    run(&mut client.docker(&["rmi", &here]));
    let image = format!("{}/course/demo:forgotten", access("registry_host"));
    patch_pods("forgotten", &container(json!({"image": image})));
    let manifests = "/v2/course/demo/manifests";
    let head = ask_registry(
        &["--head", "--header", "Accept: application/vnd.oci.image.index.v1+json"],
        &format!("{manifests}/forgotten"),
    );
    let digest =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("docker-content-digest: ").map(str::to_owned));
    ask_registry(&["--request", "DELETE"], &format!("{manifests}/{}", digest.expect("a digest").trim()));
    caught("forgotten", "registry", &["registry", "deployment", "service", "ingress", "version"], "404", &[]);
}

/// Asserts that the check of the registry fails, and that the old pods still respond. Its cause varies: the kubelet alternates between
/// pulls and pauses.
fn refuses_the_image(slug: &str, words: &str) {
    let names = ["registry", "ingress"];
    let failed = failing(slug, &names, "30s", &[]);
    let actual = failed.get("registry").and_then(|check| check["failure"]["seen"].as_str());
    assert!(failed.len() == 1 && actual.is_some_and(|actual| actual.contains(words)), "{failed:?}");
    record(&names, &[("registry", words)]);
}

/// Sends a request to the cluster's registry, and returns the response.
fn ask_registry(arguments: &[&str], path: &str) -> String {
    let (host, address) = (access("registry_host"), access("registry_address"));
    let port = address.rsplit_once(':').expect("an address").1;
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--cacert", access("registry_authority"), "--netrc-file"]);
    command.args([access("registry_netrc"), "--resolve", &format!("{host}:{port}:127.0.0.1")]).args(arguments);
    run(command.arg(format!("https://{host}:{port}{path}")))
}

/// A registry like that of the cluster, but without a login.
struct OpenRegistry {
    name: String,
}

impl OpenRegistry {
    fn start() -> Self {
        let cluster = "gitlab-ci-k8s-demo-registry";
        let image = docker(&["inspect", "--format", "{{.Config.Image}}", cluster]);
        let registry = Self { name: format!("sabotage-open-registry-{}", std::process::id()) };
        let tls = [
            "REGISTRY_HTTP_TLS_CERTIFICATE=/etc/registry/tls.crt",
            "--env=REGISTRY_HTTP_TLS_KEY=/etc/registry/tls.key",
        ];
        let mut create = vec![
            "create",
            "--name",
            &registry.name,
            "--publish=127.0.0.1::443",
            "--env=REGISTRY_HTTP_ADDR=:443",
            "--env",
        ];
        create.extend(tls);
        create.push(&image);
        docker(&create);
        let copy = format!("docker cp {cluster}:/etc/registry - | docker cp - {}:/etc", registry.name);
        run(Command::new("sh").args(["-c", &copy]));
        docker(&["start", &registry.name]);
        registry
    }

    fn address(&self) -> String {
        let port = docker(&["port", &self.name, "443"]);
        format!("localhost:{}", port.rsplit_once(':').expect("an address").1)
    }
}

impl Drop for OpenRegistry {
    fn drop(&mut self) {
        // Must not panic: a panic during unwinding would abort all tests.
        let _ = Command::new("docker").args(["rm", "--force", "--volumes", &self.name]).output();
    }
}
