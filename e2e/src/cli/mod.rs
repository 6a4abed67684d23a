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
use e2e::checks::connection::{Connection, answers};
use kube::Client;

pub(crate) use self::error::{CliError, EXIT_ENVIRONMENT, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_TERMINATED, EXIT_USAGE};
pub(crate) use self::output::{print, width, write};

/// The exit code or the error of a command.
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

pub(crate) const DEFAULT_CLUSTER: &str = "gitlab-ci-k8s-demo";

/// A directory for the files of all clusters.
pub(crate) const DEFAULT_STATE_DIR: &str = "target/e2e/clusters";

/// Maximum length of a cluster's name. kind adds `-control-plane` to name a node, and a digit from the second one on. A node's name is a
/// host name of at most 63 characters.
const MAX_NAME: usize = 63 - "-control-plane2".len();

/// A name that kind, the engine and Kubernetes accept. kind allows `^[a-z0-9.-]+$`; a host name of a node must not contain a dot.
pub(crate) fn cluster_name(name: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let has_outer_hyphen = name.starts_with('-') || name.ends_with('-');
    if name.is_empty() || name.len() > MAX_NAME || has_outer_hyphen || !name.bytes().all(is_allowed) {
        return Err(format!(
            "expected 1 to {MAX_NAME} lowercase letters, digits or hyphens, without a hyphen at the start or end"
        ));
    }
    Ok(name.to_owned())
}

/// Connects to the container engine.
pub(crate) async fn connect() -> Result<bollard::Docker, CliError> {
    let connected = container_engine::connect().await;
    connected.map_err(|error| CliError::environment(format!("{} (`e2e doctor` shows what to do)", error_chain(&error))))
}

/// Makes sure that the API server of a cluster answers.
///
/// # Errors
/// It does not, which `help` explains.
pub(crate) async fn require_answer(connection: &Connection, client: &Client, help: &str) -> Result<(), CliError> {
    if answers(client).await {
        return Ok(());
    }
    Err(CliError::environment(format!("the API server {} does not answer; {help}", connection.server())))
}

/// The help if the API server of an existing cluster does not answer.
pub(crate) const CHECK_ACCESS: &str = "check the kubeconfig, its context, and the network to the cluster";

/// The help if the API server of a cluster of `e2e up` does not answer.
pub(crate) const CHECK_STATUS: &str = "`e2e status` shows the running components, and `make up` starts them";
