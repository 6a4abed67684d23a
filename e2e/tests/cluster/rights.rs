//! Tests of the permissions in `manifests/checks/rights`: they are sufficient for the checks, and the checks use each of them.
//!
//! With `UPDATE_RIGHTS=1`, the accounts may do everything, and the files are written.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use e2e::checks::rights::Rights;
use e2e::record::check_report::Mode;
use serde_json::{Value, json};

use crate::deployment::{deploy_as, manifest_of};
use crate::fixture::{Cleanup, DEPLOYER, deployer, feed, http, owner, pushed_image};
use crate::saboteurs::{COMMIT, intact, reported};
use crate::support::{docker, e2e, error, eventually, project, run};
use crate::temporary::{Controller, assert_cause_reported_and_removed, assert_passed_and_removed};

const TIMEOUT: Duration = Duration::from_mins(1);

/// The namespace of the accounts: the API server logs their requests.
const NAMESPACE: &str = "e2e-rights";

/// Where the API server writes its audit log on the node: images/node-with-images.
const AUDIT_LOG: &str = "/var/log/kubernetes/audit.log";

fn is_update() -> bool {
    std::env::var_os("UPDATE_RIGHTS").is_some()
}

/// An account with the permissions of a mode.
struct Account {
    mode: Mode,
    name: String,
    kubeconfig: PathBuf,
    _dir: tempfile::TempDir,
    _cleanup: Vec<Cleanup>,
}

impl Account {
    fn create(mode: Mode) -> Self {
        // The log may have events of earlier accounts.
        let name = format!("{}-{:08x}", mode.word(), fastrand::u32(..));
        let (mut objects, mut cleanup) = (Vec::new(), Vec::new());
        let metadata = |namespace: &str| json!({"name": name, "namespace": namespace});
        objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}));
        objects.push(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(NAMESPACE)}));
        cleanup.push(vec![format!("--namespace={NAMESPACE}"), format!("serviceaccount/{name}")]);
        let committed: Vec<Value> = serde_saphyr::from_multiple(mode.rights()).expect("YAML");
        let everything = json!({"kind": "ClusterRole", "metadata": {"name": "cluster-admin"}});
        let roles = if is_update() { vec![everything] } else { committed };
        for role in roles {
            let (kind, namespace) = (role["kind"].as_str().expect("a kind"), role["metadata"]["namespace"].as_str());
            let reference =
                json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role["metadata"]["name"]});
            let subject = json!({"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE});
            let binding = if namespace.is_some() { "RoleBinding" } else { "ClusterRoleBinding" };
            objects.push(json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": binding,
                "metadata": namespace.map_or_else(|| json!({"name": name}), metadata),
                "roleRef": reference,
                "subjects": [subject],
            }));
            let namespace_flag = namespace.map(|namespace| format!("--namespace={namespace}"));
            let mut arguments = vec![format!("{}/{name}", binding.to_lowercase())];
            arguments.extend(namespace_flag.clone());
            cleanup.push(arguments);
            if !is_update() {
                let role_name = role["metadata"]["name"].as_str().expect("a name");
                let mut arguments = vec![format!("{}/{role_name}", kind.to_lowercase())];
                arguments.extend(namespace_flag);
                cleanup.push(arguments);
                objects.push(role);
            }
        }
        let cleanup = cleanup.into_iter().map(Cleanup).collect();
        crate::fixture::apply(&objects);
        let token = run(&mut owner(&["create", "token", &name, "--namespace", NAMESPACE]));
        let cluster =
            run(&mut owner(&["config", "view", "--raw", "--minify", "--output=jsonpath={.clusters[0].cluster}"]));
        let cluster: Value = serde_json::from_str(&cluster).expect("JSON");
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "c",
        });
        let dir = tempfile::tempdir().expect("a directory");
        let kubeconfig = dir.path().join("kubeconfig");
        std::fs::write(&kubeconfig, config.to_string()).expect("written");
        Self { mode, name, kubeconfig, _dir: dir, _cleanup: cleanup }
    }

    fn check(&self, extra_arguments: &[impl AsRef<OsStr>]) -> Output {
        let mut command = e2e(&["check", "--format", "json", "--kubeconfig"]);
        command.arg(&self.kubeconfig).args(extra_arguments).output().expect("e2e runs")
    }

    /// Compares the permissions that the account has used with the committed ones.
    fn compare(&self) {
        let node = run(&mut owner(&["get", "nodes", "--output=jsonpath={.items[0].metadata.name}"]));
        let log = docker(&["exec", &node, "cat", AUDIT_LOG]);
        let account = format!("system:serviceaccount:{NAMESPACE}:{}", self.name);
        let rights =
            Rights::from_audit_log(&log, &account, "e2e-check-").unwrap_or_else(|error| panic!("{error}: {log}"));
        let (used, committed) = (rights.manifest(self.mode), self.mode.rights());
        let file = project().join("manifests/checks/rights").join(format!("{}.yaml", self.mode.word()));
        update(&file, &used);
        assert!(is_update() || used == committed, "{}: UPDATE_RIGHTS=1 writes it\n{used}", file.display());
    }
}

