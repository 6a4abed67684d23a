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

/// Time that the compiler has to tell its version: rustup may be fetching it.
const COMPILER_PATIENCE: Duration = Duration::from_mins(2);

/// Cargo's profile for programs in images.
const PROFILE: &str = "recipe";

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
    let dockerfile = || {
        let mut command = Command::new("docker");
        // BuildKit, also with an engine whose default is the builder that it replaced.
        command.env("DOCKER_BUILDKIT", "1").args(["build", "--progress", "plain", "--label", &label]);
        for (argument, base) in bases {
            command.arg("--build-arg").arg(format!("{argument}={base}"));
        }
        command.args(["--tag", reference]);
        command
    };
    let command = match image.recipe.builder {
        Builder::Suite(suite) => {
            let mut command = Command::new(folder.join("build"));
            command.args([suite, reference]).env("LABELS", label);
            command
        }
        Builder::Dockerfile(_) => {
            let mut command = dockerfile();
            command.arg(&folder);
            command
        }
        Builder::Program(_) => {
            let programs = compile(image.recipe.folder, &folder, &log).await?;
            let mut command = dockerfile();
            command.arg("--build-context").arg(format!("program={}", programs.display())).arg(&folder);
            command
        }
    };
    command::run_logged(command, &log, PATIENCE).await?;
    Ok(())
}

/// Compiles this workspace's package of that name, and returns the folder that the program is in. It is linked statically, so
/// that it runs on whatever the image is built on.
async fn compile(package: &str, folder: &Path, log: &Path) -> Result<PathBuf, BuildError> {
    let versions = command::run("rustc", &["--version", "--verbose"], COMPILER_PATIENCE).await?;
    let target = versions.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
    let output = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| folder.join("../../target"), PathBuf::from);
    let mut command = Command::new("cargo");
    command
        .args(["build", "--locked", "--profile", PROFILE, "--package", package, "--target", &target, "--target-dir"])
        .arg(&output)
        .arg("--manifest-path")
        .arg(folder.join("Cargo.toml"))
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    command::run_logged(command, &log.with_extension("cargo.log"), PATIENCE).await?;
    Ok(output.join(target).join(PROFILE))
}
