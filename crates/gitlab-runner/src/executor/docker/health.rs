//! Whether services listen, and what became of those that do not. The job goes on in any case, as at GitLab.
//! GitLab Runner's `executors/docker/services.go`, `commands/helpers/health_check.go`

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

/// How many of a service's last lines are told with its end.
const LAST_LINES: usize = 10;

/// The pause between two tries to connect.
const PAUSE: Duration = Duration::from_millis(100);

/// Time that a connection may take: what is on this machine answers at once.
const CONNECTION: Duration = Duration::from_secs(1);

/// After this many tries in a row without any answer, containers cannot be reached from here: where one can, a port on which
/// nobody listens answers at once, too. So it is with engines in a virtual machine of their own.
const SILENCES: usize = 3;

/// Of a service without ports only an end at once is noticed before the job begins.
const MOMENT: Duration = Duration::from_millis(500);

impl Docker {
    /// Waits until services listen, or time is up, and tells of those that do not. Those that end later are told of then.
    pub(super) async fn wait_for(&self, services: &mut [Running], log: &Arc<JobLog>) {
        if services.is_empty() {
            return;
        }
        if let Some(patience) = self.config.docker.wait_for_services_timeout {
            let seconds = patience.as_secs();
            log.say(&format!("Waiting for services to be up and running (timeout {seconds} seconds)..."));
            let wait = services.iter().map(|service| self.wait_for_one(service, patience, log));
            let have_ended = join_all(wait).await;
            for (service, has_ended) in services.iter_mut().zip(have_ended) {
                if !has_ended {
                    let watch = self.watch(service, log);
                    service.tasks.push(watch);
                }
            }
        }
    }

    /// Returns whether it has ended.
    async fn wait_for_one(&self, service: &Running, patience: Duration, log: &JobLog) -> bool {
        let container = Container { engine: &self.engine, name: &service.container };
        let ports = service.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        let listens = async {
            match service.address {
                Some(address) if container_engine::is_local() && !service.ports.is_empty() => {
                    connect(address, &service.ports, patience).await
                }
                Some(_) if !service.ports.is_empty() => Err(NotSeen::OutOfReach),
                // Nothing to ask for; without an address it has ended already, or has no network.
                _ => {
                    tokio::time::sleep(MOMENT.min(patience)).await;
                    Ok(())
                }
            }
        };
        tokio::select! {
            code = container.exit_code() => {
                let before = if ports.is_empty() { String::new() } else { format!(" before it listened on port {ports}") };
                let code = code.map_or_else(|error| container_engine::error_message(&error), |code| format!("exit code {code}"));
                let text = format!("the service {} ended with {code}{before}; the job goes on without it", service.title());
                tell(container, &text, log).await;
                true
            }
            result = listens => {
                match result {
                    Ok(()) => {}
                    Err(NotSeen::OutOfReach) => log.say(&format!(
                        "Whether {} listens is not known: containers of this engine cannot be reached from here",
                        service.title()
                    )),
                    Err(NotSeen::Silent(last)) => {
                        let (title, seconds) = (service.title(), patience.as_secs());
                        let text = format!("the service {title} does not listen on port {ports} after {seconds} s: {last}");
                        tell(container, &format!("{text}; the job goes on"), log).await;
                    }
                }
                false
            }
        }
    }

    /// Tells when a service ends that has listened.
    fn watch(&self, service: &Running, log: &Arc<JobLog>) -> JoinHandle<()> {
        let (engine, name, title) = (self.engine.clone(), service.container.clone(), service.title());
        let log = Arc::clone(log);
        tokio::spawn(async move {
            let container = Container { engine: &engine, name: &name };
            if let Ok(code) = container.exit_code().await {
                tell(container, &format!("the service {title} has ended with exit code {code}"), &log).await;
            }
        })
    }

    /// Writes what a service writes to the job's log. <https://docs.gitlab.com/ci/services/#capturing-service-container-logs>
    pub(super) fn show(&self, service: &Running, log: &Arc<JobLog>) -> JoinHandle<()> {
        let (engine, name) = (self.engine.clone(), service.container.clone());
        let (log, title) = (Arc::clone(log), format!("[service:{}]", service.aliases.join("-")));
        tokio::spawn(async move {
            let options = LogsOptionsBuilder::new().follow(true).stdout(true).stderr(true).timestamps(true).build();
            let mut output = std::pin::pin!(engine.logs(&name, Some(options)));
            while let Some(Ok(output)) = output.next().await {
                for line in output.to_string().lines() {
                    log.say(&format!("{title} {line}"));
                }
            }
        })
    }
}

/// Why it is not known that a service listens.
#[derive(Debug, PartialEq, Eq)]
enum NotSeen {
    /// It cannot be asked.
    OutOfReach,
    /// It does not, and this was the last answer.
    Silent(String),
}

/// Tries all ports until one takes a connection.
async fn connect(address: IpAddr, ports: &[u16], patience: Duration) -> Result<(), NotSeen> {
    let mut last = String::new();
    let mut silences = 0;
    let tries = async {
        while silences < SILENCES {
            let ports = ports.iter().map(|port| {
                Box::pin(async {
                    let connection = timeout(CONNECTION, TcpStream::connect(SocketAddr::new(address, *port))).await;
                    connection.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
                })
            });
            let Err(error) = select_ok(ports).await else { return true };
            let is_silent = matches!(
                error.kind(),
                ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable
            );
            silences = if is_silent { silences + 1 } else { 0 };
            last = error.to_string();
            tokio::time::sleep(PAUSE).await;
        }
        false
    };
    match timeout(patience, tries).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(NotSeen::OutOfReach),
        Err(_) => Err(NotSeen::Silent(last)),
    }
}

/// A warning with the last lines of a service.
async fn tell(container: Container<'_>, text: &str, log: &JobLog) {
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&LAST_LINES.to_string()).build();
    let output = container.engine.logs(container.name, Some(options));
    let output = output.map(|output| output.map(|output| output.to_string()).unwrap_or_default()).collect::<String>();
    // An engine that does not answer is not waited for: what is told is more than nothing.
    let output = timeout(container_engine::TIMEOUT, output).await.unwrap_or_default();
    let lines: Vec<_> = output.lines().collect();
    let lines = lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default();
    if lines.is_empty() {
        log.warn(&format!("{text}. It has written nothing."));
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
        assert!(matches!(&refused, NotSeen::Silent(last) if last.starts_with("Connection refused")), "{refused:?}");
    }

    async fn listener() -> tokio::net::TcpListener {
        tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap()
    }
}
