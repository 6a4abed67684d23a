//! Copies images from the engine to the nodes, like `kind load` but without a temporary file.

use std::collections::BTreeSet;
use std::time::Duration;

use bollard::Docker;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::TryStreamExt;
use k8s_openapi::api::core::v1::Node;
use tokio::io::AsyncWriteExt;

use super::kind::{self, KindError};
use crate::environment::images::short;

/// Imports an archive from standard input.
const IMPORT: [&str; 6] = ["ctr", "--namespace", "k8s.io", "images", "import", "-"];

/// Time limit for copying the images to a node.
const TIMEOUT: Duration = Duration::from_mins(5);

/// Images could not be copied to a node.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The engine cannot export the images or run the import.
    #[error("container engine error")]
    Engine(#[from] bollard::errors::Error),
    /// The nodes cannot be listed.
    #[error(transparent)]
    Nodes(#[from] KindError),
    /// The connection to the node broke.
    #[error("cannot send images to node {node}: {output}")]
    Sent {
        /// The node's name.
        node: String,
        /// The output of containerd's client until then.
        output: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// containerd's client failed.
    #[error("node {node} cannot import the images: {output}")]
    Refused {
        /// The node's name.
        node: String,
        /// The output of containerd's client.
        output: String,
    },
    /// The time limit was exceeded.
    #[error("node {0} did not import the images within {TIMEOUT:?}")]
    TimedOut(String),
}

/// Copies the images `references` to all running nodes, and returns these nodes.
///
/// # Errors
/// If a node cannot import an image.
pub async fn load(docker: &Docker, cluster: &str, references: &[String]) -> Result<BTreeSet<String>, LoadError> {
    let nodes: BTreeSet<_> = kind::running_nodes(docker, cluster).await?.into_iter().collect();
    futures_util::future::try_join_all(nodes.iter().map(|node| load_one(docker, node, references))).await?;
    Ok(nodes)
}

async fn load_one(docker: &Docker, node: &str, references: &[String]) -> Result<(), LoadError> {
    let load = send(docker, node, references);
    tokio::time::timeout(TIMEOUT, load).await.unwrap_or_else(|_| Err(LoadError::TimedOut(node.to_owned())))
}

async fn send(docker: &Docker, node: &str, references: &[String]) -> Result<(), LoadError> {
    let config = CreateExecOptions {
        cmd: Some(IMPORT.to_vec()),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let exec = docker.create_exec(node, config).await?.id;
    let StartExecResults::Attached { output, mut input } = docker.start_exec(&exec, None::<StartExecOptions>).await?
    else {
        // The engine only detaches if `detach` is set, which it is not.
        return Err(bollard::errors::Error::RequestTimeoutError.into());
    };
    // One archive for all images, so that shared layers, mainly their base, are sent once.
    let references: Vec<&str> = references.iter().map(String::as_str).collect();
    let sending = async {
        let mut archive = std::pin::pin!(docker.export_images(&references));
        while let Some(chunk) = archive.try_next().await? {
            if let Err(error) = input.write_all(&chunk).await {
                return Ok(Err(error));
            }
        }
        Ok::<_, bollard::errors::Error>(input.shutdown().await)
    };
    let receiving = output.map_ok(|line| line.to_string()).try_collect::<String>();
    tokio::pin!(sending, receiving);
    let (sent, received) = tokio::select! {
        sent = &mut sending => (Some(sent?), receiving.await),
        // The import ended before it had read everything. Do not wait for the rest of the archive, which takes a minute to export.
        received = &mut receiving => (None, received),
    };
    let (node, output) = (node.to_owned(), received.unwrap_or_default().trim().to_owned());
    if let Some(Err(source)) = sent {
        return Err(LoadError::Sent { node, output, source });
    }
    match docker.inspect_exec(&exec).await?.exit_code {
        Some(0) => Ok(()),
        _ => Err(LoadError::Refused { node, output }),
    }
}

/// The images in `references` that are missing on at least one node, according to the nodes' kubelets.
pub fn missing(nodes: &[Node], references: &[String]) -> Vec<String> {
    let has = |node: &Node, reference: &str| {
        let images = node.status.iter().flat_map(|status| status.images.iter().flatten());
        images.flat_map(|image| image.names.iter().flatten()).any(|name| short(name) == short(reference))
    };
    references.iter().filter(|reference| !nodes.iter().all(|node| has(node, reference))).cloned().collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::same_name("gitlab-ci-k8s-demo/dns:1", &["docker.io/gitlab-ci-k8s-demo/dns:1"], true)]
    #[case::docker_hub_library("docker.io/library/traefik:v3", &["docker.io/library/traefik:v3"], true)]
    #[case::another_version("gitlab-ci-k8s-demo/dns:2", &["docker.io/gitlab-ci-k8s-demo/dns:1"], false)]
    #[case::none("gitlab-ci-k8s-demo/dns:2", &[], false)]
    fn an_image_is_missing_unless_every_node_has_it(
        #[case] reference: &str,
        #[case] names: &[&str],
        #[case] there: bool,
    ) {
        let node: Node = serde_json::from_value(json!({"status": {"images": [{"names": names}]}})).unwrap();
        let empty: Node = serde_json::from_value(json!({"status": {}})).unwrap();
        let references = [reference.to_owned()];
        assert_eq!(missing(std::slice::from_ref(&node), &references).is_empty(), there);
        assert_eq!(missing(&[node, empty], &references), references, "another node lacks it");
    }
}
