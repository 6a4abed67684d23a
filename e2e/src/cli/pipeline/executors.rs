//! Selects where the jobs of a pipeline run.

use std::path::Path;

use clap::ValueEnum;
use e2e::checks::connection::{Connection, is_in_pod};
use e2e::environment::orphans;
use gitlab_runner::config::{ExecutorName, RunnerConfig};
use gitlab_runner::executor::Executor;
use gitlab_runner::executor::supervisor::Supervisor;
use gitlab_runner::pipeline::assemble::PipelineDirs;

use crate::cli::cluster::cluster_dir;
use crate::cli::{CHECK_ACCESS, CHECK_STATUS, CliError, DEFAULT_CLUSTER, DEFAULT_STATE_DIR, SUPERVISE, require_answer};

/// Where jobs run.
#[derive(Debug, clap::Args)]
pub(super) struct ExecutorArgs {
    /// Where jobs run [default: the executor of --config, else docker]
    #[arg(long, value_name = "EXECUTOR")]
    executor: Option<ExecutorChoice>,

    /// The cluster of the kubernetes executor: a context of the kubeconfig [default: `context` of --config, else the cluster of `e2e up`,
    /// else the current context]
    #[arg(long, value_name = "CONTEXT")]
    context: Option<String>,

    /// The namespace of the kubernetes executor's pods [default: `namespace` of --config, else that of the context]
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
}

/// The executors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExecutorChoice {
    /// In containers
    Docker,
    /// In a cluster, in a pod for each job
    Kubernetes,
    /// On this machine
    Shell,
}

/// A cluster that jobs run in.
pub(super) struct Cluster {
    pub(super) client: kube::Client,
    /// The name of a cluster of `e2e up`, on whose nodes images can be loaded.
    pub(super) managed: Option<String>,
    pub(super) namespace: String,
}

impl ExecutorArgs {
    /// The executor of the command line, or else that of the settings, or else docker.
    pub(super) fn choice(&self, config: &RunnerConfig) -> Result<ExecutorName, CliError> {
        let name = match self.executor {
            Some(ExecutorChoice::Docker) => ExecutorName::Docker,
            Some(ExecutorChoice::Kubernetes) => ExecutorName::Kubernetes,
            Some(ExecutorChoice::Shell) => ExecutorName::Shell,
            None => config.executor.unwrap_or(ExecutorName::Docker),
        };
        let selects_cluster = self.context.is_some() || self.namespace.is_some();
        if selects_cluster && name != ExecutorName::Kubernetes {
            let message =
                "--context and --namespace select the cluster of --executor kubernetes; no other executor uses one";
            return Err(CliError::Usage(message.to_owned()));
        }
        Ok(name)
    }

    /// The cluster, from the first source that has one: the command line, the settings, `e2e up`, the kubeconfig, or the pod that this
    /// program runs in. `context` and `namespace` are those of the settings.
    pub(super) async fn cluster(&self, context: Option<&str>, namespace: Option<&str>) -> Result<Cluster, CliError> {
        let context = self.context.as_deref().or(context);
        let state = cluster_dir(Path::new(DEFAULT_STATE_DIR), DEFAULT_CLUSTER)?;
        let is_managed = context.is_none() && state.noted_run().is_some() && state.kubeconfig().is_file();
        let connection = if is_managed {
            Connection::from_file(&state.kubeconfig(), None).await?
        } else {
            match Connection::from_default_kubeconfig(context).await {
                Err(_) if context.is_none() && is_in_pod() => Connection::from_pod()?,
                connection => connection?,
            }
        };
        let client = connection.client()?;
        let namespace =
            self.namespace.as_deref().or(namespace).unwrap_or_else(|| client.default_namespace()).to_owned();
        require_answer(&connection, &client, if is_managed { CHECK_STATUS } else { CHECK_ACCESS }).await?;
        Ok(Cluster { client, managed: is_managed.then(|| DEFAULT_CLUSTER.to_owned()), namespace })
    }
}

/// Jobs run on this machine.
pub(super) fn shell(dirs: &PipelineDirs) -> Executor {
    // A killed pipeline may have left its jobs running. This one does not wait for their end.
    tokio::spawn(orphans::end_of_gone_pipelines());
    dirs.shell(Supervisor::this_program(SUPERVISE))
}
