//! Reads from `kind-config.yaml` what the harness needs: the number of nodes, the host ports that it maps, whether the kubelet may run
//! on cgroup v1, and the kubeadm patches.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// The kind of the object that configures the kubelet.
const KUBELET: &str = "KubeletConfiguration";

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KindConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    NotRead {
        /// The file's path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not a kind configuration.
    #[error("{}: {source}", path.display())]
    NotUnderstood {
        /// The file's path.
        path: PathBuf,
        /// The mistake, with line and column.
        source: Box<serde_saphyr::Error>,
    },
}

/// A host port that is forwarded to a port of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortMapping {
    /// The address and port on this machine.
    pub host: SocketAddr,
    /// The node's port.
    pub container_port: u16,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default, deserialize_with = "null_is_empty")]
    nodes: Vec<Node>,
    #[serde(default, deserialize_with = "null_is_empty")]
    kubeadm_config_patches: Vec<String>,
    #[serde(default, deserialize_with = "null_is_empty", rename = "kubeadmConfigPatchesJSON6902")]
    kubeadm_config_json_patches: Vec<JsonPatch>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    #[serde(default, deserialize_with = "null_is_empty")]
    extra_port_mappings: Vec<Mapping>,
    #[serde(default, deserialize_with = "null_is_empty")]
    kubeadm_config_patches: Vec<String>,
    #[serde(default, deserialize_with = "null_is_empty", rename = "kubeadmConfigPatchesJSON6902")]
    kubeadm_config_json_patches: Vec<JsonPatch>,
}

/// Reads a list. Like kind, treats a key without a value as an empty list.
fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A JSON patch (RFC 6902) of one of the objects that kubeadm reads.
#[derive(Debug, Deserialize)]
struct JsonPatch {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    patch: String,
}

#[derive(Debug, Deserialize)]
struct Operation {
    path: String,
    value: Option<Value>,
}

/// A merge patch of one of the objects that kubeadm reads, as far as it concerns the kubelet's configuration.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KubeletPatch {
    #[serde(default)]
    kind: String,
    fail_cgroup_v1: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mapping {
    container_port: u16,
    host_port: u16,
    listen_address: Option<IpAddr>,
}

/// The port mappings in `file`.
///
/// # Errors
/// If `file` cannot be read or parsed.
pub fn port_mappings(file: &Path) -> Result<Vec<PortMapping>, KindConfigError> {
    read(file, parse)
}

/// Whether `file` describes a cluster of more than one node.
///
/// # Errors
/// If `file` cannot be read or parsed.
pub fn has_several_nodes(file: &Path) -> Result<bool, KindConfigError> {
    read(file, lists_several_nodes)
}

/// Whether `file` allows the kubelet to start on cgroup v1, with a patch that sets `failCgroupV1: false`.
///
/// # Errors
/// If `file` cannot be read or parsed.
pub fn allows_cgroup_v1(file: &Path) -> Result<bool, KindConfigError> {
    read(file, has_cgroup_v1_patch)
}

/// Returns `file` as JSON, which kind accepts too, with one additional patch that makes kubeadm read its patches from `directory` on
/// the node. The patches in `file` come later and override it.
///
/// # Errors
/// If `file` cannot be read or parsed.
pub fn with_kubeadm_patches(file: &Path, directory: &str) -> Result<String, KindConfigError> {
    read(file, |text| add_kubeadm_patches(text, directory))
}

fn add_kubeadm_patches(text: &str, directory: &str) -> Result<String, serde_saphyr::Error> {
    let Config { kubeadm_config_patches: theirs, .. } = serde_saphyr::from_str(text)?;
    let ours = json!({"kind": "InitConfiguration", "patches": {"directory": directory}}).to_string();
    let mut config: serde_json::Map<String, Value> = serde_saphyr::from_str(text)?;
    config.insert("kubeadmConfigPatches".to_owned(), [ours].into_iter().chain(theirs).collect());
    Ok(Value::from(config).to_string())
}

fn read<T>(file: &Path, parse: impl Fn(&str) -> Result<T, serde_saphyr::Error>) -> Result<T, KindConfigError> {
    let path = || file.to_owned();
    let text = std::fs::read_to_string(file).map_err(|source| KindConfigError::NotRead { path: path(), source })?;
    parse(&text).map_err(|source| KindConfigError::NotUnderstood { path: path(), source: Box::new(source) })
}

fn lists_several_nodes(text: &str) -> Result<bool, serde_saphyr::Error> {
    Ok(serde_saphyr::from_str::<Config>(text)?.nodes.len() > 1)
}

