//! Builds the node image that contains the add-ons' images and the kubeadm patches that shorten the node's start.
//!
//! A node image contains the control plane's images, but not those of the add-ons. Loading the add-ons' images while the node starts
//! would take as long as all other steps together. So an image is built once for each node image and set of add-on images, and is kept
//! for later clusters.

use std::io;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptions};
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::environment::command::CommandError;
use crate::environment::images::{RecipeError, digits};
use crate::environment::{command, images};
use container_engine::labels;

/// The repository of these images for clusters of one node, or with the node image's own pod network.
const REPOSITORY: &str = "gitlab-ci-k8s-demo/node-with-images";

/// The repository of these images with another pod network.
const SEVERAL_NODES: &str = "gitlab-ci-k8s-demo/several-nodes-with-images";

/// The label of a node image with the clusters that its pod network is for.
const POD_NETWORK: &str = "io.gitlab-ci-k8s-demo.pod-network";

/// The label that identifies images of this kind.
const LABEL: &str = "io.gitlab-ci-k8s-demo.node-with-images";

/// The directory on the node with patches of kubeadm's manifests.
/// <https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/control-plane-flags/#patches>
pub const KUBEADM_PATCHES: &str = "/kind/kubeadm-patches";

/// Time limit for the build.
const TIMEOUT: Duration = Duration::from_mins(5);

/// The image could not be built.
#[derive(Debug, thiserror::Error)]
pub enum NodeImageError {
    /// The engine cannot inspect or export the images.
    #[error("container engine error")]
    Engine(#[from] bollard::errors::Error),
    /// The recipe cannot be read.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The archive cannot be written.
    #[error("cannot write the archive of the add-ons' images")]
    Archive(#[from] io::Error),
    /// The build failed.
    #[error(transparent)]
    Build(#[from] CommandError),
}

/// The directories and files of a build.
#[derive(Clone, Copy, Debug)]
pub struct BuildPaths<'path> {
    /// The directory of all recipes.
    pub recipes: &'path Path,
    /// An existing directory for the archive of the images. If this program is killed before it removes the archive, the archive is
    /// removed with the cluster.
    pub scratch: &'path Path,
    /// The file for the build's log.
    pub log: &'path Path,
}

/// The images that the new one consists of, by their references.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The node.
    pub node: String,
    /// The add-ons.
    pub addons: Vec<String>,
    /// kube-router, if it replaces the node's pod network.
    pub pod_network: Option<String>,
}

/// Whether the pod network of the node image `node` connects only the pods of one node.
///
/// # Errors
/// If the engine cannot inspect the image.
pub async fn connects_one_node(docker: &Docker, node: &str) -> Result<bool, NodeImageError> {
    let labels = docker.inspect_image(node).await?.config.and_then(|config| config.labels).unwrap_or_default();
    Ok(labels.get(POD_NETWORK).is_some_and(|network| network == "one-node"))
}

/// Returns the reference of a node image that contains the images of `parts`, and builds it if it does not exist.
///
/// # Errors
/// If the engine cannot export an image, or the build fails.
pub async fn ensure(docker: &Docker, parts: &Parts, paths: BuildPaths<'_>) -> Result<String, NodeImageError> {
    let BuildPaths { recipes, scratch, log } = paths;
    let Parts { node, addons, pod_network } = parts;
    let stored: Vec<&str> = addons.iter().chain(pod_network).map(String::as_str).collect();
    let repository = if pod_network.is_some() { SEVERAL_NODES } else { REPOSITORY };
    let recipe = recipes.join("node-with-images");
    let tools = recipes.join("kind-node");
    let mut hasher = Sha256::new();
    for directory in [&recipe, &tools] {
        images::add_directory(&mut hasher, directory)?;
    }
    for reference in [node.as_str()].iter().chain(&stored) {
        // The ID, because a tag may have moved; the reference, because containerd's store finds an image by its reference.
        let id = docker.inspect_image(reference).await?.id.unwrap_or_default();
        hasher.update(format!("{reference}\0{id}\0"));
    }
    let hash = digits(hasher);
    let reference = format!("{repository}:{hash}");
    if docker.inspect_image(&reference).await.is_ok() {
        return Ok(reference);
    }
    let archive = tempfile::Builder::new().prefix("node-images-").tempdir_in(scratch)?;
    write_archive(docker, &stored, &archive.path().join("images.tar")).await?;
    let mut command = Command::new("docker");
    command
        .env("DOCKER_BUILDKIT", "1")
        .args(["build", "--progress", "plain", "--tag", &reference])
        .args(["--label", &format!("{LABEL}={hash}"), "--build-arg", &format!("NODE={node}")])
        .arg(format!("--build-context=kind-node={}", tools.display()))
        .arg(format!("--build-context=archive={}", archive.path().display()));
    if let Some(image) = pod_network {
        command.args(["--target", "several-nodes", "--build-arg", &format!("KUBE_ROUTER={image}")]);
    }
    command.arg(recipe);
    command::run_logged(command, log, TIMEOUT).await?;
    remove_others(docker, repository, &reference).await;
    Ok(reference)
}

async fn write_archive(docker: &Docker, references: &[&str], path: &Path) -> Result<(), NodeImageError> {
    let mut file = File::create(path).await?;
    let mut archive = std::pin::pin!(docker.export_images(references));
    while let Some(chunk) = archive.try_next().await? {
        file.write_all(&chunk).await?;
    }
    Ok(file.flush().await?)
}

/// Removes the other images of the repository. The engine keeps the layers that a cluster still uses.
async fn remove_others(docker: &Docker, repository: &str, reference: &str) {
    let filters = labels::filter(LABEL, None);
    let list = ListImagesOptionsBuilder::new().filters(&filters).build();
    let Ok(images) = docker.list_images(Some(list)).await else { return };
    for tag in images
        .into_iter()
        .flat_map(|image| image.repo_tags)
        .filter(|tag| tag.rsplit_once(':').is_some_and(|(name, _)| name == repository))
    {
        if tag != reference {
            // An image that cannot be removed only takes disk space.
            let _ = docker.remove_image(&tag, None::<RemoveImageOptions>, None).await;
        }
    }
}
