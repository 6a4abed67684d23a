//! Access to the cluster, and resources that tests create in it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test helpers fail by panicking")]

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, LockResult, Mutex, MutexGuard, OnceLock, RwLock, RwLockReadGuard};
use std::time::Duration;

use serde_json::Value;

use crate::support::{docker, e2e, eventually, project, run};

/// The output of `e2e status` for the cluster, which must be complete.
pub(crate) static STATUS: LazyLock<Value> = LazyLock::new(|| {
    let output = e2e(&["status", "--format", "json"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "the cluster is not complete (run `make up`): {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_str(&text).unwrap()
});

/// The address of this machine in the network of the nodes.
pub(crate) fn host_address() -> String {
    let cluster = STATUS["cluster"].as_str().unwrap();
    docker(&["network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", cluster])
}

/// A file, host or address from the status.
pub(crate) fn access(name: &str) -> &'static str {
    STATUS["access"][name].as_str().unwrap_or_else(|| panic!("no {name} in {}", *STATUS))
}

/// Tests that deploy take a read lock. Tests that change the deployer's permissions or compare all objects in the namespace take the
/// write lock, and run alone.
pub(crate) static DEPLOYER: RwLock<()> = RwLock::new(());

/// kubectl as the cluster's owner.
pub(crate) fn owner(arguments: &[&str]) -> Command {
    kubectl("kubeconfig", arguments)
}

/// kubectl as the pipeline's account.
pub(crate) fn deployer(arguments: &[&str]) -> Command {
    kubectl("gitlab_kubeconfig", arguments)
}

fn kubectl(kubeconfig: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("kubectl");
    command.env("KUBECONFIG", access(kubeconfig)).current_dir(project()).args(arguments);
    command
}

/// Runs a program with this standard input.
pub(crate) fn fed(command: &mut Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Runs a program with this standard input. The program must succeed.
pub(crate) fn feed(command: &mut Command, input: &str) -> String {
    let output = fed(command, input);
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The response of Prometheus for a path of its API, through the Ingress controller.
pub(crate) fn prometheus(path: &str) -> Value {
    let text = http(access("prometheus_host"), path).1;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The address of the cluster's DNS.
pub(crate) fn dns_address() -> String {
    run(&mut owner(&["--namespace=kube-system", "get", "service", "kube-dns", "--output=jsonpath={.spec.clusterIP}"]))
}

/// Waits until a namespace has this number of pods with this label, terminating ones included.
pub(crate) fn wait_for_pods(namespace: &str, label: &str, count: usize, timeout: Duration) {
    let (namespace, selector) = (format!("--namespace={namespace}"), format!("--selector={label}"));
    eventually(&format!("{count} pods"), timeout, || {
        let pods = run(&mut owner(&[&namespace, "get", "pods", &selector, "--output=name"]));
        if pods.lines().count() == count { Ok(()) } else { Err(pods) }
    });
}

/// Requests to a host, one after the other, until they are ended.
pub(crate) struct Load {
    is_over: Arc<AtomicBool>,
    statuses: std::thread::JoinHandle<Vec<u16>>,
}

impl Load {
    pub(crate) fn begin(host: &str) -> Self {
        let (is_over, host) = (Arc::new(AtomicBool::new(false)), host.to_owned());
        let statuses = std::thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                let mut statuses = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    statuses.push(http(&host, "/version").0);
                }
                statuses
            }
        });
        Self { is_over, statuses }
    }

    /// The statuses of all responses. The error is a request without one.
    pub(crate) fn end(self) -> std::thread::Result<Vec<u16>> {
        self.is_over.store(true, Ordering::Relaxed);
        self.statuses.join()
    }
}

/// The status and body of the Ingress controller's response for a host.
pub(crate) fn http(host: &str, path: &str) -> (u16, String) {
    let url = format!("http://{}{path}", access("ingress_http"));
    let header = format!("Host: {host}");
    let text = run(Command::new("curl").args(["--silent", "--show-error", "--max-time", "5"]).args([
        "--header",
        &header,
        "--write-out",
        "\n%{http_code}",
        &url,
    ]));
    let (body, status) = text.rsplit_once('\n').unwrap_or(("", &text));
    (status.parse().unwrap(), body.to_owned())
}

/// A client of the engine with its own configuration directory, for registry logins.
pub(crate) struct Client {
    dir: tempfile::TempDir,
}

impl Client {
    /// A client that has not logged in.
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// The engine's client with these arguments.
    pub(crate) fn docker(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("--config").arg(self.dir.path()).args(arguments);
        command
    }

    /// The registry's address for the engine on this machine. Engines accept any certificate for `localhost`.
    pub(crate) fn registry() -> String {
        format!("localhost:{}", access("registry_address").rsplit_once(':').unwrap().1)
    }

    /// Logs in, with the password on standard input.
    pub(crate) fn login(&self) {
        let password = std::fs::read_to_string(access("registry_password")).unwrap();
        feed(&mut self.docker(&["login", "--username", "gitlab", "--password-stdin", &Self::registry()]), &password);
    }

