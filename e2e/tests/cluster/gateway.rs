//! Tests of an environment with an `HTTPRoute`: the CRDs come from the Gateway API's Go module, and a Traefik serves them.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::deployment::{deploy_as, manifest_of};
use crate::discovery::{check, install_traefik, line};
use crate::fixture::{Cleanup, DEPLOYER, access, deployer, feed, http, owner, pushed_image};
use crate::saboteurs::{COMMIT, reported};
use crate::support::{e2e, error, eventually, project, run};
use crate::temporary;

/// The version that Traefik 3.7 supports.
const GATEWAY_API: &str = "sigs.k8s.io/gateway-api@v1.6.1";

const TIMEOUT: Duration = Duration::from_mins(1);

/// The permissions of a controller, its class and a Gateway.
const CONTROLLER: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: gateway, namespace: ingress}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: e2e-test-gateway}
rules:
  - {apiGroups: [''], resources: [namespaces, services, secrets, configmaps, nodes], verbs: [get, list, watch]}
  - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
  - {apiGroups: [gateway.networking.k8s.io], resources: ['*'], verbs: [get, list, watch, update, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: e2e-test-gateway}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: e2e-test-gateway}
subjects: [{kind: ServiceAccount, name: gateway, namespace: ingress}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: e2e-test}
spec: {controllerName: traefik.io/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: ingress}
spec:
  gatewayClassName: e2e-test
  listeners:
    - {name: web, protocol: HTTP, port: 8000, allowedRoutes: {namespaces: {from: All}}}
";

/// Installs the CRDs of the Gateway API from its Go module.
fn install_crds() -> Cleanup {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("go.mod"), "module test\n").expect("written");
    let text = run(Command::new("go").args(["mod", "download", "-json", GATEWAY_API]).current_dir(dir.path()));
    let module: Value = serde_json::from_str(&text).expect("JSON");
    let crds = format!("{}/config/crd/standard", module["Dir"].as_str().expect("a directory"));
    let cleanup = Cleanup(vec![format!("--filename={crds}")]);
    run(&mut owner(&["apply", "--server-side", "--filename", &crds]));
    run(&mut owner(&[
        "wait",
        "--for=condition=Established",
        "--timeout=60s",
        "crd",
        "httproutes.gateway.networking.k8s.io",
    ]));
    cleanup
}

/// Installs the controller, and waits until it has accepted its class.
fn install_controller() -> [Cleanup; 3] {
    let cleanup = Cleanup(vec!["clusterrole/e2e-test-gateway".into(), "clusterrolebinding/e2e-test-gateway".into()]);
    let account = Cleanup(vec!["--namespace=ingress".into(), "serviceaccount/gateway".into()]);
    feed(&mut owner(&["apply", "--filename", "-"]), CONTROLLER);
    let options = ["--providers.kubernetesGateway=true", "--providers.kubernetesGateway.statusAddress.ip=127.0.0.1"];
    let cleanup = [cleanup, account, install_traefik("gateway", "gateway", &options)];
    run(&mut owner(&["wait", "--for=condition=Accepted", "--timeout=60s", "gatewayclass", "e2e-test"]));
    cleanup
}

/// The deploy jobs' command that deletes the previous Ingress or route, read from the pipeline file.
fn cleanup_command() -> String {
    let text = std::fs::read_to_string(project().join(".gitlab-ci.yml")).expect("the pipeline file");
    let pipeline: Value = serde_saphyr::from_str(&text).expect("YAML");
    let script = pipeline[".deploy"]["script"].as_array().expect("a list").iter().filter_map(Value::as_str);
    script.into_iter().find(|command| command.contains("kubectl wait")).expect("the command").to_owned()
}

/// Replaces the Ingress of an environment by a route to a Gateway, as the deploy jobs do, with the pipeline's account.
fn route(slug: &str, gateway: &str) -> Cleanup {
    let text = manifest_of("http-route.yaml", slug, &COMMIT);
    let text = text.replace("__KUBE_GATEWAY_NAMESPACE__", "ingress").replace("__KUBE_GATEWAY_NAME__", gateway);
    let cleanup = Cleanup(vec!["--namespace=gitlab".into(), format!("httproute/gitlab-k8s-demo-{slug}")]);
    replace(slug, &text, &format!("ingress/{gateway}"));
    eventually("the end of the Ingress", TIMEOUT, || answers(slug, 404));
    cleanup
}

/// Applies an Ingress or a route, and deletes the other one.
fn replace(slug: &str, text: &str, gateway: &str) {
    feed(&mut deployer(&["apply", "--filename", "-"]), text);
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("ingress.yaml"), text).expect("written");
    let mut command = Command::new("sh");
    command.args(["-euc", &cleanup_command()]).current_dir(dir.path()).env("KUBECONFIG", access("gitlab_kubeconfig"));
    command.env("KUBE_NAMESPACE", "gitlab").env("KUBE_GATEWAY", gateway);
    run(command.env("name", format!("gitlab-k8s-demo-{slug}")));
}

/// Checks that the Ingress controller of the cluster answers with `status` for the host of the environment.
fn answers(slug: &str, status: u16) -> Result<(), String> {
    let (answer, text) = http(&format!("{slug}.gitlab-k8s-demo.test"), "/health");
    if answer == status { Ok(()) } else { Err(format!("{answer}: {text}")) }
}

