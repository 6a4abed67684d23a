//! One attempt at one job, step by step. GitLab Runner's `common/build.go` (`executeScript`)
//!
//! Preparation, sources, caches, artifacts of others; then `before_script` and `script` in one shell, `after_script` in another;
//! then caches and artifacts. What goes wrong before the script ends the job there.

mod files;
mod request;
pub mod script;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::context::Pipeline;
use super::event::{Event, TestCounts};
use super::executor::{ExecutorError, FailureReason, Session};
use super::log::JobLog;
use super::status::Status;
use super::variables::{Facts, JobVariables};
use crate::job::script::Script;
use crate::mask::Masker;
use gitlab_ci::expression::pattern::Pattern;
use gitlab_ci::plan::PlannedJob;
use gitlab_ci::variables::collection::Variable;

/// How long a job may take that does not say: a project's own setting in GitLab.
const TIMEOUT: Duration = Duration::from_hours(1);

/// How long `after_script` may take. `RUNNER_AFTER_SCRIPT_TIMEOUT`
const AFTER_SCRIPT_TIMEOUT: Duration = Duration::from_mins(5);

/// How an attempt ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// Why it failed; nothing if it did not.
    pub failure: Option<(FailureReason, Option<i32>)>,
    /// Whether somebody ended it.
    pub is_canceled: bool,
    /// In words, if it did not succeed.
    pub why: String,
    /// What its log says of coverage, in percent.
    pub coverage: Option<f64>,
    /// What its reports say of tests.
    pub tests: Option<TestCounts>,
    /// Where its environment is reached.
    pub environment_url: Option<String>,
    /// What it leaves for later jobs.
    pub dotenv: Vec<Variable>,
    /// Its last lines.
    pub last_lines: Vec<String>,
}

impl Ended {
    /// How the job stands.
    pub fn status(&self) -> Status {
        match (self.is_canceled, &self.failure) {
            (true, _) => Status::Canceled,
            (false, Some(_)) => Status::Failed,
            (false, None) => Status::Success,
        }
    }
}

/// Why a job goes no further.
enum Stop {
    Canceled,
    TimedOut(Duration),
    Failed { reason: FailureReason, code: Option<i32>, why: String },
}

impl From<ExecutorError> for Stop {
    fn from(error: ExecutorError) -> Self {
        Self::Failed { reason: error.reason, code: None, why: error.message }
    }
}

fn failed(reason: FailureReason, why: &dyn std::fmt::Display) -> Stop {
    Stop::Failed { reason, code: None, why: why.to_string() }
}

/// A job while it runs.
struct Attempt<'run> {
    pipeline: &'run Pipeline,
    index: usize,
    planned: &'run PlannedJob,
    variables: JobVariables,
    log: Arc<JobLog>,
    deadline: Instant,
    timeout: Duration,
    ended: Ended,
}

/// Runs the job at `index` of the plan, for the time that is `number`; `dotenv` is what the jobs before have left for it.
pub async fn attempt(pipeline: &Pipeline, index: usize, number: usize, dotenv: &[Variable]) -> Ended {
    let Some(planned) = pipeline.plan.jobs.get(index) else { return Ended::default() };
    let late = match late_variables(pipeline, planned).await {
        Ok(late) => late,
        Err(ended) => return *ended,
    };
    let id = pipeline.next_job();
    let concurrent = pipeline.concurrent.take();
    let places = pipeline.executor.places(concurrent.number, &pipeline.plan.context.project_path);
    let timeout = planned.job.timeout.as_ref().map_or(TIMEOUT, |timeout| timeout.value);
    let facts = Facts {
        pipeline: pipeline.id,
        created: pipeline.created,
        job: id,
        concurrent: concurrent.number,
        token: &pipeline.token,
        places: &places,
        executor: pipeline.executor.name(),
        timeout,
        own: &pipeline.settings.variables,
        dotenv,
        late: &late,
    };
    let system =
        |why: String| Ended { failure: Some((FailureReason::RunnerSystemFailure, None)), why, ..Ended::default() };
    let variables = match JobVariables::new(&pipeline.plan, planned, &facts) {
        Ok(variables) => variables,
        Err(error) => return system(error.to_string()),
    };
    if let Err(error) = pipeline.store.clear(index) {
        return system(format!("what the attempt before has left: {error}"));
    }
    let log = match pipeline.open_log(index, number == 1, &Masker::new(variables.secrets())) {
        Ok(log) => log,
        Err(why) => return system(why),
    };
    // It was read with the file: what is wrong with it was told there.
    let coverage = planned.job.coverage.as_ref().and_then(|coverage| Pattern::parse(&coverage.value).ok());
    if let Some(coverage) = coverage {
        log.watch_coverage(coverage);
    }
    let deadline = Instant::now() + timeout;
    let mut attempt = Attempt { pipeline, index, planned, variables, log, deadline, timeout, ended: Ended::default() };
    let result = attempt.run(id, places).await;
    attempt.close(result)
}

