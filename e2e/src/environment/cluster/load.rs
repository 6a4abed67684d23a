//! Images on their way from the engine to the nodes: what `kind load` does, without its detour over a file.

use std::collections::BTreeSet;
use std::time::Duration;

use bollard::Docker;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::TryStreamExt;
use k8s_openapi::api::core::v1::Node;
use tokio::io::AsyncWriteExt;

use super::kind::{self, KindError};
use crate::environment::images::short;

/// Takes an archive from standard input.
const IMPORT: [&str; 6] = ["ctr", "--namespace", "k8s.io", "images", "import", "-"];

/// The longest time in which images are taken over.
const PATIENCE: Duration = Duration::from_mins(5);

/// Why images are not on a node.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The engine does not give them, or does not take them.
    #[error("the container engine")]
    Engine(#[from] bollard::errors::Error),
    /// The nodes are not known.
    #[error(transparent)]
    Nodes(#[from] KindError),
    /// The way to the node broke.
    #[error("images cannot be sent to node {node}: {output}")]
    Sent {
        /// The node.
        node: String,
        /// What containerd's client said until then.
        output: String,
        /// What broke.
        #[source]
        source: std::io::Error,
    },
    /// containerd does not want them.
    #[error("node {node} does not take the images: {output}")]
    Refused {
        /// The node.
        node: String,
        /// What containerd's client said.
        output: String,
    },
    /// It takes too long.
    #[error("images did not arrive on node {0} within {PATIENCE:?}")]
    TimedOut(String),
}

/// Takes the images `references` to all nodes that run now, and returns these nodes.
///
/// # Errors
/// When one of them does not take one.
pub async fn load(docker: &Docker, cluster: &str, references: &[String]) -> Result<BTreeSet<String>, LoadError> {
    let nodes: BTreeSet<_> = kind::running_nodes(docker, cluster).await?.into_iter().collect();
    futures_util::future::try_join_all(nodes.iter().map(|node| load_one(docker, node, references))).await?;
    Ok(nodes)
}

async fn load_one(docker: &Docker, node: &str, references: &[String]) -> Result<(), LoadError> {
    let load = send(docker, node, references);
    tokio::time::timeout(PATIENCE, load).await.unwrap_or_else(|_| Err(LoadError::TimedOut(node.to_owned())))
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
        // Only asked for by `detach`, which is not.
        return Err(bollard::errors::Error::RequestTimeoutError.into());
    };
    // All of them at once: what they share, above all their base, is sent once.
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
    let listening = output.map_ok(|line| line.to_string()).try_collect::<String>();
    tokio::pin!(sending, listening);
    let (sent, heard) = tokio::select! {
        sent = &mut sending => (Some(sent?), listening.await),
        // The program has ended before it had all. Nothing reads the rest of the archive, which takes a minute to make.
        heard = &mut listening => (None, heard),
    };
    let (node, output) = (node.to_owned(), heard.unwrap_or_default().trim().to_owned());
    if let Some(Err(source)) = sent {
        return Err(LoadError::Sent { node, output, source });
    }
    match docker.inspect_exec(&exec).await?.exit_code {
        Some(0) => Ok(()),
        _ => Err(LoadError::Refused { node, output }),
    }
}

/// Those of `references` that a node lacks, going by what the nodes' kubelets say.
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
    #[case::as_it_is("gitlab-ci-k8s-demo/dns:1", &["docker.io/gitlab-ci-k8s-demo/dns:1"], true)]
    #[case::of_docker("docker.io/library/traefik:v3", &["docker.io/library/traefik:v3"], true)]
    #[case::another_version("gitlab-ci-k8s-demo/dns:2", &["docker.io/gitlab-ci-k8s-demo/dns:1"], false)]
    #[case::none("gitlab-ci-k8s-demo/dns:2", &[], false)]
    fn what_a_node_has(#[case] reference: &str, #[case] names: &[&str], #[case] there: bool) {
        let node: Node = serde_json::from_value(json!({"status": {"images": [{"names": names}]}})).unwrap();
        let empty: Node = serde_json::from_value(json!({"status": {}})).unwrap();
        let references = [reference.to_owned()];
        assert_eq!(missing(std::slice::from_ref(&node), &references).is_empty(), there);
        assert_eq!(missing(&[node, empty], &references), references, "another node lacks it");
    }
}
