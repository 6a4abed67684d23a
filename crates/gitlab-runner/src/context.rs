//! A pipeline that is to be run: what the driver and each of its jobs read.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

use super::artifacts::Store;
use super::event::Tell;
use super::executor::Executor;
use super::log::JobLog;
use crate::deferred::Late;
use crate::mask::Masker;
use crate::pipeline::concurrent::ConcurrentIds;
use crate::workspace::checkout::Sources;
use gitlab_ci::plan::Plan;
use gitlab_ci::variables::collection::Variable;

/// How jobs are run, whichever they are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many jobs may run at the same time.
    pub concurrency: usize,
    /// Variables of every job, the weakest of all.
    pub variables: Vec<Variable>,
    /// How many bytes of a job's output are kept.
    pub output_limit: usize,
    /// Before every `before_script`.
    pub pre_build_script: Option<String>,
    /// After every `script`.
    pub post_build_script: Option<String>,
    /// `workflow:auto_cancel:on_job_failure: all`: whether the first failure cancels everything.
    pub cancels_on_failure: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency: 4,
            variables: Vec::new(),
            // GitLab's own.
            output_limit: 4 << 20,
            pre_build_script: None,
            post_build_script: None,
            cancels_on_failure: false,
        }
    }
}

/// A pipeline to be run.
pub struct Pipeline {
    /// Its number, among those of its project here.
    pub id: u64,
    /// When it began.
    pub created: SystemTime,
    /// `CI_JOB_TOKEN`: no server takes it.
    pub token: String,
    /// What is run.
    pub plan: Plan,
    /// Where.
    pub executor: Executor,
    /// How.
    pub settings: Settings,
    /// What jobs begin with.
    pub sources: Sources,
    /// What they leave for each other.
    pub store: Store,
    /// The folder of what they leave for other pipelines.
    pub caches: PathBuf,
    /// The folder of resource groups, which pipelines share.
    pub groups: PathBuf,
    /// The folder of logs.
    pub logs: PathBuf,
    /// What is not known of the project's variables yet.
    pub late: Option<Late>,
    /// Hears what goes on.
    pub tell: Arc<Tell>,
    /// Ends it early.
    pub cancel: CancellationToken,
    /// What its jobs at the same time are told apart by.
    pub concurrent: ConcurrentIds,
    /// How many jobs have been started.
    pub started: AtomicU64,
}

impl Pipeline {
    /// The number of the next job that starts. A job that is tried again is another one.
    pub(super) fn next_job(&self) -> u64 {
        self.id * 100_000 + self.started.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The log of the job at this place in the plan.
    pub(super) fn log_of(&self, job: usize) -> PathBuf {
        self.logs.join(format!("{}.log", self.store.name(job)))
    }

    /// Opens the log of a job: empty before its first attempt.
    pub(super) fn open_log(&self, job: usize, is_first: bool, masker: &Masker) -> Result<Arc<JobLog>, String> {
        let (path, limit) = (self.log_of(job), self.settings.output_limit);
        // What another pipeline has left there is not this job's; what it has written itself before it is tried again is.
        let emptied = if is_first { File::create(&path).map(drop) } else { Ok(()) };
        let log = emptied.and_then(|()| JobLog::open(self.name(job), &path, masker, limit, Arc::clone(&self.tell)));
        log.map(Arc::new).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The name of the job at this place in the plan.
    pub(super) fn name(&self, job: usize) -> Arc<str> {
        self.plan.jobs.get(job).map(|job| Arc::clone(&job.name)).unwrap_or_default()
    }
}
