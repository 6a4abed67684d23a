//! Waits for services to listen, and reports those that do not. The job continues in either case, as in GitLab:
//! GitLab Runner's `executors/docker/services.go`, `commands/helpers/health_check.go`.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::future::{join_all, select_ok};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::engine::Docker;
use super::files::Container;
use super::service::Running;
use crate::log::JobLog;

/// Number of a service's last lines that a warning shows.
const LAST_LINES: usize = 10;

/// The pause between two attempts to connect.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Maximum time for a connection: containers on this machine answer immediately.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// After this many attempts in a row without any answer, containers count as unreachable from here: a reachable container refuses a
/// connection to a closed port immediately. Containers are unreachable if the engine runs in its own virtual machine, for example.
const MAX_SILENT_ATTEMPTS: usize = 3;

/// A service without ports cannot be probed. The job starts after this time unless the service has ended.
const GRACE: Duration = Duration::from_millis(500);

impl Docker {
    /// Waits until all services listen or the timeout expires, and warns about those that do not listen. Services that end later are
    /// reported then.
    pub(super) async fn wait_for(&self, services: &mut [Running], log: &Arc<JobLog>) {
        if services.is_empty() {
            return;
        }
        if let Some(limit) = self.config.docker.wait_for_services_timeout {
            let seconds = limit.as_secs();
            log.say(&format!("Waiting for services to be up and running (timeout {seconds} seconds)..."));
            let wait = services.iter().map(|service| self.wait_for_one(service, limit, log));
            let have_ended = join_all(wait).await;
            for (service, has_ended) in services.iter_mut().zip(have_ended) {
                if !has_ended {
                    let watch = self.watch(service, log);
                    service.tasks.push(watch);
                }
            }
        }
    }

    /// Waits for one service, and returns whether it has ended.
    async fn wait_for_one(&self, service: &Running, limit: Duration, log: &JobLog) -> bool {
        let container = Container { engine: &self.engine, name: &service.container };
        let ports = service.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        let listens = async {
            match service.address {
                Some(address) if container_engine::is_local() && !service.ports.is_empty() => {
                    connect(address, &service.ports, limit).await
                }
                Some(_) if !service.ports.is_empty() => Err(ProbeError::Unreachable),
                // There is no port to probe. A service without an address has ended or has no network.
                _ => {
                    tokio::time::sleep(GRACE.min(limit)).await;
                    Ok(())
                }
            }
        };
        tokio::select! {
            code = container.exit_code() => {
                let before = if ports.is_empty() { String::new() } else { format!(" before it listened on port {ports}") };
                let code = code.map_or_else(|error| container_engine::error_message(&error), |code| format!("exit code {code}"));
                let text = format!("service {} ended with {code}{before}; the job continues without it", service.title());
                warn_with_output(container, &text, log).await;
                true
            }
            result = listens => {
                match result {
                    Ok(()) => {}
                    Err(ProbeError::Unreachable) => log.say(&format!(
                        "Cannot check whether {} listens: this engine's containers are not reachable from here",
                        service.title()
                    )),
                    Err(ProbeError::Silent(last)) => {
                        let (title, seconds) = (service.title(), limit.as_secs());
                        let text = format!("service {title} does not listen on port {ports} after {seconds} s: {last}");
                        warn_with_output(container, &format!("{text}; the job continues"), log).await;
                    }
                }
                false
            }
        }
    }

    /// Warns when a service ends after it has listened.
    fn watch(&self, service: &Running, log: &Arc<JobLog>) -> JoinHandle<()> {
        let (engine, name, title) = (self.engine.clone(), service.container.clone(), service.title());
        let log = Arc::clone(log);
        tokio::spawn(async move {
            let container = Container { engine: &engine, name: &name };
            if let Ok(code) = container.exit_code().await {
                warn_with_output(container, &format!("service {title} ended with exit code {code}"), &log).await;
            }
        })
    }

    /// Copies a service's output to the job's log. <https://docs.gitlab.com/ci/services/#capturing-service-container-logs>
    pub(super) fn show(&self, service: &Running, log: &Arc<JobLog>) -> JoinHandle<()> {
        let (engine, name) = (self.engine.clone(), service.container.clone());
        let (log, title) = (Arc::clone(log), format!("[service:{}]", service.aliases.join("-")));
        tokio::spawn(async move {
            let options = LogsOptionsBuilder::new().follow(true).stdout(true).stderr(true).timestamps(true).build();
            let mut output = std::pin::pin!(engine.logs(&name, Some(options)));
            while let Some(Ok(output)) = output.next().await {
                for line in output.to_string().lines() {
                    if !log.say_output(&format!("{title} {line}")) {
                        return;
                    }
                }
            }
        })
    }
}

/// The reason why a service is not known to listen.
#[derive(Debug, PartialEq, Eq)]
enum ProbeError {
    /// Its container cannot be reached from here.
    Unreachable,
    /// No port accepted a connection in time; the last error.
    Silent(String),
}

/// Tries all ports until one accepts a connection.
async fn connect(address: IpAddr, ports: &[u16], limit: Duration) -> Result<(), ProbeError> {
    let mut last = String::new();
    let mut silent_attempts = 0;
    let attempts = async {
        while silent_attempts < MAX_SILENT_ATTEMPTS {
            let ports = ports.iter().map(|port| {
                Box::pin(async {
                    let connection =
                        timeout(CONNECT_TIMEOUT, TcpStream::connect(SocketAddr::new(address, *port))).await;
                    connection.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
                })
            });
            let Err(error) = select_ok(ports).await else { return true };
            let is_silent = matches!(
                error.kind(),
                ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable
            );
            silent_attempts = if is_silent { silent_attempts + 1 } else { 0 };
            last = error.to_string();
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        false
    };
    match timeout(limit, attempts).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(ProbeError::Unreachable),
        Err(_) => Err(ProbeError::Silent(last)),
    }
}

/// Writes a warning with the last lines of a service.
async fn warn_with_output(container: Container<'_>, text: &str, log: &JobLog) {
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&LAST_LINES.to_string()).build();
    let output = container.engine.logs(container.name, Some(options));
    let output = output.map(|output| output.map(|output| output.to_string()).unwrap_or_default()).collect::<String>();
    // If the engine does not answer, warn without the output.
    let output = timeout(container_engine::TIMEOUT, output).await.unwrap_or_default();
    let lines: Vec<_> = output.lines().collect();
    let lines = lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default();
    if lines.is_empty() {
        log.warn(&format!("{text}. It wrote no output."));
        return;
    }
    log.warn(&format!("{text}. Its last lines:"));
    for line in lines {
        log.say(&format!("  {line}"));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn one_port_of_several_is_enough() {
        let (open, closed) = (listener().await, listener().await.local_addr().unwrap().port());
        let ports = [closed, open.local_addr().unwrap().port()];
        assert_eq!(connect(Ipv4Addr::LOCALHOST.into(), &ports, Duration::from_secs(5)).await, Ok(()));
        let refused = connect(Ipv4Addr::LOCALHOST.into(), &[closed], Duration::from_millis(300)).await.unwrap_err();
        assert!(matches!(&refused, ProbeError::Silent(last) if last.starts_with("Connection refused")), "{refused:?}");
    }

    async fn listener() -> tokio::net::TcpListener {
        tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap()
    }
}