    /// Stores this password without verifying it with the registry, like a password that was valid earlier.
    pub(crate) fn believe(&self, password: &str) {
        let auth = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("gitlab:{password}"));
        let config = serde_json::json!({"auths": {Self::registry(): {"auth": auth}}});
        std::fs::write(self.dir.path().join("config.json"), config.to_string()).unwrap();
    }
}

/// The service's image, pushed once. Returns its name for the cluster's nodes without the tag, which is `test`.
pub(crate) fn pushed_image() -> &'static str {
    static IMAGE: OnceLock<String> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let client = Client::new();
        client.login();
        let here = format!("{}/course/demo:test", Client::registry());
        let dir = project();
        assert!(dir.join("dist/app").is_file(), "dist/app does not exist: run `make build`");
        run(client.docker(&["build", "--quiet", "--tag", &here]).arg(&dir));
        run(&mut client.docker(&["push", "--quiet", &here]));
        docker(&["rmi", &here]);
        format!("{}/course/demo", access("registry_host"))
    })
}

/// The objects of manifests with fixed names, which one test at a time installs. They are deleted at its end, even if it panics.
pub(crate) struct Installation {
    /// The arguments of `kubectl delete`, for each call.
    deletions: &'static [&'static [&'static str]],
    _lock: LockResult<MutexGuard<'static, ()>>,
    _deployer: LockResult<RwLockReadGuard<'static, ()>>,
}

impl Installation {
    /// Creates the namespaces of the manifests in `dir`.
    pub(crate) fn new(dir: &str, lock: &'static Mutex<()>, deletions: &'static [&'static [&'static str]]) -> Self {
        let installation = Self { deletions, _lock: lock.lock(), _deployer: DEPLOYER.read() };
        run(&mut owner(&["apply", "--server-side", "--filename", &format!("{dir}/namespace.yaml")]));
        installation
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        for arguments in self.deletions {
            let _ = owner(&["delete", "--ignore-not-found"]).args(*arguments).output();
        }
    }
}

/// The objects of a kustomization.
pub(crate) fn kustomized(dir: &str) -> Vec<Value> {
    let objects = run(&mut owner(&["create", "--dry-run=client", "--output=json", "--kustomize", dir]));
    serde_json::Deserializer::from_str(&objects).into_iter().map(Result::unwrap).collect()
}

/// Applies all of these objects.
pub(crate) fn apply(items: &[Value]) {
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items});
    feed(&mut owner(&["apply", "--server-side", "--filename", "-"]), &list.to_string());
}

/// Copies an image to all nodes, and returns their names.
pub(crate) fn load(image: &str) -> Vec<String> {
    let nodes = run(&mut owner(&["get", "nodes", "--output=name"]));
    let nodes: Vec<String> = nodes.lines().map(|node| node.trim_start_matches("node/").to_owned()).collect();
    for node in &nodes {
        let mut save = Command::new("docker").args(["save", image]).stdout(Stdio::piped()).spawn().unwrap();
        let archive = save.stdout.take().unwrap();
        let import = ["exec", "--interactive", node, "ctr", "--namespace=k8s.io", "images", "import", "-"];
        run(Command::new("docker").args(import).stdin(archive));
        assert!(save.wait().unwrap().success(), "docker save {image}");
    }
    nodes
}

/// Resources that are deleted at the end of the test, even if it panics.
pub(crate) struct Cleanup(pub(crate) Vec<String>);

impl Drop for Cleanup {
    fn drop(&mut self) {
        let arguments: Vec<&str> = self.0.iter().map(String::as_str).collect();
        let _ = owner(&["delete", "--ignore-not-found", "--wait=false"]).args(arguments).output();
    }
}

/// The rules of the deployer's Role, which are restored at the end of the test, even if it panics.
pub(crate) struct SavedPermissions(String);

impl SavedPermissions {
    /// Saves the current rules.
    pub(crate) fn save() -> Self {
        let role = run(&mut owner(&["--namespace=gitlab", "get", "role", "gitlab", "--output=json"]));
        let role: Value = serde_json::from_str(&role).unwrap();
        Self(serde_json::json!({"rules": role["rules"]}).to_string())
    }
}

impl Drop for SavedPermissions {
    fn drop(&mut self) {
        // Must not panic: a panic during unwinding would abort all tests. If the rules are not restored, the next test fails.
        let patch = ["--namespace=gitlab", "patch", "role", "gitlab", "--type=merge", "--patch", &self.0];
        let _ = owner(&patch).output();
    }
}

/// The Pod Security level of the namespace, which is reset to `restricted` at the end of the test, even if it panics.
pub(crate) struct PodSecurityLevel;

impl PodSecurityLevel {
    /// Sets another level.
    pub(crate) fn set(level: &str) {
        run(&mut Self::label(level));
    }

    fn label(level: &str) -> Command {
        let label = format!("pod-security.kubernetes.io/enforce={level}");
        owner(&["label", "namespace", "gitlab", "--overwrite", &label])
    }
}

impl Drop for PodSecurityLevel {
    fn drop(&mut self) {
        let _ = Self::label("restricted").output();
    }
}
