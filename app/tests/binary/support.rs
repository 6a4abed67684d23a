//! The real binary, started on a free port.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than any wait in these tests takes.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// A running service. Killed when dropped.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    reader: JoinHandle<()>,
}

/// The program with `arguments`, without environment variables that configure it.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_app"));
    command.env_clear().args(arguments).kill_on_drop(true).stdin(Stdio::null());
    command
}

impl App {
    /// Starts the service with JSON logs and waits until it listens.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::spawn(command(&[&["--listen-address", "127.0.0.1:0", "--log-format", "json"], arguments].concat())).await
    }

    /// Starts `command`, and waits until the log shows its address.
    pub(crate) async fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = timeout(TIMEOUT, next(&mut lines)).await.unwrap().expect("the service ended without a log line");
        assert_eq!(first["message"], "listening", "{first}");
        let address = first["address"].as_str().unwrap().parse().unwrap();
        let log = Arc::new(Mutex::new(vec![first]));
        let reader = tokio::spawn({
            let log = Arc::clone(&log);
            async move {
                while let Some(line) = next(&mut lines).await {
                    log.lock().unwrap().push(line);
                }
            }
        });
        Self { address, child, log, reader }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends a signal. `name` is its name for `kill`.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().expect("the service has ended").to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().await.unwrap().success());
    }

    /// Waits until the service has ended. Returns its exit status and all lines of the log.
    pub(crate) async fn wait(mut self) -> (ExitStatus, Vec<Value>) {
        let status = timeout(TIMEOUT, self.child.wait()).await.expect("the service does not end").unwrap();
        timeout(TIMEOUT, self.reader).await.expect("standard output stays open").unwrap();
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        (status, log)
    }

    /// Waits for a line of the log whose message starts with `message`.
    pub(crate) async fn logged(&self, message: &str) -> Value {
        let found = || self.log.lock().unwrap().iter().find(|line| has_message(line, message)).cloned();
        until(&format!("the log has `{message}`"), async || found().is_some()).await;
        found().unwrap()
    }

    /// One sample of `/metrics`, by the text before its value.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let text = client().get(self.url("/metrics")).send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
    }
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, wait).await.unwrap_or_else(|_| panic!("not within {TIMEOUT:?}: {what}"));
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<Value> {
    let line = lines.next_line().await.unwrap()?;
    Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("not JSON: {error}: {line}")))
}

/// Whether a log line's message starts with `message`.
pub(crate) fn has_message(line: &Value, message: &str) -> bool {
    line["message"].as_str().is_some_and(|text| text.starts_with(message))
}

/// The lines of the access log.
pub(crate) fn accesses(log: &[Value]) -> Vec<&Value> {
    log.iter().filter(|line| line["target"] == "access").collect()
}

/// A client that uses no proxy and keeps connections.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build().unwrap()
}
