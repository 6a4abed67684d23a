//! The same work with kubectl and bare pods.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::error::{Context, Error};
use crate::program::{output, time};

/// The namespace of all pods. It is deleted at the end.
pub(super) const NAMESPACE: &str = "bench-pods";

/// A line of 100 characters with its line break, as services write them.
const LINE: &str =
    "2026-01-01T00:00:00Z INFO request method=GET path=/api/v1/items/471108 status=200 duration=12.500ms";

/// The command that prints this number of megabytes. It repeats a file of one megabyte, so that it takes little of the processors' time: a
/// shell that prints line by line would take more than everything between the pod and the log.
pub(super) fn print_command(megabytes: u32) -> String {
    format!(
        "for i in $(seq 10000); do echo '{LINE}'; done > /tmp/block; for i in $(seq {megabytes}); do cat /tmp/block; done"
    )
}

/// kubectl with access to the cluster.
pub(super) struct Kubectl {
    kubeconfig: PathBuf,
    image: String,
}

impl Kubectl {
    /// Creates the namespace for pods of `image`.
    pub(super) fn new(kubeconfig: &Path, image: &str) -> Result<Self, Error> {
        let this = Self { kubeconfig: kubeconfig.to_owned(), image: image.to_owned() };
        // An interrupted measurement may have left it.
        output(this.command().args(["delete", "namespace", NAMESPACE, "--ignore-not-found"]))?;
        output(this.command().args(["create", "namespace", NAMESPACE]))?;
        Ok(this)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("kubectl");
        command.env("KUBECONFIG", &self.kubeconfig).arg("--namespace").arg(NAMESPACE);
        command
    }

    fn run(&self, name: &str, script: &str) -> Command {
        let mut command = self.command();
        command.args(["run", name, "--image", &self.image, "--image-pull-policy=Never", "--restart=Never"]);
        command.args(["--attach", "--rm", "--quiet", "--command", "--", "sh", "-c", script]);
        command
    }

    /// Runs a pod that does nothing. Returns the seconds until it is deleted.
    pub(super) fn one(&self) -> Result<f64, Error> {
        time(&mut self.run("one", "exit 0"))
    }

    /// Runs `count` such pods at the same time. Returns the seconds until all are deleted.
    pub(super) fn many(&self, count: u32) -> Result<f64, Error> {
        let started = Instant::now();
        let running: Vec<_> = (0..count)
            .map(|number| {
                let mut command = self.run(&format!("many-{number}"), "exit 0");
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
            })
            .collect();
        for child in running {
            let output = child.and_then(Child::wait_with_output).context("kubectl run")?;
            if !output.status.success() {
                let stderr = String::from_utf8_lossy(&output.stderr);
                return Err(Error::Measurement(format!("kubectl run failed: {}", stderr.trim())));
            }
        }
        Ok(started.elapsed().as_secs_f64())
    }

    /// Returns the seconds to read this number of megabytes from a program in a pod that runs already.
    pub(super) fn output(&self, megabytes: u32) -> Result<f64, Error> {
        let name = "output";
        let image = ["--image", &self.image, "--image-pull-policy=Never", "--restart=Never", "--command", "--"];
        output(self.command().args(["run", name]).args(image).args(["sleep", "600"]))?;
        output(self.command().args(["wait", "--for=condition=Ready", "--timeout=60s", "pod", name]))?;
        let mut exec = self.command();
        exec.args(["exec", name, "--", "sh", "-c", &print_command(megabytes)])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let started = Instant::now();
        let status = exec.status().context("kubectl exec")?;
        let duration = started.elapsed().as_secs_f64();
        output(self.command().args(["delete", "pod", name, "--now"]))?;
        if status.success() { Ok(duration) } else { Err(Error::Measurement(format!("kubectl exec: {status}"))) }
    }
}

impl Drop for Kubectl {
    fn drop(&mut self) {
        // If this fails, the next measurement deletes it.
        let _ = output(self.command().args(["delete", "namespace", NAMESPACE, "--wait=false"]));
    }
}
