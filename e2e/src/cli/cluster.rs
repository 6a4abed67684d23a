//! `e2e up`, `e2e down`, `e2e status`

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::ValueEnum;
use e2e::checks::connection::Connection;
use e2e::environment::cluster_dir::ClusterDir;
use e2e::environment::doctor::Platform;
use e2e::environment::up::{Plan, UpError};
use e2e::environment::{command, down, orphans, status, up};
use e2e::record::event::Event;
use e2e::report::live::{Live, Mode};
use e2e::report::{self, findings};
use e2e::scenario::temporary::namespace::sweep;
use gitlab_runner::executor::docker::sweep_gone;
use gitlab_runner::workspace::store::refuse_tracked_in;
use gitlab_runner::workspace::sweep_left;

use super::check_deploy;
use super::images::ImageSource;
use super::{
    CHECK_ACCESS, CliError, DEFAULT_CLUSTER, DEFAULT_STATE_DIR, EXIT_FAILED, Format, Outcome, cluster_name, connect,
    require_answer, width, write,
};

/// Creates a cluster with a private registry, an Ingress controller and Prometheus, or repairs an incomplete one
#[derive(Debug, clap::Args)]
pub(crate) struct Up {
    /// The program that creates the cluster
    #[arg(long, default_value = "kind", value_name = "PROVIDER")]
    cluster: Provider,

    #[command(flatten)]
    cluster_args: ClusterArgs,

    /// The kind configuration of the cluster
    #[arg(long, default_value = "kind-config.yaml", value_name = "FILE")]
    kind_config: PathBuf,

    /// The directory of manifests that the cluster owner applies
    #[arg(long, default_value = "manifests/cluster", value_name = "DIR")]
    manifests: PathBuf,

    /// The format of the result
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,

    /// Print no progress
    #[arg(long, short)]
    quiet: bool,

    #[command(flatten)]
    source: ImageSource,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Provider {
    /// A cluster of containers on this machine
    Kind,
}

/// A cluster of this machine.
#[derive(Debug, clap::Args)]
pub(crate) struct ClusterArgs {
    /// The name of the cluster, of its containers and of its network
    #[arg(long, default_value = DEFAULT_CLUSTER, value_parser = cluster_name)]
    pub(crate) name: String,

    /// The directory for the files of clusters
    #[arg(long, default_value = DEFAULT_STATE_DIR, value_name = "DIR")]
    state_dir: PathBuf,
}

/// Removes a cluster and everything that belongs to it; images are kept
///
/// With --context or --kubeconfig, the cluster remains: removes the namespaces that `e2e check --deploy` has left in it because it was
/// killed. Those of checks that may still run remain, too.
#[derive(Debug, clap::Args)]
pub(crate) struct Down {
    #[command(flatten)]
    cluster_args: ClusterArgs,

    /// Remove every cluster that `e2e` has created
    #[arg(long, conflicts_with = "name")]
    all: bool,

    /// An existing cluster: a context of the kubeconfig
    #[arg(long, value_name = "CONTEXT", conflicts_with_all = ["name", "all"])]
    context: Option<String>,

    /// The kubeconfig of the existing cluster's owner [default: KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "all"])]
    kubeconfig: Option<PathBuf>,

    /// The format of the result
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,
}

/// Shows the running components of a cluster, and the commands to reach them
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    cluster_args: ClusterArgs,

    /// The kind configuration of the cluster
    #[arg(long, default_value = "kind-config.yaml", value_name = "FILE")]
    kind_config: PathBuf,

    /// The format of the result
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,
}

/// Creates or repairs the cluster, and prints its status.
pub(crate) async fn run_up(arguments: Up) -> Outcome {
    let Up { cluster: Provider::Kind, cluster_args, kind_config, manifests, format, quiet, source } = arguments;
    let state = cluster_args.state()?;
    let docker = connect().await?;
    command::set_cluster(&cluster_args.name);
    let display = Arc::new(Live::new(if quiet { Mode::Quiet } else { Mode::People }));
    let images = source.images(&docker, {
        let display = Arc::clone(&display);
        move |event: &Event<'_>| display.show(event)
    });
    let plan = Plan { cluster: cluster_args.name.clone(), kind_config, manifests, state: state.clone() };
    let shown = Arc::clone(&display);
    let show = move |event: &Event<'_>| shown.show(event);
    let up = display.watch(up::up(&docker, &images, &plan, &show)).await;
    display.finish().await?;
    match up {
        Ok(()) => {}
        Err(UpError::Lacking(findings)) => {
            let table = findings::table(&findings, &Platform::this(), width(io::stderr()));
            return Err(CliError::Prerequisites(table));
        }
        Err(error) => return Err(error.into()),
    }
    write_status(&docker, &cluster_args.name, &plan.kind_config, &state, format).await
}

/// Removes clusters, and prints what was removed.
pub(crate) async fn run_down(arguments: Down) -> Outcome {
    let Down { cluster_args, all, context, kubeconfig, format } = arguments;
    if context.is_some() || kubeconfig.is_some() {
        let connection = Connection::existing(kubeconfig.as_deref(), context.as_deref()).await?;
        let client = connection.client()?;
        require_answer(&connection, &client, CHECK_ACCESS).await?;
        let swept = sweep(&client).await?;
        write(&match format {
            Format::Table => check_deploy::swept(&swept),
            Format::Json => serde_json::to_string_pretty(&swept)? + "\n",
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    // Before anything is removed.
    cluster_args.state()?;
    let docker = connect().await?;
    // End the jobs of pipelines whose process was killed.
    orphans::end_of_gone_pipelines().await;
    sweep_gone(&docker).await?;
    sweep_left(&std::env::temp_dir());
    let names = if all {
        down::clusters(&docker, &cluster_args.state_dir).await?.into_iter().collect()
    } else {
        vec![cluster_args.name.clone()]
    };
    let mut removed = Vec::new();
    for name in names {
        removed.push(down::down(&docker, &name, &cluster_dir(&cluster_args.state_dir, &name)?).await?);
    }
    // Remove resources that the engine has meanwhile completed for a pipeline that was just killed.
    sweep_gone(&docker).await?;
    write(&match format {
        Format::Table if removed.is_empty() => "There is nothing to remove.\n".to_owned(),
        Format::Table => removed.iter().map(report::status::removed).collect(),
        Format::Json => serde_json::to_string_pretty(&removed)? + "\n",
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the status.
pub(crate) async fn run_status(arguments: StatusArguments) -> Outcome {
    let StatusArguments { cluster_args, kind_config, format } = arguments;
    let state = cluster_args.state()?;
    write_status(&connect().await?, &cluster_args.name, &kind_config, &state, format).await
}

async fn write_status(
    docker: &bollard::Docker,
    name: &str,
    kind_config: &std::path::Path,
    state: &ClusterDir,
    format: Format,
) -> Outcome {
    let status = status::status(docker, name, kind_config, state).await?;
    write(&match format {
        Format::Table => report::status::text(&status),
        Format::Json => serde_json::to_string_pretty(&status)? + "\n",
    })?;
    Ok(if status.is_complete() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}

impl ClusterArgs {
    /// The directory of the cluster's files.
    pub(crate) fn state(&self) -> Result<ClusterDir, CliError> {
        cluster_dir(&self.state_dir, &self.name)
    }
}

/// The directory of a cluster's files in `root`, in which no repository may track files.
pub(crate) fn cluster_dir(root: &Path, name: &str) -> Result<ClusterDir, CliError> {
    refuse_tracked_in(root).map_err(|error| CliError::Usage(error.to_string()))?;
    Ok(ClusterDir::new(root, name)?)
}
