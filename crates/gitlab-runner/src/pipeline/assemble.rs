//! Assembles a [`Pipeline`] from a plan, an executor, directories and the runner configuration.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use bollard::Docker as Engine;
use tokio_util::sync::CancellationToken;

use crate::artifacts::Store;
use crate::config::{ExecutorName, RunnerConfig};
use crate::context::{ARTIFACTS_LIMIT, Pipeline, Settings};
use crate::deferred::DeferredVariables;
use crate::event::EventSink;
use crate::executor::docker::Docker;
use crate::executor::kubernetes::Kubernetes;
use crate::executor::shell::Shell;
use crate::executor::supervisor::Supervisor;
use crate::executor::{Executor, ImageSource};
use crate::pipeline::concurrent::ConcurrentIds;
use crate::project::prepare::Prepared;
use crate::workspace::Workspace;
use crate::workspace::checkout::{Origin, Sources};
use crate::workspace::store::{NewPipeline, ProjectStore};
use container_engine::ownership;
use private_dir::PrivateDir;

/// The directories of a new pipeline, and the runner configuration.
#[derive(Debug)]
pub struct PipelineDirs {
    config: RunnerConfig,
    workspace: Workspace,
    kept: ProjectStore,
    own: NewPipeline,
    label: String,
}

/// Options of a pipeline.
pub struct Options {
    /// Maximum number of jobs that run at the same time. The default is `concurrent` of the runner configuration, or else the number
    /// of CPUs, but at least 4.
    pub concurrency: Option<usize>,
    /// The directory of the job logs. The default is `logs` in the pipeline's directory.
    pub logs: Option<PathBuf>,
    /// Maximum size of a job's artifacts in bytes, compressed. The default is GitLab's.
    pub artifacts_limit: Option<u64>,
    /// Whether the checkout includes uncommitted changes.
    pub has_worktree: bool,
    /// Project variables whose values are not known yet.
    pub deferred: Option<DeferredVariables>,
    /// Receives the events of the pipeline.
    pub notify: Arc<EventSink>,
    /// Cancels the pipeline.
    pub cancel: CancellationToken,
}

impl PipelineDirs {
    /// Creates the directories of a new pipeline. Logs, artifacts and caches are kept below `project`; checkouts are removed when this
    /// is dropped.
    ///
    /// # Errors
    /// A directory cannot be created, for lack of permission or disk space.
    pub fn new(project: &Path, config: RunnerConfig) -> io::Result<Self> {
        // `builds_dir` is a directory of this machine only for the shell executor.
        let parent = match (&config.builds_dir, config.executor) {
            (Some(dir), Some(ExecutorName::Shell)) => PathBuf::from(dir),
            _ => std::env::temp_dir(),
        };
        let workspace = Workspace::new(&parent)?;
        let kept = ProjectStore::open(project)?;
        let own = kept.new_pipeline()?;
        Ok(Self { config, workspace, kept, own, label: ownership::unique_owner_id() })
    }

    /// The pipeline's directory, which is kept, with its logs and artifacts.
    pub fn dir(&self) -> &Path {
        self.own.dir.path()
    }

    /// An executor that runs the pipeline's jobs on this machine. With a supervisor, everything that a job starts ends with the job.
    pub fn shell(&self, supervisor: Option<Supervisor>) -> Executor {
        let (builds, config) = (self.workspace.dir().join("builds"), &self.config);
        Executor::Shell(Shell::new(&builds, config.shell.as_deref(), supervisor, config.graceful_kill_timeout))
    }

    /// An executor that runs the pipeline's jobs in containers of `engine`. `images` provides images that do not come from a registry.
    pub fn docker(&self, engine: Engine, images: Option<Arc<dyn ImageSource>>) -> Executor {
        Executor::Docker(Docker::new(engine, &self.config, images, self.label.clone()))
    }

    /// An executor that runs the pipeline's jobs in pods of the cluster of `client`, in `namespace` unless the runner configuration allows
    /// a job to choose another one. `images` provides images that do not come from a registry.
    pub fn kubernetes(&self, client: kube::Client, namespace: &str, images: Option<Arc<dyn ImageSource>>) -> Executor {
        let kubernetes = Kubernetes::new(client, namespace, &self.config, images, self.label.clone());
        Executor::Kubernetes(Box::new(kubernetes))
    }

    /// Assembles the pipeline.
    ///
    /// # Errors
    /// A directory cannot be created, for lack of permission or disk space.
    pub fn pipeline(&self, prepared: Prepared, executor: Executor, options: Options) -> io::Result<Pipeline> {
        let Prepared { repository, lint, plan, .. } = prepared;
        let Self { config, workspace, kept, own, .. } = self;
        let NewPipeline { id, dir, .. } = own;
        let logs = match options.logs {
            Some(dir) => PrivateDir::open_chosen(&dir)?,
            None => dir.subdir("logs")?,
        };
        let Some(logs_lock) = logs.try_lock_self()? else {
            let message = format!("another pipeline is writing its logs to {}", logs.path().display());
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
        };
        let sources = workspace.dir().join("sources");
        std::fs::create_dir_all(&sources)?;
        let context = &plan.context;
        let (sha, name) = (&context.commit.sha, &context.ref_name);
        let origin = Origin::new(repository.dir(), sha, context.kind, name, *id, options.has_worktree);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let configured = config.concurrent.map(std::num::NonZeroUsize::get);
        Ok(Pipeline {
            id: *id,
            created: SystemTime::now(),
            token: std::iter::repeat_with(fastrand::alphanumeric).take(20).collect(),
            executor,
            settings: Settings {
                concurrency: options.concurrency.or(configured).unwrap_or_else(|| cores.max(4)),
                variables: config.variables(),
                artifacts_limit: options.artifacts_limit.unwrap_or(ARTIFACTS_LIMIT),
                output_limit: config.output_limit.saturating_mul(1024),
                pre_build_script: config.pre_build_script.clone(),
                post_build_script: config.post_build_script.clone(),
                feature_flags: config.feature_flags.clone(),
                cancels_on_failure: lint.configuration.is_some_and(|it| it.workflow.cancel_on_failure),
            },
            sources: Sources::new(origin, sources),
            store: Store::new(dir.subdir("artifacts")?, &plan),
            caches: match &config.cache_dir {
                Some(dir) => PrivateDir::open(dir, &*context.project_path)?,
                None => kept.caches().clone(),
            },
            groups: kept.groups().clone(),
            logs,
            _logs_lock: logs_lock,
            deferred: options.deferred,
            notify: options.notify,
            cancel: options.cancel,
            concurrent: ConcurrentIds::default(),
            started: AtomicU64::new(0),
            plan,
        })
    }
}
