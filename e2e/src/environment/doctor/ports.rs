//! Checks the host ports that `kind-config.yaml` maps to the cluster.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;

use tokio::net::TcpListener;

use super::engine::{Engine, EngineError};
use super::finding::{Finding, Remedy, Verdict};
use crate::environment::kind_config;

/// Examines every port that `file` maps. `cluster` may hold them already.
pub(super) async fn examine(file: &Path, cluster: &str, engine: &Result<Engine, EngineError>) -> Finding {
    let addresses: Vec<_> = match kind_config::port_mappings(file) {
        Ok(mappings) => mappings.into_iter().map(|mapping| mapping.host).collect(),
        Err(problem) => {
            let remedy = Remedy::Advice("run this command in the project's directory, or fix the file".to_owned());
            return Finding::good("ports", "the ports in kind-config.yaml", problem.to_string())
                .with(Verdict::Missing, remedy);
        }
    };
    let needed = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut taken = Vec::new();
    for address in addresses {
        if let Some(holder) = holder(address, cluster, engine).await {
            taken.push(format!("{}: {holder}", address.port()));
        }
    }
    if taken.is_empty() {
        return Finding::good("ports", needed, "free, or used by this cluster");
    }
    let remedy = Remedy::Advice(
        "stop the program that listens there (`ss -ltnp`), or change hostPort in kind-config.yaml".to_owned(),
    );
    Finding::good("ports", needed, taken.join(", ")).with(Verdict::Missing, remedy)
}

/// The other program or container that uses `address`.
async fn holder(address: SocketAddr, cluster: &str, engine: &Result<Engine, EngineError>) -> Option<String> {
    match TcpListener::bind(address).await {
        Ok(_) => return None,
        Err(error) if error.kind() == ErrorKind::AddrInUse => {}
        Err(error) => return Some(error.to_string()),
    }
    let publishers = match engine {
        Ok(engine) => engine.publishers(address.port()).await,
        Err(_) => Vec::new(),
    };
    match publishers.into_iter().next() {
        // The cluster itself may hold the ports of its configuration.
        Some((_, Some(own))) if own == cluster => None,
        Some((container, _)) => Some(format!("in use by container {container}")),
        None => Some("in use by another program".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_running() -> Result<Engine, EngineError> {
        Err(EngineError::TimedOut)
    }

    #[tokio::test]
    async fn only_a_port_in_use_is_reported() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(holder(address, "demo", &not_running()).await.as_deref(), Some("in use by another program"));
        drop(listener);
        assert_eq!(holder(address, "demo", &not_running()).await, None);
    }

    #[tokio::test]
    async fn a_missing_file_is_reported() {
        let finding = examine(Path::new("/nonexistent/kind-config.yaml"), "demo", &not_running()).await;
        assert_eq!(finding.verdict, Verdict::Missing);
        assert!(finding.found.starts_with("/nonexistent/kind-config.yaml: No such file"), "{}", finding.found);
    }
}
