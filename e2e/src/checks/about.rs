//! The data about the cluster that the API server reports.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;

use super::target::Target;
use crate::environment::cluster;
use crate::record::check_report::Cluster;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Parts of the API server's version, with the distributions that add them.
const VERSIONS: [(&str, &str); 5] =
    [("+k3s", "k3s"), ("+rke2", "RKE2"), ("+k0s", "k0s"), ("-eks-", "EKS"), ("-gke.", "GKE")];

/// Prefixes of node labels, with the distributions that set them.
const LABELS: [(&str, &str); 3] =
    [("minikube.k8s.io/", "minikube"), ("node.openshift.io/", "OpenShift"), ("kubernetes.azure.com/", "AKS")];

/// Reads the cluster's version and nodes. What the account may not read is left out.
pub async fn cluster(target: &Target) -> Cluster {
    let client = &target.client;
    let (version, nodes) =
        tokio::join!(tokio::time::timeout(TIMEOUT, client.apiserver_version()), cluster::nodes(client));
    let version = version.ok().and_then(Result::ok).map(|info| info.git_version);
    Cluster { server: target.connection.server(), ..described(version, nodes.as_deref()) }
}

fn described(kubernetes: Option<String>, nodes: Option<&[Node]>) -> Cluster {
    let infos = nodes.iter().flat_map(|nodes| nodes.iter()).filter_map(|node| node.status.as_ref()?.node_info.as_ref());
    let architectures: BTreeSet<String> = infos.map(|info| info.architecture.clone()).collect();
    Cluster {
        distribution: distribution(kubernetes.as_deref().unwrap_or_default(), nodes.unwrap_or_default())
            .map(str::to_owned),
        kubernetes,
        nodes: nodes.map(<[_]>::len),
        architectures: architectures.into_iter().collect(),
        ..Cluster::default()
    }
}

fn distribution(version: &str, nodes: &[Node]) -> Option<&'static str> {
    let by_version = VERSIONS.iter().find(|(part, _)| version.contains(part));
    let has_label = |prefix: &str| nodes.iter().any(|node| node.labels().keys().any(|key| key.starts_with(prefix)));
    let by_label = || LABELS.iter().find(|(prefix, _)| has_label(prefix));
    let is_kind = || {
        let providers = nodes.iter().filter_map(|node| node.spec.as_ref()?.provider_id.as_ref());
        providers.into_iter().any(|provider| provider.starts_with("kind://"))
    };
    match by_version.or_else(by_label) {
        Some((_, name)) => Some(name),
        None => is_kind().then_some("kind"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn node(value: serde_json::Value) -> Node {
        serde_json::from_value(value).unwrap()
    }

    #[rstest]
    #[case::k3s("v1.34.4+k3s1", json!({}), Some("k3s"))]
    #[case::eks("v1.34.1-eks-113cf36", json!({}), Some("EKS"))]
    #[case::openshift("v1.34.1", json!({"metadata": {"labels": {"node.openshift.io/os_id": "rhcos"}}}), Some("OpenShift"))]
    #[case::kind("v1.37.0", json!({"spec": {"providerID": "kind://docker/demo/node"}}), Some("kind"))]
    #[case::unknown("v1.37.0", json!({"spec": {"providerID": "openstack:///1"}}), None)]
    fn distributions(#[case] version: &str, #[case] nodes: serde_json::Value, #[case] expected: Option<&str>) {
        let described = described(Some(version.to_owned()), Some(&[node(nodes)]));
        assert_eq!((described.distribution.as_deref(), described.nodes), (expected, Some(1)));
    }

    #[test]
    fn each_architecture_is_listed_once() {
        let info = |architecture: &str| {
            let texts = ["bootID", "containerRuntimeVersion", "kernelVersion", "kubeProxyVersion", "kubeletVersion"];
            let texts = texts.into_iter().chain(["machineID", "operatingSystem", "osImage", "systemUUID"]);
            let mut info: serde_json::Map<_, _> = texts.map(|name| (name.to_owned(), json!(""))).collect();
            info.insert("architecture".to_owned(), json!(architecture));
            node(json!({"status": {"nodeInfo": info}}))
        };
        let described = described(None, Some(&["arm64", "amd64", "arm64"].map(info)));
        assert_eq!(described.architectures, ["amd64", "arm64"]);
    }

    #[test]
    fn an_account_without_rights_leaves_it_out() {
        assert_eq!(described(None, None), Cluster::default());
    }
}
