//! A pipeline to run: the data that the scheduler and every job read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

use super::artifacts::{Store, cache};
use super::event::EventSink;
use super::executor::Executor;
use super::log::JobLog;
use crate::deferred::DeferredVariables;
use crate::mask::Masker;
use crate::pipeline::concurrent::ConcurrentIds;
use crate::workspace::checkout::Sources;
use gitlab_ci::plan::Plan;
use gitlab_ci::plan::job_index::JobIndex;
use gitlab_ci::variables::collection::Variable;
use private_dir::{Lock, PrivateDir};

/// The maximum size of a job's artifacts in bytes, unless GitLab's administrator sets another one.
/// <https://docs.gitlab.com/administration/settings/continuous_integration/#set-maximum-artifacts-size>
pub const ARTIFACTS_LIMIT: u64 = 100 << 20;

/// Settings that apply to all jobs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Maximum number of jobs that run at the same time.
    pub concurrency: usize,
    /// Variables of every job, with the lowest precedence.
    pub variables: Vec<Variable>,
    /// Maximum size of a job's output, in bytes. Further output is discarded.
    pub output_limit: usize,
    /// Maximum size of a job's artifacts in bytes, compressed.
    pub artifacts_limit: u64,
    /// Commands that run before every job's `before_script`.
    pub pre_build_script: Option<String>,
    /// Commands that run after every job's `script` and before `after_script`.
    pub post_build_script: Option<String>,
    /// `[runners.feature_flags]`.
    pub feature_flags: BTreeMap<String, bool>,
    /// `workflow:auto_cancel:on_job_failure: all`: whether the first failure cancels all other jobs.
    pub cancels_on_failure: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency: 4,
            variables: Vec::new(),
            // GitLab's default.
            output_limit: 4 << 20,
            artifacts_limit: ARTIFACTS_LIMIT,
            pre_build_script: None,
            post_build_script: None,
            feature_flags: BTreeMap::new(),
            cancels_on_failure: false,
        }
    }
}

/// A pipeline to run.
pub struct Pipeline {
    /// The pipeline's number, counted per project directory on this machine.
    pub id: u64,
    /// When the pipeline was created.
    pub created: SystemTime,
    /// `CI_JOB_TOKEN`. No server accepts it.
    pub token: String,
    /// The jobs to run.
    pub plan: Plan,
    /// Where the jobs run.
    pub executor: Executor,
    /// Settings that apply to all jobs.
    pub settings: Settings,
    /// The checkout that jobs start from.
    pub sources: Sources,
    /// The artifacts that jobs pass to each other.
    pub store: Store,
    /// The directory of the caches, which pipelines share.
    pub caches: PrivateDir,
    /// The directory of the resource groups' lock files, which pipelines share.
    pub groups: PrivateDir,
    /// The directory of the job logs.
    pub logs: PrivateDir,
    /// Keeps other pipelines from writing to the same logs.
    pub(super) _logs_lock: Lock,
    /// Project variables whose values are not known yet.
    pub deferred: Option<DeferredVariables>,
    /// Receives the events of the pipeline.
    pub notify: Arc<EventSink>,
    /// Cancels the pipeline.
    pub cancel: CancellationToken,
    /// Numbers that distinguish the jobs that run at the same time.
    pub concurrent: ConcurrentIds,
    /// Number of jobs started so far.
    pub started: AtomicU64,
}

impl Pipeline {
    /// Whether an earlier pipeline has stored the caches that the jobs restore.
    pub async fn has_caches(&self) -> bool {
        self.sources.blobs().await.is_ok_and(|blobs| cache::are_stored(&self.caches, &self.plan, blobs))
    }

    /// The number of the next job that starts. A retried job gets a new number.
    pub(super) fn next_job(&self) -> u64 {
        self.id * 100_000 + self.started.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The log file of a job.
    pub(super) fn log_of(&self, job: JobIndex) -> PathBuf {
        self.logs.path().join(self.log_name(job))
    }

    /// Opens the log of a job, which is empty before the first attempt.
    pub(super) fn open_log(&self, job: JobIndex, is_first: bool, masker: &Masker) -> Result<Arc<JobLog>, String> {
        let (name, limit) = (self.log_name(job), self.settings.output_limit);
        // Discard the log of another pipeline, but keep the log of the job's own earlier attempts. The directory may be one of the
        // repository: removing a link leaves its target alone.
        let emptied = if is_first { self.logs.remove_file(&name) } else { Ok(()) };
        let file = emptied.and_then(|()| self.logs.append_file(&name)).map_err(|error| error.to_string())?;
        let notify = Arc::clone(&self.notify);
        Ok(Arc::new(JobLog::new(self.name(job), file, self.log_of(job), masker, limit, notify)))
    }

    fn log_name(&self, job: JobIndex) -> String {
        format!("{}.log", self.store.name(job))
    }

    /// The name of a job.
    pub(super) fn name(&self, job: JobIndex) -> Arc<str> {
        Arc::clone(&self.plan[job].name)
    }
}
