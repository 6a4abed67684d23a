//! The commands, and their common parts: exit codes and output.

pub(crate) mod check;
mod check_deploy;
mod check_output;
pub(crate) mod cluster;
pub(crate) mod course;
pub(crate) mod doctor;
mod error;
pub(crate) mod images;
pub(crate) mod lesson;
mod output;
pub(crate) mod pipeline;
pub(crate) mod report;
mod report_config_map;
pub(crate) mod run;
pub(crate) mod setup;
pub(crate) mod signals;
pub(crate) mod target_args;

use std::process::ExitCode;

use clap::ValueEnum;
use container_engine::error_chain::error_chain;

pub(crate) use self::error::{CliError, EXIT_ENVIRONMENT, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_TERMINATED, EXIT_USAGE};
pub(crate) use self::output::{print, width, write};

/// How a command ends.
pub(crate) type Outcome = Result<ExitCode, CliError>;

/// The format of a result.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// The first argument of this program when it supervises a job.
pub(crate) const SUPERVISE: &str = "__supervise";

/// The default name of a cluster.
pub(crate) const CLUSTER: &str = "gitlab-ci-k8s-demo";

/// The default directory for the files of clusters.
pub(crate) const STATE_DIR: &str = "target/e2e/clusters";

/// A name that kind, the engine and Kubernetes all accept. kind: `^[a-z0-9.-]+$`. kind adds 14 characters for the name of a node, which is
/// a host name of at most 63 characters.
pub(crate) fn cluster_name(name: &str) -> Result<String, String> {
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let ends = name.starts_with('-') || name.ends_with('-');
    if name.is_empty() || name.len() > 48 || ends || !name.bytes().all(is_good) {
        return Err("expected 1 to 48 characters of a-z, 0-9 and -, without - at the start or the end".to_owned());
    }
    Ok(name.to_owned())
}

/// Connects to the container engine.
pub(crate) async fn connect() -> Result<bollard::Docker, CliError> {
    let connected = container_engine::connect().await;
    connected.map_err(|error| CliError::environment(format!("{} (`e2e doctor` shows what to do)", error_chain(&error))))
}
