//! The ports of this machine that the cluster is reached by: those of `kind-config.yaml`.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use serde::Deserialize;
use tokio::net::TcpListener;

use super::engine::{Engine, EngineError};
use super::finding::{Finding, Remedy, Verdict};

/// The name of the cluster that the harness makes when it is not told another one.
const CLUSTER: &str = "gitlab-ci-k8s-demo";

#[derive(Debug, Deserialize)]
struct KindConfig {
    #[serde(default)]
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    #[serde(default)]
    extra_port_mappings: Vec<PortMapping>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PortMapping {
    host_port: u16,
    listen_address: Option<IpAddr>,
}

/// Examines every port that `file` maps.
pub(super) async fn examine(file: &Path, engine: &Result<Engine, EngineError>) -> Finding {
    let addresses = match addresses(file).await {
        Ok(addresses) => addresses,
        Err(problem) => {
            let remedy = Remedy::Advice("run this in the project's folder, or repair the file".to_owned());
            return Finding::good("ports", "those of kind-config.yaml", problem).with(Verdict::Missing, remedy);
        }
    };
    let needed = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut taken = Vec::new();
    for address in addresses {
        if let Some(holder) = holder(address, engine).await {
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

async fn addresses(file: &Path) -> Result<Vec<SocketAddr>, String> {
    let text = tokio::fs::read_to_string(file).await.map_err(|error| format!("{}: {error}", file.display()))?;
    parse(&text).map_err(|error| format!("{}: {error}", file.display()))
}

fn parse(text: &str) -> Result<Vec<SocketAddr>, serde_saphyr::Error> {
    let config: KindConfig = serde_saphyr::from_str(text)?;
    let mappings = config.nodes.into_iter().flat_map(|node| node.extra_port_mappings);
    // kind listens on every address when it is told none.
    let address = |mapping: PortMapping| {
        (mapping.listen_address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), mapping.host_port).into()
    };
    Ok(mappings.map(address).collect())
}

/// Who else holds `address`.
async fn holder(address: SocketAddr, engine: &Result<Engine, EngineError>) -> Option<String> {
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
        Some((_, Some(cluster))) if cluster == CLUSTER => None,
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

    #[test]
    fn the_projects_own_file() {
        let addresses = parse(include_str!("../../../kind-config.yaml")).unwrap();
        assert_eq!(addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["127.0.0.1:8080", "127.0.0.1:8443"]);
    }

    #[test]
    fn no_mappings_no_ports() {
        assert_eq!(parse("kind: Cluster\nnodes: [{role: control-plane}]\n").unwrap(), []);
    }

    #[tokio::test]
    async fn a_taken_port_is_found_and_a_free_one_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(holder(address, &not_running()).await.as_deref(), Some("taken by another program"));
        drop(listener);
        assert_eq!(holder(address, &not_running()).await, None);
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_says_so() {
        let finding = examine(Path::new("/nonexistent/kind-config.yaml"), &not_running()).await;
        assert_eq!(finding.verdict, Verdict::Missing);
        assert!(finding.found.starts_with("/nonexistent/kind-config.yaml: No such file"), "{}", finding.found);
    }
}