/// A project that has removed `KUBE_GATEWAY`: the next deployment leaves no route.
fn an_ingress_replaces_the_route(slug: &str) {
    replace(slug, &manifest_of("ingress.yaml", slug, &COMMIT), "");
    let routes = run(&mut owner(&["--namespace=gitlab", "get", "httproutes", "--output=name"]));
    assert!(!routes.contains(slug), "{routes}");
    eventually("the answer through the Ingress", TIMEOUT, || answers(slug, 200));
}

/// The CRDs exist only during this test, so all cases with routes are in it.
#[test]
fn an_environment_with_a_route_is_checked_like_one_with_an_ingress() {
    let _alone = temporary::alone();
    let _deployer = DEPLOYER.read();
    let _crds = install_crds();
    let _controller = install_controller();
    let _cleanup = deploy_as("routed", &COMMIT);
    let _route = route("routed", "web");
    let (verdicts, stderr) = check("routed", &["ingress", "liveness", "rollout"]);
    assert!(verdicts.values().all(|verdict| verdict == "passed"), "{verdicts:?} {stderr}");
    assert!(
        line(&stderr, "environment").contains("the host is that of HTTPRoute gitlab/gitlab-k8s-demo-routed"),
        "{stderr}"
    );
    assert!(line(&stderr, "Ingress controller").contains("Pod ingress/gateway-"), "{stderr}");

    both_controllers_are_found("routed");

    // The controller reports a Service that does not exist.
    let patch = json!([{"op": "replace", "path": "/spec/rules/0/backendRefs/0/name", "value": "no-such-service"}]);
    let name = "gitlab-k8s-demo-routed";
    run(&mut owner(&["--namespace=gitlab", "patch", "httproute", name, "--type=json", "--patch", &patch.to_string()]));
    let failure = failure("routed");
    let cause = failure["cause"].as_str().unwrap_or_default();
    assert!(
        cause.contains("HTTPRoute gitlab/gitlab-k8s-demo-routed: Gateway ingress/web does not route"),
        "{failure:#}"
    );

    a_missing_gateway_is_named("routed");
    an_ingress_replaces_the_route("routed");
    a_temporary_deployment_has_a_route();
}

/// The cluster's Ingress controller does not serve the temporary namespace, so only the route can lead to the pods.
fn a_temporary_deployment_has_a_route() {
    let image = format!("{}:test", pushed_image());
    let arguments = ["check", "--kubeconfig", access("kubeconfig"), "--format", "json", "--deploy", &image];
    let output = e2e(&arguments).args(["--gateway", "ingress/web", "ingress", "rollout"]).output().expect("e2e runs");
    let stderr = error(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let checks = reported(&String::from_utf8_lossy(&output.stdout)).expect("JSON");
    let verdicts: Vec<_> = checks.iter().map(|check| (check["name"].clone(), check["verdict"].clone())).collect();
    let expected = ["ingress", "rollout"].map(|name| (name.into(), "passed".into()));
    assert_eq!(verdicts, expected, "{stderr}");
    assert!(line(&stderr, "entry point").contains("Gateway ingress/web"), "{stderr}");
    assert_eq!(temporary::namespaces(), Vec::<String>::new());
}

/// Another environment has an Ingress of the cluster's first controller. Each environment is checked at the address of its own controller.
fn both_controllers_are_found(slug: &str) {
    let _cleanup = deploy_as("classed", &COMMIT);
    let arguments = ["check", "--kubeconfig", access("kubeconfig"), "--namespace", "gitlab", "--ref", slug, "--ref"];
    let output = e2e(&arguments).args(["classed", "ingress", "service"]).output().expect("e2e runs");
    let stderr = error(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let controllers: Vec<_> =
        stderr.lines().filter(|line| line.trim_start().starts_with("Ingress controller")).collect();
    for (slug, pod) in [(slug, "Pod ingress/gateway-"), ("classed", "Pod ingress/traefik-")] {
        let expected = format!(" for {slug}: ");
        assert!(controllers.iter().any(|line| line.contains(&expected) && line.contains(pod)), "{stderr}");
    }
}

/// The failure of `ingress`, at the address of the cluster's first controller.
fn failure(slug: &str) -> Value {
    let arguments = ["check", "--quiet", "--format", "json", "--ref", slug, "--timeout", "20s", "ingress"];
    eventually("the failure", TIMEOUT, || {
        let output = e2e(&arguments).output().expect("e2e runs");
        let report: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        let failure = report["checks"][0]["failure"].clone();
        if failure.is_object() { Ok(failure) } else { Err(report.to_string()) }
    })
}

/// If the Gateway is missing, the reason names it.
fn a_missing_gateway_is_named(slug: &str) {
    let patch = json!([{"op": "replace", "path": "/spec/parentRefs/0/name", "value": "no-such-gateway"}]);
    let name = format!("gitlab-k8s-demo-{slug}");
    run(&mut owner(&["--namespace=gitlab", "patch", "httproute", &name, "--type=json", "--patch", &patch.to_string()]));
    let missing = e2e(&["check", "--kubeconfig", access("kubeconfig"), "--namespace", "gitlab", "--ref", slug])
        .args(["--format", "json", "ingress"])
        .output()
        .expect("e2e runs");
    assert_eq!(missing.status.code(), Some(1), "a named check that does not run is a failure");
    let report: Value = serde_json::from_slice(&missing.stdout).expect("JSON");
    let reason = report["checks"][0]["not_run"].as_str().unwrap_or_default();
    assert!(reason.contains("there is no Gateway ingress/no-such-gateway"), "{report}");
}
