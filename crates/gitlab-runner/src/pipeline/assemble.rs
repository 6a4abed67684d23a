//! A plan, and where it runs: all that a pipeline is made of.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use bollard::Docker as Engine;
use tokio_util::sync::CancellationToken;

use crate::artifacts::Store;
use crate::config::ExecutorName;
use crate::config::RunnerConfig;
use crate::context::Pipeline;
use crate::context::Settings;
use crate::deferred::Late;
use crate::event::Tell;
use crate::executor::Executor;
use crate::executor::docker::Docker;
use crate::executor::docker::ImageSource;
use crate::executor::shell::Shell;
use crate::pipeline::concurrent::ConcurrentIds;
use crate::project::prepare::Prepared;
use crate::workspace::Kept;
use crate::workspace::NewPipeline;
use crate::workspace::Workspace;
use crate::workspace::checkout::Origin;
use crate::workspace::checkout::Sources;
use container_engine::ownership;

/// What there is before a pipeline is: its folders, and the runner's settings.
#[derive(Debug)]
pub struct Ground {
    config: RunnerConfig,
    workspace: Workspace,
    kept: Kept,
    own: NewPipeline,
    label: String,
}

/// What differs between pipelines on the same ground.
pub struct Options {
    /// How many jobs may run at the same time; what the runner is set to if nothing is said, else the number of cores and at
    /// least 4.
    pub concurrency: Option<usize>,
    /// Where the jobs' logs go; below the pipeline's own folder if nothing is said.
    pub logs: Option<PathBuf>,
    /// Whether changes that are not committed belong to the checkout.
    pub has_worktree: bool,
    /// Values that are not known yet.
    pub late: Option<Late>,
    /// Hears what goes on.
    pub tell: Arc<Tell>,
    /// Ends it early.
    pub cancel: CancellationToken,
}

impl Ground {
    /// Folders of a new pipeline. What stays of it is kept in `project`.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn new(project: &Path, config: RunnerConfig) -> io::Result<Self> {
        // A folder of the settings only where it is one of this machine.
        let parent = match (&config.builds_dir, config.executor) {
            (Some(folder), Some(ExecutorName::Shell)) => PathBuf::from(folder),
            _ => std::env::temp_dir(),
        };
        let workspace = Workspace::new(&parent)?;
        let kept = Kept::open(project)?;
        let own = kept.new_pipeline()?;
        Ok(Self { config, workspace, kept, own, label: ownership::unique_owner_id() })
    }

    /// Where what stays of the pipeline is.
    pub fn folder(&self) -> &Path {
        &self.own.folder
    }

    /// What everything that is made for it is found by, whatever becomes of this program.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Jobs on this machine.
    pub fn shell(&self) -> Executor {
        Executor::Shell(Shell::new(&self.workspace.folder().join("builds"), self.config.shell.as_deref()))
    }

    /// Jobs in containers.
    pub fn docker(&self, engine: Engine, images: Option<Arc<dyn ImageSource>>) -> Executor {
        Executor::Docker(Docker::new(engine, &self.config, images, self.label.clone()))
    }

    /// The pipeline.
    ///
    /// # Errors
    /// When its folders cannot be made.
    pub fn pipeline(&self, prepared: Prepared, executor: Executor, options: Options) -> io::Result<Pipeline> {
        let Prepared { repository, lint, plan, .. } = prepared;
        let Self { config, workspace, kept, own, .. } = self;
        let NewPipeline { id, folder, .. } = own;
        let logs = match options.logs {
            Some(folder) => std::path::absolute(folder)?,
            None => folder.join("logs"),
        };
        let artifacts = folder.join("artifacts");
        let sources = workspace.folder().join("sources");
        for folder in [&logs, &artifacts, &sources] {
            std::fs::create_dir_all(folder)?;
        }
        let context = &plan.context;
        let (sha, name) = (&context.commit.sha, &context.ref_name);
        let origin = Origin::new(repository.folder(), sha, context.kind, name, options.has_worktree);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let of_runner = config.concurrent.map(std::num::NonZeroUsize::get);
        Ok(Pipeline {
            id: *id,
            created: SystemTime::now(),
            token: std::iter::repeat_with(fastrand::alphanumeric).take(20).collect(),
            executor,
            settings: Settings {
                concurrency: options.concurrency.or(of_runner).unwrap_or_else(|| cores.max(4)),
                variables: config.variables(),
                output_limit: config.output_limit.saturating_mul(1024),
                pre_build_script: config.pre_build_script.clone(),
                post_build_script: config.post_build_script.clone(),
                cancels_on_failure: lint.configuration.is_some_and(|it| it.workflow.cancel_on_failure),
            },
            sources: Sources::new(origin, sources),
            store: Store::new(artifacts, &plan),
            caches: config.cache_dir.clone().map_or_else(|| kept.caches(), |folder| folder.join(&context.project_path)),
            groups: kept.groups(),
            logs,
            late: options.late,
            tell: options.tell,
            cancel: options.cancel,
            concurrent: ConcurrentIds::default(),
            started: AtomicU64::new(0),
            plan,
        })
    }
}
