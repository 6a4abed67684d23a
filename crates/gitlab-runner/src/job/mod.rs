//! Runs one attempt of a job, step by step: GitLab Runner's `common/build.go` (`executeScript`).
//!
//! The steps are: preparation; sources, after their hook; caches; artifacts of other jobs; `before_script` and `script` in one shell;
//! `after_script` in another shell; saving of caches and artifacts. If a step before the script fails, the job ends there.

mod files;
mod limits;
mod outcome;
mod request;
pub mod script;
mod sources;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::context::Pipeline;
use super::event::Event;
use super::executor::{ExecutorError, FailureReason, ScriptEnd, Session, signal_name};
use super::log::JobLog;
use super::variables::{Facts, JobVariables};
pub use crate::job::outcome::JobOutcome;
use crate::job::script::Script;
use crate::mask::Masker;
use crate::workspace::job_dirs::JobDirs;
use gitlab_ci::config::runner_settings::parse_bool;
use gitlab_ci::expression::pattern::Pattern;
use gitlab_ci::plan::PlannedJob;
use gitlab_ci::plan::job_index::JobIndex;
use gitlab_ci::variables::collection::Variable;

/// The timeout of a job without `timeout`. In GitLab this is a setting of the project.
const TIMEOUT: Duration = Duration::from_hours(1);

/// The reason why an attempt ends early.
enum AttemptError {
    Canceled,
    TimedOut(Duration),
    Failed { reason: FailureReason, code: Option<i32>, message: String },
}

impl From<ExecutorError> for AttemptError {
    fn from(error: ExecutorError) -> Self {
        Self::Failed { reason: error.reason, code: None, message: error.message }
    }
}

fn failed(reason: FailureReason, message: &dyn std::fmt::Display) -> AttemptError {
    AttemptError::Failed { reason, code: None, message: message.to_string() }
}

/// A running attempt.
struct Attempt<'run> {
    pipeline: &'run Pipeline,
    index: JobIndex,
    planned: &'run PlannedJob,
    variables: JobVariables,
    log: Arc<JobLog>,
    deadline: Instant,
    timeout: Duration,
    /// Whether the checkout succeeded and only the submodules failed: then the artifacts are still uploaded.
    has_sources: bool,
    outcome: JobOutcome,
}

/// Runs the job at `index` of the plan. `number` is the number of the attempt, from 1 on; `dotenv` are the variables of earlier jobs'
/// reports.
pub async fn attempt(pipeline: &Pipeline, index: JobIndex, number: usize, dotenv: &[Variable]) -> JobOutcome {
    let planned = &pipeline.plan[index];
    if let Some(reason) = &planned.failure {
        let failure = Some((FailureReason::EnvironmentCreationFailure, None));
        return JobOutcome { failure, reason: reason.clone(), ..JobOutcome::default() };
    }
    let deferred = match deferred_variables(pipeline, planned).await {
        Ok(deferred) => deferred,
        Err(outcome) => return *outcome,
    };
    let id = pipeline.next_job();
    let concurrent = pipeline.concurrent.take();
    let job_dirs = pipeline.executor.job_dirs(concurrent.number, &pipeline.plan.context.project_path);
    let timeout = planned.job.timeout.as_ref().map_or(TIMEOUT, |timeout| timeout.value);
    let facts = Facts {
        pipeline: pipeline.id,
        created: pipeline.created,
        job: id,
        retries: number - 1,
        concurrent: concurrent.number,
        token: &pipeline.token,
        job_dirs: &job_dirs,
        executor: pipeline.executor.name(),
        timeout,
        own: &pipeline.settings.variables,
        dotenv,
        deferred: &deferred,
    };
    let system_failure = |message: String| JobOutcome {
        failure: Some((FailureReason::RunnerSystemFailure, None)),
        reason: message,
        ..JobOutcome::default()
    };
    let variables = match JobVariables::new(&pipeline.plan, planned, &facts) {
        Ok(variables) => variables,
        Err(error) => return system_failure(error.to_string()),
    };
    if let Err(error) = pipeline.store.clear(index) {
        return system_failure(format!("cannot remove the artifacts of the previous attempt: {error}"));
    }
    let log = match pipeline.open_log(index, number == 1, &Masker::new(variables.secrets())) {
        Ok(log) => log,
        Err(message) => return system_failure(message),
    };
    // An invalid pattern was already reported when the file was read.
    let coverage = planned.job.coverage.as_ref().and_then(|coverage| Pattern::parse(&coverage.value).ok());
    if let Some(coverage) = coverage {
        log.watch_coverage(coverage);
    }
    let deadline = Instant::now() + timeout;
    let outcome = JobOutcome::default();
    let mut attempt =
        Attempt { pipeline, index, planned, variables, log, deadline, timeout, has_sources: false, outcome };
    let result = attempt.run(id, job_dirs).await;
    attempt.close(result)
}

