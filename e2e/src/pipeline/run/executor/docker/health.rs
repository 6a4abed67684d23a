//! Whether services listen, and what became of those that do not. The job goes on in any case, as at GitLab.
//! GitLab Runner's `executors/docker/services.go`, `commands/helpers/health_check.go`

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::future::{join_all, select_ok};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Docker;
use super::files::Container;
use super::service::Running;
use crate::engine;
use crate::pipeline::run::log::JobLog;

/// How many of a service's last lines are told with its end.
const LAST_LINES: usize = 10;

/// The pause between two tries to connect.
const PAUSE: Duration = Duration::from_millis(100);

/// Time that a connection may take: what is on this machine answers at once.
const CONNECTION: Duration = Duration::from_secs(1);

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
                _ if service.ports.is_empty() => {
                    tokio::time::sleep(MOMENT.min(patience)).await;
                    Ok(())
                }
                Some(address) if engine::is_local() => connect(address, &service.ports, patience).await,
                Some(_) => {
                    log.say(&format!("{} is not probed: its engine is not on this machine", service.title()));
                    Ok(())
                }
                // It has ended already, or has no network.
                None => {
                    tokio::time::sleep(MOMENT.min(patience)).await;
                    Ok(())
                }
            }
        };
        tokio::select! {
            code = container.exit_code() => {
                let before = if ports.is_empty() { String::new() } else { format!(" before it listened on port {ports}") };
                let code = code.map_or_else(|error| engine::said(&error), |code| format!("exit code {code}"));
                let text = format!("the service {} ended with {code}{before}; the job goes on without it", service.title());
                tell(container, &text, log).await;
                true
            }
            result = listens => {
                if let Err(last) = result {
                    let seconds = patience.as_secs();
                    let text = format!(
                        "the service {} does not listen on port {ports} after {seconds} s: {last}; the job goes on",
                        service.title()
                    );
                    tell(container, &text, log).await;
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

/// Tries all ports until one answers. The error is the last that was met.
async fn connect(address: IpAddr, ports: &[u16], patience: Duration) -> Result<(), String> {
    let mut last = "it was never tried".to_owned();
    let tries = async {
        loop {
            let ports = ports.iter().map(|port| {
                Box::pin(async {
                    let connection = timeout(CONNECTION, TcpStream::connect(SocketAddr::new(address, *port))).await;
                    let silence = || format!("no answer from {address}, which may be out of reach from here");
                    connection.map_err(|_| silence())?.map_err(|error| error.to_string())
                })
            });
            match select_ok(ports).await {
                Ok(_) => return,
                Err(error) => last = error,
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    timeout(patience, tries).await.map_err(|_| last)
}

/// A warning with the last lines of a service.
async fn tell(container: Container<'_>, text: &str, log: &JobLog) {
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&LAST_LINES.to_string()).build();
    let output = container.engine.logs(container.name, Some(options)).filter_map(async |output| output.ok());
    let output = output.map(|output| output.to_string()).collect::<String>();
    // An engine that does not answer is not waited for: what is told is more than nothing.
    let output = timeout(engine::PATIENCE, output).await.unwrap_or_default();
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
