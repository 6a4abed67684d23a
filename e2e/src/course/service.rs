//! Page 1: a route of the service.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::{Duration, Instant};

use container_engine::error_chain::error_chain;
use futures_util::FutureExt;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::sleep;

use super::exercise::{Exercise, Id, Verifier};
use super::project::Project;
use super::verdict::{Unsolved, Verdict};

pub(super) const PING: Exercise = Exercise {
    id: Id { page: 1, number: 1 },
    title: "A route",
    goal: "GET /ping answers `pong` and a line break, and the metrics count these requests with route=\"/ping\"",
    hint: "follow the path of /livez through app/src: where does a request find its handler, and where does the label `route` come from?",
    verifier: Verifier::Service(|project| ping(project).boxed()),
};

/// Time limit for the start of the service.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Pause between two attempts to connect.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

async fn ping(project: &Project) -> Verdict {
    let service = Service::start(project).await?;
    let (status, body) = service.get("/ping").await?;
    if status != 200 || body != "pong\n" {
        return Err(Unsolved(format!("GET /ping answers {status} and {body:?}")));
    }
    let (_, metrics) = service.get("/metrics").await?;
    let counts: Vec<&str> = metrics.lines().filter(|line| line.starts_with("http_requests_total{")).collect();
    let is_counted = counts.iter().any(|line| line.contains("route=\"/ping\""));
    Unsolved::unless(is_counted, || format!("/metrics has no series for the route /ping, only {}", counts.join(" ")))
}

/// The project's service. It is killed when this value is dropped.
struct Service {
    _process: tokio::process::Child,
    client: reqwest::Client,
    address: String,
}

impl Service {
    /// Builds and starts the service.
    async fn start(project: &Project) -> Result<Self, Unsolved> {
        let program = build(project).await?;
        let failed = |error: std::io::Error| Unsolved(format!("cannot start {program}: {error}"));
        // The port is free again when the listener is dropped. Another process may take it first: the service then exits.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|it| it.local_addr()).map_err(failed)?.port();
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(&program);
        command.args(["--listen-address", &address, "--ready-after", "0s", "--shutdown-delay", "0s"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let process = command.spawn().map_err(failed)?;
        let client = reqwest::Client::builder().no_proxy().timeout(START_TIMEOUT).build();
        let client = client.map_err(|error| Unsolved(error_chain(&error)))?;
        let service = Self { _process: process, client, address };
        let started = Instant::now();
        while let Err(error) = service.get("/livez").await {
            if started.elapsed() > START_TIMEOUT {
                return Err(error);
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(service)
    }

    async fn get(&self, path: &str) -> Result<(u16, String), Unsolved> {
        let failed = |error: reqwest::Error| Unsolved(format!("no response to GET {path}: {}", error_chain(&error)));
        let response = self.client.get(format!("http://{}{path}", self.address)).send().await.map_err(failed)?;
        let status = response.status().as_u16();
        Ok((status, response.text().await.map_err(failed)?))
    }
}

/// Builds the service, and returns the path of the program. cargo chooses the directory, for example by `CARGO_TARGET_DIR`.
async fn build(project: &Project) -> Result<String, Unsolved> {
    let mut command = Command::new("cargo");
    command.args(["build", "--quiet", "--locked", "--package", "app", "--message-format", "json-render-diagnostics"]);
    let output = command.current_dir(project.dir()).kill_on_drop(true).output().await;
    let output = output.map_err(|error| Unsolved(format!("cannot run cargo: {error}")))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let first = stderr.lines().find(|line| line.starts_with("error")).unwrap_or("without a message").to_owned();
        return Err(Unsolved(format!(
            "the service does not compile (`cargo build --manifest-path {}/Cargo.toml -p app` shows all errors): {first}",
            project.dir().display()
        )));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = messages.filter_map(|message| message["executable"].as_str().map(str::to_owned)).next_back();
    program.ok_or_else(|| Unsolved::new("cargo has built no program"))
}
