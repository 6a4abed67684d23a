//! The node with the add-ons' images in its store, and with kubeadm patches that shorten its start.
//!
//! A node has the control plane's images before it starts, and the add-ons' would have to be loaded while it does, which takes as
//! long as all the rest. So they are put into an image of the node, once for each node and set of images, wherever these come
//! from. The image stays for the next cluster, like every other one.

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

use crate::environment::command;
use crate::environment::command::CommandError;
use crate::environment::images;
use crate::environment::images::RecipeError;
use crate::environment::images::digits;
use container_engine::labels;

/// The repository of these images.
const REPOSITORY: &str = "gitlab-ci-k8s-demo/node-with-images";

/// The label by which an earlier image of the same kind is found.
const LABEL: &str = "io.gitlab-ci-k8s-demo.node-with-images";

/// The directory on the node with patches of kubeadm's manifests.
/// <https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/control-plane-flags/#patches>
pub const KUBEADM_PATCHES: &str = "/kind/kubeadm-patches";

/// The longest time in which the image is made.
const TIMEOUT: Duration = Duration::from_mins(5);

/// Why there is no such image.
#[derive(Debug, thiserror::Error)]
pub enum NodeImageError {
    /// The engine does not give the images.
    #[error("the container engine")]
    Engine(#[from] bollard::errors::Error),
    /// The recipe cannot be read.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The archive, or the directory of the log, cannot be written.
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
    /// An existing directory for the archive of the images, which is removed with the cluster if this program cannot.
    pub scratch: &'path Path,
    /// The file for the build's log.
    pub log: &'path Path,
}

/// The reference of an image of `node` with the images `addons` in its store, which is made if it is not here.
///
/// # Errors
/// When the engine does not give an image, or the build fails.
pub async fn ensure(
    docker: &Docker,
    node: &str,
    addons: &[String],
    paths: BuildPaths<'_>,
) -> Result<String, NodeImageError> {
    let BuildPaths { recipes, scratch, log } = paths;
    let recipe = recipes.join("node-with-images");
    let tools = recipes.join("kind-node");
    let mut hasher = Sha256::new();
    for directory in [&recipe, &tools] {
        images::add_directory(&mut hasher, directory)?;
    }
    for reference in [node].into_iter().chain(addons.iter().map(String::as_str)) {
        // By what it is, and by its name: a tag may have moved, and the store knows an image by its name.
        let id = docker.inspect_image(reference).await?.id.unwrap_or_default();
        hasher.update(format!("{reference}\0{id}\0"));
    }
    let hash = digits(hasher);
    let reference = format!("{REPOSITORY}:{hash}");
    if docker.inspect_image(&reference).await.is_ok() {
        return Ok(reference);
    }
    if let Some(folder) = log.parent() {
        // Where every other image was pulled, nothing has been built yet.
        std::fs::create_dir_all(folder)?;
    }
    let archive = tempfile::Builder::new().prefix("node-images-").tempdir_in(scratch)?;
    write_archive(docker, addons, &archive.path().join("images.tar")).await?;
    let mut command = Command::new("docker");
    command
        .env("DOCKER_BUILDKIT", "1")
        .args(["build", "--progress", "plain", "--tag", &reference])
        .args(["--label", &format!("{LABEL}={hash}"), "--build-arg", &format!("NODE={node}")])
        .arg(format!("--build-context=kind-node={}", tools.display()))
        .arg(format!("--build-context=archive={}", archive.path().display()))
        .arg(recipe);
    command::run_logged(command, log, TIMEOUT).await?;
    remove_others(docker, &reference).await;
    Ok(reference)
}

async fn write_archive(docker: &Docker, images: &[String], path: &Path) -> Result<(), NodeImageError> {
    let references: Vec<&str> = images.iter().map(String::as_str).collect();
    let mut file = File::create(path).await?;
    let mut archive = std::pin::pin!(docker.export_images(&references));
    while let Some(chunk) = archive.try_next().await? {
        file.write_all(&chunk).await?;
    }
    Ok(file.flush().await?)
}

/// Removes the images of this kind that came before. One that a cluster still uses stays: the engine refuses.
async fn remove_others(docker: &Docker, reference: &str) {
    let filters = labels::filter(LABEL, None);
    let list = ListImagesOptionsBuilder::new().filters(&filters).build();
    let Ok(images) = docker.list_images(Some(list)).await else { return };
    for tag in images.into_iter().flat_map(|image| image.repo_tags).filter(|tag| tag.starts_with(REPOSITORY)) {
        if tag != reference {
            // What stays takes room, and nothing else.
            let _ = docker.remove_image(&tag, None::<RemoveImageOptions>, None).await;
        }
    }
}
