//! Measures whether a deployed service meets every claim, with kubectl, curl and the processes on the node: no check is involved.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fixture::{Load, dns_address, http, owner, prometheus};
use crate::saboteurs::COMMIT;
use crate::support::{docker, run};

/// Time for Prometheus to find and scrape a pod.
const SCRAPED: Duration = Duration::from_secs(20);

/// Time in which a hanging pod must be restarted: one minute until it is detected, and a start.
const RESTARTED: Duration = Duration::from_secs(90);

/// Whether the environment meets the claims, or what is broken.
pub(crate) fn measured(slug: &str) -> Result<(), String> {
    let pods = pods(slug);
    if pods.len() < 2 {
        return Err(format!("{} pods", pods.len()));
    }
    for pod in &pods {
        Process::find(pod).is_confined(slug)?;
        says_its_version(pod)?;
    }
    is_served(slug)?;
    is_scraped(slug, pods.len())?;
    restarts_when_it_hangs(slug)?;
    is_replaced_without_failures(slug)
}

/// The pods of the environment that are Ready and not terminating.
fn pods(slug: &str) -> Vec<Value> {
    let selector = format!("--selector=app=gitlab-k8s-demo,ref={slug}");
    let text = run(&mut owner(&["--namespace=gitlab", "get", "pods", &selector, "--output=json"]));
    let list: Value = serde_json::from_str(&text).expect("JSON");
    let is_ready = |pod: &&Value| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let mut ready = conditions.filter(|it| it["type"] == "Ready" && it["status"] == "True");
        ready.next().is_some() && pod["metadata"]["deletionTimestamp"].is_null()
    };
    list["items"].as_array().into_iter().flatten().filter(is_ready).cloned().collect()
}

/// The service's process on the node.
struct Process {
    node: String,
    id: String,
}

impl Process {
    fn find(pod: &Value) -> Self {
        let node = pod["spec"]["nodeName"].as_str().expect("a node").to_owned();
        let container = pod["status"]["containerStatuses"][0]["containerID"].as_str().expect("a container");
        let container = container.trim_start_matches("containerd://");
        let tasks = docker(&["exec", &node, "ctr", "--namespace=k8s.io", "tasks", "ls"]);
        let mut tasks = tasks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let task = tasks.find(|task| task.first() == Some(&container)).expect("a task of the container");
        let id = task.get(1).copied().expect("a process ID").to_owned();
        Self { node, id }
    }

    fn file(&self, path: &str) -> String {
        docker(&["exec", &self.node, "cat", &format!("/proc/{}/{path}", self.id)])
    }

    /// Whether the process has no privileges, and resolves names like a pod of the cluster.
    fn is_confined(&self, slug: &str) -> Result<(), String> {
        let status = self.file("status");
        let field = |name: &str| {
            let mut lines = status.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            lines.next().unwrap_or_default().split_whitespace().next().unwrap_or_default().to_owned()
        };
        for (name, is_right) in [
            ("Uid", field("Uid") != "0"),
            ("NoNewPrivs", field("NoNewPrivs") == "1"),
            ("CapEff", field("CapEff").chars().all(|digit| digit == '0')),
            ("CapBnd", field("CapBnd").chars().all(|digit| digit == '0')),
            ("Seccomp", field("Seccomp") == "2"),
        ] {
            if !is_right {
                return Err(format!("a process of {slug} has {name} {}", field(name)));
            }
        }
        let resolver = self.file("root/etc/resolv.conf");
        let address = dns_address();
        let is_right = |line: &str| resolver.lines().any(|it| it.starts_with(line));
        if is_right(&format!("nameserver {address}")) && is_right("search gitlab.svc.cluster.local svc.cluster.local") {
            return Ok(());
        }
        Err(format!("a pod of {slug} has another resolver: {resolver}"))
    }
}