/// The values of variables that may not have been known until now.
async fn late_variables(pipeline: &Pipeline, planned: &PlannedJob) -> Result<Arc<[Variable]>, Box<Ended>> {
    let Some(late) = &pipeline.late else { return Ok(Arc::default()) };
    if late.is_awaited(planned) {
        (pipeline.tell)(Event::JobWaits { job: Arc::clone(&planned.name), why: format!("waits for {}", late.source) });
    }
    tokio::select! {
        biased;
        () = pipeline.cancel.cancelled() => {
            Err(Box::new(Ended { is_canceled: true, why: "canceled".to_owned(), ..Ended::default() }))
        }
        values = late.of(planned) => values.map_err(|why| {
            let failure = Some((FailureReason::RunnerSystemFailure, None));
            Box::new(Ended { failure, why: why.to_string(), ..Ended::default() })
        }),
    }
}

impl Attempt<'_> {
    async fn run(&mut self, id: u64, places: crate::workspace::job_dirs::Places) -> Result<(), Stop> {
        let request = request::of(self.planned, id, &self.variables, places.clone())
            .map_err(|error| failed(FailureReason::ScriptFailure, &error))?;
        let mut session = {
            let name = self.pipeline.executor.name();
            let _section = self.log.section("prepare_executor", &format!("Preparing the \"{name}\" executor"));
            self.within(self.pipeline.executor.prepare(request, &self.log)).await?
        };
        let result = self.with(&mut session, &places).await;
        if !matches!(result, Ok(())) {
            session.stop().await;
        }
        session.finish().await;
        result
    }

    async fn with(&mut self, session: &mut Session, places: &crate::workspace::job_dirs::Places) -> Result<(), Stop> {
        let tracked = self.get_sources(session).await?;
        self.restore_caches(session).await?;
        self.download_artifacts(session).await?;
        let mut result = self.step_script(session, places).await;
        // After a timeout of the whole job there is no time for it, and after somebody's word no right to it.
        if !self.planned.job.after_script.is_empty() && matches!(result, Ok(()) | Err(Stop::Failed { .. })) {
            let status = match &result {
                Ok(()) => "success",
                Err(Stop::Failed { reason: FailureReason::JobExecutionTimeout, .. }) => "timedout",
                Err(_) => "failed",
            };
            // What it leaves is kept as after any other failure.
            if let Err(stop) = self.after_script(session, places, status).await {
                result = Err(stop);
            }
        }
        if matches!(result, Err(Stop::Canceled | Stop::TimedOut(_))) {
            return result;
        }
        self.archive_caches(session, result.is_ok(), &tracked).await;
        let uploaded = self.upload_artifacts(session, result.is_ok(), places, &tracked).await;
        result.and(uploaded)
    }

    async fn step_script(
        &mut self,
        session: &mut Session,
        places: &crate::workspace::job_dirs::Places,
    ) -> Result<(), Stop> {
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
        let script = self.script(places, &commands, self.variables.list());
        let section = self.log.section("step_script", "Executing \"step_script\" stage of the job script");
        let limit = self.limit("RUNNER_SCRIPT_TIMEOUT");
        let code = self.run_for(session, &script, limit).await?;
        drop(section);
        let Some(code) = code else {
            let limit = humantime::format_duration(limit.unwrap_or_default());
            return Err(failed(FailureReason::JobExecutionTimeout, &format!("script took longer than {limit}")));
        };
        if code == 0 {
            return Ok(());
        }
        // As each of the runner's executors says it.
        let why = match self.pipeline.executor.name() {
            "shell" => format!("exit status {code}"),
            _ => format!("exit code {code}"),
        };
        Err(Stop::Failed { reason: FailureReason::ScriptFailure, code: Some(code), why })
    }

    async fn after_script(
        &mut self,
        session: &mut Session,
        places: &crate::workspace::job_dirs::Places,
        status: &str,
    ) -> Result<(), Stop> {
        let commands: Vec<&str> = self.planned.job.after_script.iter().map(|command| &*command.value).collect();
        let variables = self.variables.with("CI_JOB_STATUS", status);
        let script = self.script(places, &commands, &variables);
        let _section = self.log.section("after_script", "Running after_script");
        let limit = self.limit("RUNNER_AFTER_SCRIPT_TIMEOUT").unwrap_or(AFTER_SCRIPT_TIMEOUT);
        let (code, why) = match self.run_for(session, &script, Some(limit)).await {
            Ok(Some(0)) => return Ok(()),
            Ok(Some(code)) => (Some(code), format!("exit code {code}")),
            Ok(None) => (None, format!("it took longer than {}", humantime::format_duration(limit))),
            Err(Stop::Failed { why, .. }) => (None, why),
            Err(stop) => return Err(stop),
        };
        if status == "success" && self.variables.get("AFTER_SCRIPT_IGNORE_ERRORS").as_deref() == Some("false") {
            let why = format!("after_script: {why}");
            return Err(Stop::Failed { reason: FailureReason::ScriptFailure, code, why });
        }
        self.log.warn(&format!("after_script failed, but job will continue unaffected: {why}"));
        Ok(())
    }

    /// Runs a script, and stops it when it takes longer than `limit`: then it has no code.
    async fn run_for(&self, session: &mut Session, script: &str, limit: Option<Duration>) -> Result<Option<i32>, Stop> {
        let run = self.within(session.run(script, &self.log));
        let Some(limit) = limit else { return run.await.map(Some) };
        if let Ok(ended) = tokio::time::timeout(limit, run).await {
            return ended.map(Some);
        }
        session.stop().await;
        Ok(None)
    }

    /// How long a script may take by a variable that says so.
    /// <https://docs.gitlab.com/ci/runners/configure_runners/#set-script-and-after_script-timeouts>
    fn limit(&self, variable: &str) -> Option<Duration> {
        let written = self.variables.get(variable).filter(|written| !written.is_empty())?;
        let limit = humantime::parse_duration(&written);
        if limit.is_err() {
            self.log.warn(&format!("{variable} is `{written}`, which is no time: expected one such as 10m or 1h30m"));
        }
        limit.ok().filter(|limit| !limit.is_zero())
    }

    fn script(&self, places: &crate::workspace::job_dirs::Places, commands: &[&str], variables: &[Variable]) -> String {
        Script {
            folder: &places.project,
            variables,
            temporary_folder: &places.temporary(),
            commands,
            is_traced: self.variables.is_on("CI_DEBUG_TRACE"),
        }
        .text()
    }

    /// Does something as long as nobody ends the job and it has time.
    async fn within<T>(&self, work: impl Future<Output = Result<T, ExecutorError>>) -> Result<T, Stop> {
        within(&self.pipeline.cancel, self.deadline, self.timeout, work).await
    }

    /// Says how it ended, at the end of its log too.
    fn close(mut self, result: Result<(), Stop>) -> Ended {
        match result {
            Ok(()) => self.log.say("\x1b[32;1mJob succeeded\x1b[0;m"),
            Err(stop) => {
                let (failure, why) = match stop {
                    Stop::Canceled => (None, "canceled".to_owned()),
                    Stop::TimedOut(after) => (
                        Some((FailureReason::JobExecutionTimeout, None)),
                        format!("execution took longer than {}", humantime::format_duration(after)),
                    ),
                    Stop::Failed { reason, code, why } => (Some((reason, code)), why),
                };
                self.ended.is_canceled = failure.is_none();
                self.ended.failure = failure;
                let system = match failure {
                    Some((FailureReason::RunnerSystemFailure, _)) => " (system failure)",
                    _ => "",
                };
                self.log.say(&format!("\x1b[31;1mERROR: Job failed{system}: {why}\x1b[0;m"));
                // It stands in a table.
                let lines = why.lines().map(str::trim).filter(|line| !line.is_empty());
                self.ended.why = self.log.masked(&lines.collect::<Vec<_>>().join("; "));
            }
        }
        self.log.flush();
        self.ended.coverage = self.log.coverage();
        self.ended.last_lines = self.log.last_lines();
        self.ended.environment_url = self.environment_url();
        self.ended
    }

    /// The address of the job's environment, which may come from the job's own reports.
    /// `app/models/ci/build.rb` (`expanded_environment_url`), <https://docs.gitlab.com/ci/environments/#set-a-dynamic-environment-url>
    fn environment_url(&self) -> Option<String> {
        let url = &self.planned.job.environment.as_ref()?.url.as_ref()?.value;
        self.variables.expand_for_server(url, &self.ended.dotenv).map(|url| self.log.masked(&url))
    }
}

async fn within<T>(
    cancel: &CancellationToken,
    deadline: Instant,
    timeout: Duration,
    work: impl Future<Output = Result<T, ExecutorError>>,
) -> Result<T, Stop> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Stop::Canceled),
        done = work => Ok(done?),
        () = sleep_until(deadline) => Err(Stop::TimedOut(timeout)),
    }
}
