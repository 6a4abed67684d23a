//! Tests of the kubernetes executor: pipelines whose jobs run in pods of the cluster, each test in a namespace of its own.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

mod admission;
mod as_runner;
mod cleanup;
mod connection;
mod failures;
mod files;
mod manifests;
mod many;
mod proxy;
mod restart;
mod results;
mod security;
mod services;

use std::process::{Child, Command, Stdio};
use std::sync::{LockResult, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::fixture::{DEPLOYER, STATUS, feed, owner};
use crate::outcome::Run;
use crate::repository::Repository;
use crate::support::{eventually, run};

/// Maximum time for a step that takes seconds on an idle machine.
const TIMEOUT: Duration = Duration::from_mins(2);

/// The log of the job `a`, in the repository.
const LOG: &str = "target/e2e/pipelines/1/logs/a.log";

/// The catalog's image of the jobs: Debian's base system, with bash and Perl.
const IMAGE: &str = "debian-forky";

/// A namespace, which is deleted at the end of the test, even if it panics. Tests that change the nodes or the cluster's DNS wait for it.
struct Namespace {
    name: String,
    _lock: Lock,
}

/// Whether other tests may use the cluster at the same time.
#[expect(dead_code, reason = "the guards are only held")]
enum Lock {
    Shared(LockResult<RwLockReadGuard<'static, ()>>),
    Exclusive(LockResult<RwLockWriteGuard<'static, ()>>),
}

impl Namespace {
    /// A namespace in which Pod Security allows everything.
    fn new() -> Self {
        Self::with_level("privileged")
    }

    /// A namespace in which Pod Security allows everything. No other test uses the cluster until it is dropped.
    fn alone() -> Self {
        let lock = Lock::Exclusive(DEPLOYER.write());
        Self::create("privileged", lock)
    }

    /// A namespace with a level of Pod Security.
    fn with_level(level: &str) -> Self {
        Self::create(level, Lock::Shared(DEPLOYER.read()))
    }

    fn create(level: &str, lock: Lock) -> Self {
        let name = format!("executor-test-{:08x}", fastrand::u32(..));
        let labels = serde_json::json!({"pod-security.kubernetes.io/enforce": level});
        let object =
            serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        assert!(STATUS["cluster"].is_string(), "no cluster");
        feed(&mut owner(&["apply", "--filename", "-"]), &object.to_string());
        Self { name, _lock: lock }
    }

    /// A namespace that does not exist.
    fn missing(name: &str) -> Self {
        Self { name: name.to_owned(), _lock: Lock::Shared(DEPLOYER.read()) }
    }

    /// kubectl in this namespace, as the cluster's owner.
    fn kubectl(&self, arguments: &[&str]) -> String {
        run(owner(arguments).args(["--namespace", &self.name]))
    }

    /// The names of the pods, Secrets and `ConfigMap`s that the harness has created.
    fn objects(&self) -> Vec<String> {
        let selector = "app.kubernetes.io/managed-by=gitlab-ci-k8s-demo";
        let text = self.kubectl(&["get", "pods,secrets,configmaps", "--output=name", "--selector", selector]);
        text.lines().map(str::to_owned).collect()
    }

    /// The name of the only pod, when it exists.
    fn pod(&self) -> String {
        eventually("the pod", TIMEOUT, || {
            let pods = self.objects().into_iter().filter(|name| name.starts_with("pod/")).collect::<Vec<_>>();
            <[String; 1]>::try_from(pods).map(|[pod]| pod).map_err(|pods| format!("{pods:?}"))
        })
    }

    /// The command that runs a pipeline in this namespace.
    fn command(&self, repository: &Repository, settings: &NamedTempFile, arguments: &[&str]) -> Command {
        let config = settings.path().to_str().expect("a path");
        let fixed = ["pipeline", "--format", "json", "--namespace", &self.name, "--config", config];
        let mut command = repository.e2e(&[&fixed, arguments].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a pipeline to its end. `settings` are lines of `[runners.kubernetes]`.
    fn run(&self, pipeline: &str, settings: &str) -> Run {
        let repository = Repository::new("main", pipeline);
        Run::new(self.command(&repository, &runner(settings), &[]).output().expect("e2e"))
    }

    /// Starts a pipeline, and waits until its only job has written a line.
    fn start(&self, pipeline: &str, settings: &str, line: &str) -> Running {
        let (repository, settings) = (Repository::new("main", pipeline), runner(settings));
        let child = self.command(&repository, &settings, &[]).spawn().expect("e2e");
        let running = Running { child, repository, _settings: settings };
        running.wait_for(line);
        running
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = owner(&["delete", "namespace", &self.name, "--wait=false"]).output();
    }
}

/// Runs a pipeline to its end with the docker executor.
fn run_with_docker(pipeline: &str) -> Run {
    let (repository, settings) = (Repository::new("main", pipeline), runner(""));
    let mut command = repository.e2e(&["pipeline", "--format", "json", "--executor", "docker"]);
    Run::new(command.arg("--config").arg(settings.path()).output().expect("e2e"))
}

/// The settings of a runner, whose jobs have [`IMAGE`] by default.
fn runner(settings: &str) -> NamedTempFile {
    let text = format!(
        "[[runners]]\nexecutor = \"kubernetes\"\noutput_limit = 65536\n[runners.kubernetes]\nimage = \"{IMAGE}\"\n{settings}\n"
    );
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("settings");
    file
}

/// A pipeline that runs.
struct Running {
    child: Child,
    repository: Repository,
    /// Read by the pipeline when it starts.
    _settings: NamedTempFile,
}

impl Running {
    /// Waits until the log of the job `a` has a line.
    fn wait_for(&self, line: &str) {
        let log = self.repository.path().join(LOG);
        eventually("a line of the job", TIMEOUT, || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if text.lines().any(|it| it.ends_with(line)) { Ok(()) } else { Err(text) }
        });
    }

    /// The result, and the lines of the log of the job `a`. Unlike the events, the log has all lines even if the test reads slowly.
    fn end_with_log(self) -> (Run, Vec<String>) {
        let run = Run::new(self.child.wait_with_output().expect("an end"));
        let text = std::fs::read_to_string(self.repository.path().join(LOG)).expect("a log");
        let mut lines: Vec<String> = Vec::new();
        for line in text.lines() {
            // The prefix has the time, the stream, and `+` if the line continues the previous one.
            let (prefix, rest) = line.split_at_checked(32).expect("a prefix");
            match lines.last_mut() {
                Some(last) if prefix.ends_with('+') => last.push_str(rest),
                _ => lines.push(rest.to_owned()),
            }
        }
        (run, lines)
    }

    fn signal(&self, signal: &str) {
        run(Command::new("kill").args([signal, &self.child.id().to_string()]));
    }

    /// The result, after the end of the pipeline.
    fn end(self) -> Run {
        Run::new(self.child.wait_with_output().expect("an end"))
    }
}

impl Run {
    /// The status of a job, and the reason for it.
    fn result(&self, job: &str) -> (&str, &str) {
        let ended = self.ended(job);
        (ended["status"].as_str().expect("a status"), ended["why"].as_str().expect("a reason"))
    }

    #[track_caller]
    fn has(&self, job: &str, text: &str) {
        let lines = self.all_lines(job);
        assert!(lines.iter().any(|line| line.contains(text)), "`{text}` is not in {lines:#?}");
    }

    /// Asserts that the job failed, and that `reason` is part of the reported reason.
    #[track_caller]
    fn failed(&self, job: &str, reason: &str) {
        let (status, actual) = self.result(job);
        assert!(status == "failed" && actual.contains(reason), "{status}: {actual}\n{:#?}", self.all_lines(job));
    }

    /// The number of attempts of a job.
    fn attempts(&self, job: &str) -> usize {
        self.events.iter().filter(|event| event["event"] == "job_started" && event["job"] == job).count()
    }
}
