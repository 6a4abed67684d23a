//! `kind-config.yaml`, as far as somebody besides kind must know it: the ports of this machine that it maps.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Why the file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KindConfigError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    NotRead {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what kind would take either.
    #[error("{}: {source}", path.display())]
    NotUnderstood {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: Box<serde_saphyr::Error>,
    },
}

/// A port of this machine that leads to one of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortMapping {
    /// The address on this machine.
    pub host: SocketAddr,
    /// The node's port.
    pub container_port: u16,
}

#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    #[serde(default)]
    extra_port_mappings: Vec<Mapping>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mapping {
    container_port: u16,
    host_port: u16,
    listen_address: Option<IpAddr>,
}

/// Every port that `file` maps.
///
/// # Errors
/// When it cannot be read or understood.
pub fn port_mappings(file: &Path) -> Result<Vec<PortMapping>, KindConfigError> {
    let path = || file.to_owned();
    let text = std::fs::read_to_string(file).map_err(|source| KindConfigError::NotRead { path: path(), source })?;
    parse(&text).map_err(|source| KindConfigError::NotUnderstood { path: path(), source: Box::new(source) })
}

fn parse(text: &str) -> Result<Vec<PortMapping>, serde_saphyr::Error> {
    let config: Config = serde_saphyr::from_str(text)?;
    let mappings = config.nodes.into_iter().flat_map(|node| node.extra_port_mappings);
    let mapping = |mapping: Mapping| PortMapping {
        // kind listens on every address when it is told none.
        host: (mapping.listen_address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), mapping.host_port).into(),
        container_port: mapping.container_port,
    };
    Ok(mappings.map(mapping).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projects_own_file() {
        let mappings = parse(include_str!("../../kind-config.yaml")).unwrap();
        let text: Vec<_> = mappings.iter().map(|it| format!("{} -> {}", it.host, it.container_port)).collect();
        assert_eq!(text, ["127.0.0.1:8080 -> 80", "127.0.0.1:8443 -> 443"]);
    }

    #[test]
    fn no_mappings_no_ports() {
        assert_eq!(parse("kind: Cluster\nnodes: [{role: control-plane}]\n").unwrap(), []);
    }

    #[test]
    fn a_mistake_has_its_place() {
        let error = parse("nodes:\n  - extraPortMappings:\n      - containerPort: eighty\n").unwrap_err().to_string();
        assert!(error.contains('3'), "{error}");
    }
}
