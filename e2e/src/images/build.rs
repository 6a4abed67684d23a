//! Builds of recipes.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::catalogue::{Builder, Image};
use crate::command::{self, CommandError};

/// The label by which an image that was built says from what.
pub(super) const LABEL: &str = "io.gitlab-ci-k8s-demo.recipe";

/// The longest build, on a slow machine: Kubernetes from its source.
const PATIENCE: Duration = Duration::from_mins(40);

/// Why an image was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The folder for logs cannot be made.
    #[error("cannot make {}", .0.display())]
    Folder(PathBuf, #[source] io::Error),
    /// The recipe failed.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// Builds `image` as `reference`. `bases` are the arguments of its Dockerfile with the references that they stand for. The
/// log goes to a file below `logs`.
pub(super) async fn build(
    image: &Image,
    reference: &str,
    hash: &str,
    recipes: &Path,
    bases: &[(&str, String)],
    logs: &Path,
) -> Result<(), BuildError> {
    std::fs::create_dir_all(logs).map_err(|source| BuildError::Folder(logs.to_owned(), source))?;
    let folder = recipes.join(image.recipe.folder);
    let label = format!("{LABEL}={hash}");
    let log = logs.join(format!("{}.log", image.name));
    let command = match image.recipe.builder {
        Builder::Suite(suite) => {
            let mut command = Command::new(folder.join("build"));
            command.args([suite, reference]).env("LABELS", label);
            command
        }
        Builder::Dockerfile(_) => {
            let mut command = Command::new("docker");
            // BuildKit, also with an engine whose default is the builder that it replaced.
            command.env("DOCKER_BUILDKIT", "1").args(["build", "--progress", "plain", "--label", &label]);
            for (argument, base) in bases {
                command.arg("--build-arg").arg(format!("{argument}={base}"));
            }
            command.args(["--tag", reference]).arg(&folder);
            command
        }
    };
    command::run_logged(command, &log, PATIENCE).await?;
    Ok(())
}