fn update(file: &Path, text: &str) {
    if is_update() {
        std::fs::write(file, text).expect("written");
    }
}

/// The names of the checks with this verdict. All others have passed.
fn verdicts(output: &Output, verdict: &str) -> Vec<String> {
    let stderr = error(output);
    let checks = reported(&String::from_utf8_lossy(&output.stdout)).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let unexpected: Vec<_> =
        checks.iter().filter(|check| check["verdict"] != "passed" && check["verdict"] != verdict).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?} {stderr}");
    let found = checks.iter().filter(|check| check["verdict"] == verdict);
    found.map(|check| check["name"].as_str().expect("a name").to_owned()).collect()
}

/// An environment whose controller has no address that this machine reaches.
fn with_unreachable_controller(slug: &str) -> Cleanup {
    let cleanup = deploy_as(slug, &COMMIT);
    let ingress = manifest_of("ingress.yaml", slug, &COMMIT);
    let class = ingress.replace("ingressClassName: traefik", "ingressClassName: everywhere");
    feed(&mut deployer(&["apply", "--filename", "-"]), &class);
    // The cluster's first controller served the Ingress before it had this class.
    eventually("the end of the Ingress", TIMEOUT, || match http(&format!("{slug}.gitlab-k8s-demo.test"), "/health") {
        (404, _) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    cleanup
}

/// Checks an environment, and again when it has no pods: the causes of failures need permissions as well.
fn check_environment(account: &Account, slug: &str, extra_arguments: &[&str], not_run: &[&str]) {
    // Without the files of `e2e up`, the login of the registry is that of the pull secret.
    let none = tempfile::tempdir().expect("a directory");
    let none = none.path().to_str().expect("UTF-8");
    let arguments = [&["--namespace", "gitlab", "--ref", slug, "--state-dir", none], extra_arguments].concat();
    assert_eq!(verdicts(&account.check(&arguments), "not_run"), not_run);
    let scale = ["--namespace=gitlab", "scale", "--replicas=0", &format!("deployment/gitlab-k8s-demo-{slug}")];
    run(&mut owner(&scale));
    let failing = [&["--timeout", "5s", "deployment", "service"], &*arguments].concat();
    assert_eq!(verdicts(&account.check(&failing), "failed"), ["deployment", "service"]);
    account.compare();
}

#[test]
fn the_default_mode_uses_exactly_its_permissions() {
    let _controller = Controller::install();
    let _cleanup = with_unreachable_controller("rights");
    let account = Account::create(Mode::Default);
    check_environment(&account, "rights", &[], &["registry"]);
}

#[test]
fn read_only_uses_exactly_its_permissions() {
    let _deployer = DEPLOYER.read();
    let _cleanup = intact("reading");
    let account = Account::create(Mode::ReadOnly);
    let others = ["registry", "pull-secret", "rbac", "pod-security", "readiness", "liveness", "dns", "rollout"];
    check_environment(&account, "reading", &["--read-only"], &others);
}

#[test]
fn deploy_uses_exactly_its_permissions() {
    let _controller = Controller::install();
    let account = Account::create(Mode::Deploy);
    let arguments =
        |image: &str| ["--ingress-class", "everywhere", "--commit", &COMMIT, "--deploy", image].map(str::to_owned);
    let image = format!("{}:test", pushed_image());
    assert_passed_and_removed(&account.check(&arguments(&image)));
    let missing = format!("{}:missing", pushed_image());
    assert_cause_reported_and_removed(&account.check(&arguments(&missing)), &missing);
    account.compare();
}