/// Waits for variables whose values are not known yet, if the job uses them.
async fn deferred_variables(pipeline: &Pipeline, planned: &PlannedJob) -> Result<Arc<[Variable]>, Box<JobOutcome>> {
    let Some(deferred) = &pipeline.deferred else { return Ok(Arc::default()) };
    if deferred.is_awaited(planned) {
        (pipeline.notify)(Event::JobWaits {
            job: Arc::clone(&planned.name),
            reason: format!("waits for {}", deferred.source),
        });
    }
    tokio::select! {
        biased;
        () = pipeline.cancel.cancelled() => {
            Err(Box::new(JobOutcome { is_canceled: true, reason: "canceled".to_owned(), ..JobOutcome::default() }))
        }
        values = deferred.values_for(planned) => values.map_err(|message| {
            let failure = Some((FailureReason::RunnerSystemFailure, None));
            Box::new(JobOutcome { failure, reason: message.to_string(), ..JobOutcome::default() })
        }),
    }
}

impl Attempt<'_> {
    async fn run(&mut self, id: u64, job_dirs: JobDirs) -> Result<(), AttemptError> {
        let request = request::build(self.planned, (id, self.timeout), &self.variables, job_dirs.clone())
            .map_err(|error| failed(FailureReason::ScriptFailure, &error))?;
        let mut session = {
            let name = self.pipeline.executor.name();
            let _section = self.log.section("prepare_executor", &format!("Preparing the \"{name}\" executor"));
            self.within(self.pipeline.executor.prepare(request, &self.log)).await?
        };
        let result = self.run_steps(&mut session, &job_dirs).await;
        if let Err(error) = &result {
            match error {
                AttemptError::TimedOut(_) => self.stop_gracefully(&mut session).await,
                _ => session.stop(false).await,
            }
        }
        session.finish().await;
        result
    }

    async fn run_steps(&mut self, session: &mut Session, job_dirs: &JobDirs) -> Result<(), AttemptError> {
        let tracked = match self.get_sources(session, job_dirs).await {
            Err(error) if self.has_sources => {
                let uploaded = self.upload_artifacts(session, false, job_dirs, &Arc::default()).await;
                return uploaded.and(Err(error));
            }
            tracked => tracked?,
        };
        self.restore_caches(session).await?;
        self.download_artifacts(session).await?;
        let (limit, after_script_limit) = self.script_limits();
        let mut result = self.step_script(session, job_dirs, limit).await;
        // `after_script` does not run after a timeout of the whole job. After a cancellation it does in GitLab: see docs/pipeline.md.
        if !self.planned.job.after_script.is_empty() && matches!(result, Ok(()) | Err(AttemptError::Failed { .. })) {
            let status = match &result {
                Ok(()) => "success",
                Err(AttemptError::Failed { reason: FailureReason::JobExecutionTimeout, .. }) => "timedout",
                Err(_) => "failed",
            };
            // A failure of `after_script` does not prevent the upload of artifacts.
            if let Err(error) = self.after_script(session, job_dirs, status, after_script_limit).await {
                result = Err(error);
            }
        }
        if matches!(result, Err(AttemptError::Canceled | AttemptError::TimedOut(_))) {
            return result;
        }
        if let Err(error) = self.check_step_state(session, result.is_ok(), job_dirs).await {
            return result.and(Err(error));
        }
        self.archive_caches(session, result.is_ok(), job_dirs, &tracked).await;
        let uploaded = self.upload_artifacts(session, result.is_ok(), job_dirs, &tracked).await;
        result.and(uploaded)
    }

    async fn step_script(
        &mut self,
        session: &mut Session,
        job_dirs: &JobDirs,
        limit: Option<Duration>,
    ) -> Result<(), AttemptError> {
        let job = &self.planned.job;
        let settings = &self.pipeline.settings;
        let own = job.before_script.iter().chain(&job.script).map(|command| &*command.value);
        let commands: Vec<&str> = settings
            .pre_build_script
            .as_deref()
            .into_iter()
            .chain(own)
            .chain(settings.post_build_script.as_deref())
            .collect();
        let script = self.script(&job_dirs.project, job_dirs, &commands, self.variables.list());
        let section = self.log.section("step_script", "Executing \"step_script\" stage of the job script");
        let end = self.run_for(session, &script, limit).await?;
        drop(section);
        let Some(end) = end else {
            let limit = humantime::format_duration(limit.unwrap_or_default());
            // `common/build.go` (`executeScript`)
            self.log.warn(
                "step_script could not run to completion because the timeout was exceeded. For more control over job and script timeouts \
                 see: https://docs.gitlab.com/ci/runners/configure_runners/#set-script-and-after_script-timeouts",
            );
            let message = format!("script timeout: context deadline exceeded (the script took longer than {limit})");
            return Err(failed(FailureReason::JobExecutionTimeout, &message));
        };
        if end == ScriptEnd::Code(0) {
            return Ok(());
        }
        Err(self.script_failure(end))
    }

    async fn after_script(
        &mut self,
        session: &mut Session,
        job_dirs: &JobDirs,
        status: &str,
        limit: Duration,
    ) -> Result<(), AttemptError> {
        let commands: Vec<&str> = self.planned.job.after_script.iter().map(|command| &*command.value).collect();
        let variables = self.variables.with_status(status);
        let script = self.script(&job_dirs.project, job_dirs, &commands, &variables);
        let section = self.log.section("after_script", "Running after_script");
        self.log.say("\x1b[32;1mRunning after script...\x1b[0;m");
        let script_failure = FailureReason::ScriptFailure;
        let (reason, code, message) = match self.run_for(session, &script, Some(limit)).await {
            Ok(Some(ScriptEnd::Code(0))) => return Ok(()),
            Ok(Some(end)) => (script_failure, Some(end.code()), self.end_message(end)),
            Ok(None) => {
                self.log.warn(&format!(
                    "after_script could not run to completion because the timeout was exceeded: it took longer than {}",
                    humantime::format_duration(limit)
                ));
                (script_failure, Some(1), self.end_message(ScriptEnd::Code(1)))
            }
            Err(AttemptError::Failed { reason, message, .. }) => (reason, None, message),
            Err(error) => return Err(error),
        };
        drop(section);
        if status == "success" && !self.flag("AFTER_SCRIPT_IGNORE_ERRORS", true) {
            return Err(AttemptError::Failed { reason, code, message });
        }
        self.log.warn(&format!("after_script failed, but job will continue unaffected: {message}"));
        Ok(())
    }

    fn script(&self, dir: &str, job_dirs: &JobDirs, commands: &[&str], variables: &[Variable]) -> String {
        Script {
            dir,
            variables,
            temporary_dir: &job_dirs.temporary(),
            commands,
            checks_exit_codes: self.is_flag_on("FF_ENABLE_BASH_EXIT_CODE_CHECK"),
            is_bash: self.pipeline.executor.has_bash(),
            is_traced: self.flag("CI_DEBUG_TRACE", false),
        }
        .text()
    }

    /// Whether a feature flag is on. The runner configuration has precedence over the job: `common/build.go`, `IsFeatureFlagOn`.
    fn is_flag_on(&self, flag: &str) -> bool {
        let configured = self.pipeline.settings.feature_flags.get(flag).copied();
        configured.unwrap_or_else(|| self.flag(flag, false))
    }

    /// A boolean setting. For an invalid value, returns `default`; `warn_of_settings` reports it.
    fn flag(&self, name: &str, default: bool) -> bool {
        self.variables.get(name).and_then(|value| parse_bool(&value)).unwrap_or(default)
    }

    /// The failure of a script that ended with `end`.
    fn script_failure(&self, end: ScriptEnd) -> AttemptError {
        let message = self.end_message(end);
        AttemptError::Failed { reason: FailureReason::ScriptFailure, code: Some(end.code()), message }
    }

    /// Fails like a shell that cannot export a variable. `shells/bash.go` (`Variable`)
    fn not_an_identifier(&self, text: &str) -> AttemptError {
        self.log.say(&format!("export: `{text}': not a valid identifier"));
        self.script_failure(ScriptEnd::Code(1))
    }

    /// Describes the end of a script in the words of GitLab Runner's executor of the same name.
    fn end_message(&self, end: ScriptEnd) -> String {
        let code = match end {
            ScriptEnd::Code(code) => code,
            ScriptEnd::Signal(signal) => return format!("signal: {}", signal_name(signal)),
        };
        match self.pipeline.executor.name() {
            "shell" => format!("exit status {code}"),
            "kubernetes" => format!("command terminated with exit code {code}"),
            _ => format!("exit code {code}"),
        }
    }

    /// Waits for `work` until the job is canceled or times out.
    async fn within<T>(&self, work: impl Future<Output = Result<T, ExecutorError>>) -> Result<T, AttemptError> {
        within(&self.pipeline.cancel, self.deadline, self.timeout, work).await
    }

    /// Writes the result to the end of the log, and returns it.
    fn close(mut self, result: Result<(), AttemptError>) -> JobOutcome {
        match result {
            Ok(()) => self.log.say("\x1b[32;1mJob succeeded\x1b[0;m"),
            Err(error) => {
                let (failure, message) = match error {
                    AttemptError::Canceled => (None, "canceled".to_owned()),
                    AttemptError::TimedOut(after) => (
                        Some((FailureReason::JobExecutionTimeout, None)),
                        format!("execution took longer than {}", humantime::format_duration(after)),
                    ),
                    AttemptError::Failed { reason, code, message } => (Some((reason, code)), message),
                };
                self.outcome.is_canceled = failure.is_none();
                self.outcome.failure = failure;
                let suffix = match failure {
                    Some((FailureReason::RunnerSystemFailure, _)) => " (system failure)",
                    _ => "",
                };
                self.log.say(&format!("\x1b[31;1mERROR: Job failed{suffix}: {message}\x1b[0;m"));
                // The reason is shown in a table, so it must be a single line.
                let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
                self.outcome.reason = self.log.masked(&lines.collect::<Vec<_>>().join("; "));
            }
        }
        self.log.flush();
        if let (Some(message), None, false) = (self.log.lost(), self.outcome.failure, self.outcome.is_canceled) {
            self.outcome.failure = Some((FailureReason::RunnerSystemFailure, None));
            self.outcome.reason = format!("the log file is incomplete: {message}");
        }
        self.outcome.coverage = self.log.coverage();
        self.outcome.last_lines = self.log.last_lines();
        self.outcome.environment_url = self.environment_url();
        self.outcome
    }

    /// The URL of the job's environment. It may contain variables from the job's own reports.
    /// `app/models/ci/build.rb` (`expanded_environment_url`), <https://docs.gitlab.com/ci/environments/#set-a-dynamic-environment-url>
    fn environment_url(&self) -> Option<String> {
        let url = &self.planned.job.environment.as_ref()?.url.as_ref()?.value;
        self.variables.expand_for_server(url, &self.outcome.dotenv).map(|url| self.log.masked(&url))
    }
}

async fn within<T>(
    cancel: &CancellationToken,
    deadline: Instant,
    timeout: Duration,
    work: impl Future<Output = Result<T, ExecutorError>>,
) -> Result<T, AttemptError> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(AttemptError::Canceled),
        done = work => Ok(done?),
        () = sleep_until(deadline) => Err(AttemptError::TimedOut(timeout)),
    }
}
