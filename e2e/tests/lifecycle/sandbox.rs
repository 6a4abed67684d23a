//! The resources of one test: a cluster's name, ports and directories, and a list of what existed on the machine before.

#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::{docker, e2e, eventually, project, run};

/// The cluster's name.
pub(crate) const NAME: &str = "e2e-lifecycle";

/// The host ports that the cluster maps.
pub(crate) const PORTS: [u16; 2] = [18080, 18443];

/// The resources of a test. They are removed at its end, even if it panics.
pub(crate) struct Sandbox {
    dir: tempfile::TempDir,
    before: BTreeSet<String>,
}

/// The level of namespaces that have no label of their own.
/// <https://kubernetes.io/docs/tasks/configure-pod-container/enforce-standards-admission-controller/>
const RESTRICTED: &str = "\
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
  - name: PodSecurity
    configuration:
      apiVersion: pod-security.admission.config.k8s.io/v1
      kind: PodSecurityConfiguration
      defaults: {enforce: restricted, enforce-version: latest}
      exemptions: {namespaces: [kube-system, local-path-storage]}
";

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self::with(|_, config| config)
    }

    /// A cluster with two workers, and with `restricted` as the level of Pod Security in all namespaces.
    pub(crate) fn restricted_with_workers() -> Self {
        Self::with(|dir, config| {
            let admission = dir.join("admission");
            std::fs::create_dir(&admission).unwrap();
            std::fs::write(admission.join("restricted.yaml"), RESTRICTED).unwrap();
            let path = admission.display();
            let mount =
                format!("    extraMounts: [{{hostPath: {path}, containerPath: /etc/admission, readOnly: true}}]\n");
            let cluster = "  - |-
    kind: ClusterConfiguration
    apiServer:
      extraArgs: [{name: admission-control-config-file, value: /etc/admission/restricted.yaml}]
      extraVolumes: [{name: admission, hostPath: /etc/admission, mountPath: /etc/admission, readOnly: true}]
";
            let key = "kubeadmConfigPatches:\n";
            assert!(config.contains(key), "{config}");
            let workers = "  - role: worker\n".repeat(2);
            config.replace(key, &format!("{mount}{workers}{key}{cluster}"))
        })
    }

    /// A cluster whose configuration is the result of `change` for the repository's own one. `change` may write files to the directory.
    fn with(change: impl Fn(&Path, String) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = std::fs::read_to_string(project().join("kind-config.yaml")).unwrap();
        let config = config.replace("hostPort: 8", "hostPort: 18");
        assert!(PORTS.iter().all(|port| config.contains(&format!("hostPort: {port}"))), "{config}");
        std::fs::write(dir.path().join("kind-config.yaml"), change(dir.path(), config)).unwrap();
        for name in ["tmp", "state"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let mut sandbox = Self { dir, before: BTreeSet::new() };
        run(&mut sandbox.e2e(&["down"]));
        sandbox.before = sandbox.resources();
        sandbox
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The directory for the report of a run.
    pub(crate) fn report(&self) -> PathBuf {
        self.dir.path().join("report")
    }

    /// The harness for this cluster. It gets its own directory for temporary files, so that leftovers are found.
    pub(crate) fn e2e(&self, arguments: &[&str]) -> Command {
        let mut command = e2e(arguments);
        command.args(["--name", NAME, "--state-dir"]).arg(self.state()).env("TMPDIR", self.dir.path().join("tmp"));
        if arguments[0] != "down" {
            command.arg("--kind-config").arg(self.dir.path().join("kind-config.yaml"));
        }
        command
    }

    /// Everything in the engine except the catalog's images, the cluster's programs, and the files.
    pub(crate) fn resources(&self) -> BTreeSet<String> {
        let mut resources = BTreeSet::new();
        let lists = [
            vec!["ps", "--all", "--format", "container {{.Names}}"],
            vec!["network", "ls", "--format", "network {{.Name}}"],
            vec!["volume", "ls", "--format", "volume {{.Name}}"],
            vec!["images", "--format", "image {{.Repository}}:{{.Tag}}"],
        ];
        for list in lists {
            resources.extend(docker(&list).lines().map(str::to_owned));
        }
        // The catalog's images stay for later use.
        let is_kept = |thing: &str| {
            let image = thing.strip_prefix("image gitlab-ci-k8s-demo/");
            image.is_some_and(|image| !image.starts_with("run:") && !image.starts_with("doctor:"))
        };
        resources.retain(|thing| !is_kept(thing));
        let variable_of_cluster = format!("GITLAB_CI_K8S_DEMO_CLUSTER={NAME}");
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
            if environment.split(|byte| *byte == 0).any(|variable| variable == variable_of_cluster.as_bytes()) {
                resources.insert(format!("program {}", process.path().display()));
            }
        }
        for dir in ["tmp", "state"] {
            let entries = std::fs::read_dir(self.dir.path().join(dir)).unwrap().flatten();
            resources.extend(entries.map(|entry| format!("file {}", entry.path().display())));
        }
        resources
    }

    /// The resources that exist now and did not exist before the test.
    pub(crate) fn left(&self) -> Vec<String> {
        self.resources().difference(&self.before).cloned().collect()
    }

    /// Removes the cluster, which must succeed and leave no container, network, volume, image of a run, program or file, and free both
    /// ports.
    pub(crate) fn down(&self) {
        run(&mut self.e2e(&["down"]));
        assert_eq!(self.left(), Vec::<String>::new());
        for port in PORTS {
            TcpListener::bind(("127.0.0.1", port)).unwrap();
        }
    }

    /// Whether `e2e status` reports that everything is up.
    pub(crate) fn is_complete(&self) -> bool {
        self.e2e(&["status"]).output().unwrap().status.success()
    }

    /// The ID of the run that `e2e status` reports.
    pub(crate) fn run_id(&self) -> String {
        let status = self.e2e(&["status", "--format", "json"]).output().unwrap();
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
        status["run"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command.env("KUBECONFIG", self.state().join(NAME).join("kubeconfig")).args(arguments);
        command
    }

    /// Waits until the running `up` has created this container.
    pub(crate) fn wait_for_container(name: &str) {
        let filter = format!("name={name}");
        eventually(name, Duration::from_mins(1), || {
            let names = docker(&["ps", "--filter", &filter, "--format", "{{.Names}}"]);
            if names.is_empty() { Err("no such container".to_owned()) } else { Ok(()) }
        });
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.e2e(&["down"]).output();
    }
}
