//! The ports of this machine that the cluster is reached by: those of `kind-config.yaml`.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;

use tokio::net::TcpListener;

use super::engine::{Engine, EngineError};
use super::finding::{Finding, Remedy, Verdict};
use crate::environment::kind_config;

/// Examines every port that `file` maps; `cluster` is the one that may hold them.
pub(super) async fn examine(file: &Path, cluster: &str, engine: &Result<Engine, EngineError>) -> Finding {
    let addresses: Vec<_> = match kind_config::port_mappings(file) {
        Ok(mappings) => mappings.into_iter().map(|mapping| mapping.host).collect(),
        Err(problem) => {
            let remedy = Remedy::Advice("run this in the project's folder, or repair the file".to_owned());
            return Finding::good("ports", "those of kind-config.yaml", problem.to_string())
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
        return Finding::good("ports", needed, "free, or held by our own cluster");
    }
    let remedy =
        Remedy::Advice("end what listens there (`ss -ltnp`), or change hostPort in kind-config.yaml".to_owned());
    Finding::good("ports", needed, taken.join(", ")).with(Verdict::Missing, remedy)
}

/// Who else holds `address`.
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
        // Its own cluster may well hold the ports of its own file.
        Some((_, Some(own))) if own == cluster => None,
        Some((container, _)) => Some(format!("taken by container {container}")),
        None => Some("taken by another program".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_running() -> Result<Engine, EngineError> {
        Err(EngineError::TimedOut)
    }

    #[tokio::test]
    async fn a_taken_port_is_found_and_a_free_one_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(holder(address, "demo", &not_running()).await.as_deref(), Some("taken by another program"));
        drop(listener);
        assert_eq!(holder(address, "demo", &not_running()).await, None);
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_says_so() {
        let finding = examine(Path::new("/nonexistent/kind-config.yaml"), "demo", &not_running()).await;
        assert_eq!(finding.verdict, Verdict::Missing);
        assert!(finding.found.starts_with("/nonexistent/kind-config.yaml: No such file"), "{}", finding.found);
    }
}
