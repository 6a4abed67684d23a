//! Where the jobs of a run's pipelines run: in containers of the engine, or in pods of the cluster.

use std::sync::Arc;

use bollard::Docker;
use gitlab_runner::config::{ExecutorName, Mount, RunnerConfig};
use gitlab_runner::executor::{Executor, ImageSource};
use gitlab_runner::pipeline::assemble::PipelineDirs;
use kube::Client;
use tokio::sync::watch;

use super::definition::Ref;
use crate::environment::cluster::job_images::JobImages;
use crate::environment::images::Images;

/// The CPU shares of the branch's jobs. Image builds and the cluster have the engine's default, 1024, because everything else waits for
/// them: they take precedence over jobs that compile at the same time.
const BRANCH_SHARES: i64 = 512;

/// The CPU shares of the tag's jobs: so few that the branch's jobs end early. The deployment of the branch and its checks follow, which
/// mostly wait, so that the tag's jobs then get the processors.
const TAG_SHARES: i64 = 32;

/// Where jobs run.
#[derive(Clone)]
pub enum JobLocation {
    /// In containers that join these networks.
    Engine(Vec<String>),
    /// In pods.
    Cluster(Box<JobCluster>),
}

/// The cluster that jobs run in.
#[derive(Clone)]
pub struct JobCluster {
    /// The settings of the runner.
    pub config: RunnerConfig,
    /// The name of a cluster of kind, on whose nodes the catalog's images are loaded. The nodes of other clusters pull images.
    pub kind: Option<String>,
    /// Receives whether it is up.
    pub state: watch::Receiver<ClusterState>,
}

/// Whether the cluster that jobs run in is up.
#[derive(Clone)]
pub enum ClusterState {
    Starting,
    Up(Client),
    Failed,
}

impl JobLocation {
    /// The settings of the runner for the pipeline of a ref.
    pub(super) fn config(&self, wanted: Ref) -> RunnerConfig {
        match self {
            Self::Engine(networks) => {
                let mut config = RunnerConfig { executor: Some(ExecutorName::Docker), ..RunnerConfig::default() };
                config.docker.privileged = true;
                // The job reads the certificates there with which the engine in its service accepts it.
                config.docker.volumes = vec![Mount::Shared("/certs/client".to_owned())];
                config.docker.networks.clone_from(networks);
                config.docker.cpu_shares = Some(match wanted {
                    Ref::Branch => BRANCH_SHARES,
                    Ref::Tag => TAG_SHARES,
                });
                config
            }
            Self::Cluster(cluster) => cluster.config.clone(),
        }
    }

    /// The executor of a pipeline. Jobs in a cluster wait until it is up. `None` if it will never be.
    pub(super) async fn executor(
        &self,
        dirs: &PipelineDirs,
        docker: &Docker,
        images: &Arc<Images>,
    ) -> Option<Executor> {
        match self {
            Self::Engine(_) => Some(dirs.docker(docker.clone(), Some(Arc::clone(images) as Arc<dyn ImageSource>))),
            Self::Cluster(cluster) => {
                let mut state = cluster.state.clone();
                let known = state.wait_for(|state| !matches!(state, ClusterState::Starting)).await.ok()?.clone();
                let ClusterState::Up(client) = known else { return None };
                let source = cluster.kind.as_deref().map(|kind| {
                    let images = JobImages::new(Arc::clone(images), docker.clone(), client.clone(), kind);
                    Arc::new(images) as Arc<dyn ImageSource>
                });
                let namespace = cluster.config.kubernetes.namespace.as_deref();
                let namespace = namespace.unwrap_or_else(|| client.default_namespace()).to_owned();
                Some(dirs.kubernetes(client, &namespace, source))
            }
        }
    }
}