/// Whether the pod reports the commit, itself and in its log.
fn says_its_version(pod: &Value) -> Result<(), String> {
    let name = pod["metadata"]["name"].as_str().expect("a name");
    let version =
        run(&mut owner(&["get", "--raw", &format!("/api/v1/namespaces/gitlab/pods/{name}:8000/proxy/version")]));
    let log = run(&mut owner(&["--namespace=gitlab", "logs", name]));
    let is_json = log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok_and(|it| it.is_object()));
    if version.contains(&**COMMIT) && log.contains(&**COMMIT) && is_json {
        return Ok(());
    }
    Err(format!("{name} reports {version}, and logs: {}", log.lines().next().unwrap_or_default()))
}

/// Whether the host and the Service respond, and an unknown host does not.
fn is_served(slug: &str) -> Result<(), String> {
    let host = format!("{slug}.gitlab-k8s-demo.test");
    for _ in 0..20 {
        let (status, body) = http(&host, "/version");
        if status != 200 || !body.contains(&**COMMIT) {
            return Err(format!("{host} returns {status}: {body}"));
        }
    }
    let (status, body) = http("unknown.gitlab-k8s-demo.test", "/version");
    if body.contains(&**COMMIT) {
        return Err(format!("an unknown host returns {status}: {body}"));
    }
    let path = format!("/api/v1/namespaces/gitlab/services/gitlab-k8s-demo-{slug}:http-metrics/proxy/version");
    let output = owner(&["get", "--raw", &path]).output().expect("kubectl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if text.contains(&**COMMIT) { Ok(()) } else { Err(format!("its Service returns {text}")) }
}

/// Whether Prometheus has each pod's metrics exactly once.
fn is_scraped(slug: &str, pods: usize) -> Result<(), String> {
    let query = format!("/api/v1/query?query=app_build_info%7Bref%3D%22{slug}%22%7D");
    let started = Instant::now();
    loop {
        let result = prometheus(&query)["data"]["result"].clone();
        let found = result.as_array().map_or(0, Vec::len);
        if found == pods {
            return Ok(());
        }
        if started.elapsed() > SCRAPED {
            return Err(format!("Prometheus has {found} series of {pods} pods: {result}"));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Stops the process of one pod like a hang, and waits for its restart.
fn restarts_when_it_hangs(slug: &str) -> Result<(), String> {
    let pod = pods(slug).pop().ok_or("no ready pod")?;
    let name = pod["metadata"]["name"].as_str().expect("a name");
    let process = Process::find(&pod);
    docker(&["exec", &process.node, "kill", "-STOP", &process.id]);
    let path = "--output=jsonpath={.status.containerStatuses[0].restartCount}";
    let started = Instant::now();
    while started.elapsed() < RESTARTED {
        if run(&mut owner(&["--namespace=gitlab", "get", "pod", name, path])) != "0" {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    Err(format!("{name} hangs for {} s and is not restarted", RESTARTED.as_secs()))
}

/// Replaces all pods under load, and counts requests that fail.
fn is_replaced_without_failures(slug: &str) -> Result<(), String> {
    let host = format!("{slug}.gitlab-k8s-demo.test");
    let name = format!("deployment/gitlab-k8s-demo-{slug}");
    let status = || owner(&["--namespace=gitlab", "rollout", "status", "--timeout=60s", &name]);
    let is_complete = |mut command: Command| command.output().expect("kubectl runs").status.success();
    if !is_complete(status()) {
        return Err(format!("{name} is not complete after a restart of its pod"));
    }
    let load = Load::begin(&host);
    run(&mut owner(&["--namespace=gitlab", "rollout", "restart", &name]));
    let is_updated = is_complete(status());
    // The old pods are still terminating.
    std::thread::sleep(Duration::from_secs(10));
    let statuses = load.end().map_err(|_| "a request without a response while the pods are replaced".to_owned())?;
    if !is_updated {
        return Err(format!("{name} is not complete after an update"));
    }
    let failed: Vec<u16> = statuses.into_iter().filter(|status| *status != 200).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("{host} returned {failed:?} while the pods were replaced")) }
}