fn has_cgroup_v1_patch(text: &str) -> Result<bool, serde_saphyr::Error> {
    let config: Config = serde_saphyr::from_str(text)?;
    let nodes = || config.nodes.iter();
    // kind reports patches that are not YAML.
    let merges = |patch: &String| {
        serde_saphyr::from_str::<KubeletPatch>(patch)
            .is_ok_and(|patch| patch.kind == KUBELET && patch.fail_cgroup_v1 == Some(false))
    };
    let sets = |patch: &JsonPatch| {
        let is_wanted = |it: &Operation| it.path == "/failCgroupV1" && it.value == Some(Value::Bool(false));
        let operations = serde_saphyr::from_str::<Vec<Operation>>(&patch.patch).unwrap_or_default();
        patch.kind == KUBELET && operations.iter().any(is_wanted)
    };
    let mut merge_patches =
        config.kubeadm_config_patches.iter().chain(nodes().flat_map(|node| &node.kubeadm_config_patches));
    let mut json_patches =
        config.kubeadm_config_json_patches.iter().chain(nodes().flat_map(|node| &node.kubeadm_config_json_patches));
    Ok(merge_patches.any(merges) || json_patches.any(sets))
}

fn parse(text: &str) -> Result<Vec<PortMapping>, serde_saphyr::Error> {
    let config: Config = serde_saphyr::from_str(text)?;
    let mappings = config.nodes.into_iter().flat_map(|node| node.extra_port_mappings);
    let mapping = |mapping: Mapping| PortMapping {
        // Without `listenAddress`, kind listens on all addresses.
        host: (mapping.listen_address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), mapping.host_port).into(),
        container_port: mapping.container_port,
    };
    Ok(mappings.map(mapping).collect())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::none("kind: Cluster\n", false)]
    #[case::cluster("kubeadmConfigPatches:\n  - |\n    kind: KubeletConfiguration\n    failCgroupV1: false\n", true)]
    #[case::node(
        "nodes:\n  - role: worker\n    kubeadmConfigPatches: [\"kind: KubeletConfiguration\\nfailCgroupV1: false\"]\n",
        true
    )]
    #[case::json("kubeadmConfigPatches: ['{\"kind\": \"KubeletConfiguration\", \"failCgroupV1\": false}']\n", true)]
    #[case::operations(
        "kubeadmConfigPatchesJSON6902:\n  - kind: KubeletConfiguration\n    patch: |\n      - op: add\n        path: /failCgroupV1\n        value: false\n",
        true
    )]
    #[case::explicitly_forbidden(
        "kubeadmConfigPatches:\n  - |\n    kind: KubeletConfiguration\n    failCgroupV1: true\n",
        false
    )]
    #[case::patch_of_another_object(
        "kubeadmConfigPatches:\n  - |\n    kind: InitConfiguration\n    failCgroupV1: false\n",
        false
    )]
    #[case::not_yaml("kubeadmConfigPatches: ['}']\n", false)]
    fn cgroup_v1(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(has_cgroup_v1_patch(text).unwrap(), expected);
    }

    // Without nodes, kind creates one.
    #[rstest]
    #[case::none("kind: Cluster\n", false)]
    #[case::one("nodes: [{role: control-plane}]\n", false)]
    #[case::a_worker("nodes: [{role: control-plane}, {role: worker}]\n", true)]
    fn several_nodes_are_found(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(lists_several_nodes(text).unwrap(), expected);
    }

    #[rstest]
    #[case::none("kind: Cluster\n", json!([]))]
    #[case::empty("kind: Cluster\nkubeadmConfigPatches:\n", json!([]))]
    #[case::patches_of_the_file_come_later("kind: Cluster\nkubeadmConfigPatches:\n  - |-\n    kind: KubeletConfiguration\n", json!(["kind: KubeletConfiguration"]))]
    fn kubeadm_reads_patches_from_the_directory(#[case] text: &str, #[case] theirs: Value) {
        let config: Value = serde_json::from_str(&add_kubeadm_patches(text, "/kind/patches").unwrap()).unwrap();
        assert_eq!(config["kind"], "Cluster");
        let patches = config["kubeadmConfigPatches"].as_array().unwrap();
        let ours = json!({"kind": "InitConfiguration", "patches": {"directory": "/kind/patches"}});
        assert_eq!(serde_json::from_str::<Value>(patches[0].as_str().unwrap()).unwrap(), ours);
        assert_eq!(patches[1..], *theirs.as_array().unwrap());
    }

    #[test]
    fn the_port_mappings_of_the_projects_own_file() {
        let mappings = parse(include_str!("../../../kind-config.yaml")).unwrap();
        let text: Vec<_> = mappings.iter().map(|it| format!("{} -> {}", it.host, it.container_port)).collect();
        assert_eq!(text, ["127.0.0.1:8080 -> 80", "127.0.0.1:8443 -> 443"]);
    }

    #[test]
    fn a_file_without_mappings_maps_no_ports() {
        assert_eq!(parse("kind: Cluster\nnodes: [{role: control-plane}]\n").unwrap(), []);
    }

    #[test]
    fn an_error_names_the_line() {
        let error = parse("nodes:\n  - extraPortMappings:\n      - containerPort: eighty\n").unwrap_err().to_string();
        assert!(error.contains('3'), "{error}");
    }
}
