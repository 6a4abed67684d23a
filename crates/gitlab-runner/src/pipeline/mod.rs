//! Runs a pipeline: starts jobs as soon as their predecessors allow it, concurrently up to a limit.

pub mod assemble;
pub mod concurrent;
pub mod resource_group;
pub mod schedule;
pub mod slots;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use super::artifacts::providers;
use super::context::Pipeline;
use super::event::{Event, JobReport};
use super::executor::FailureReason;
use super::job::{JobOutcome, attempt};
use super::status::Status;
use crate::mask::Masker;
use crate::pipeline::resource_group::Group;
use crate::pipeline::schedule::{JobSelection, Schedule};
use crate::pipeline::slots::{Slot, Slots};
use gitlab_ci::config::job::Job;
use gitlab_ci::plan::job_index::JobIndex;
use gitlab_ci::variables::collection::Variable;

/// The result of a pipeline.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The composite status of all jobs.
    pub status: Status,
    /// The last report of each selected job, in the order of the plan.
    pub jobs: Vec<JobReport>,
    /// The manual job that later jobs wait for.
    pub blocked_by: Option<Arc<str>>,
    /// The pipeline's duration.
    pub duration: Duration,
}

impl Pipeline {
    /// Runs the selected jobs, and returns when all have ended or can no longer start.
    pub async fn run(&self, choice: &JobSelection) -> Outcome {
        let started = Instant::now();
        let mut schedule = Schedule::new(&self.plan, choice);
        let jobs = self.plan.indexes().filter(|job| schedule.job(*job).is_some()).count();
        let gitlab = self.plan.context.version.to_string();
        (self.notify)(Event::PipelineStarted { gitlab, id: self.id, jobs, dir: self.logs.path().to_owned() });
        let mut reports: HashMap<JobIndex, JobReport> = HashMap::new();
        let mut dotenv: HashMap<JobIndex, Vec<Variable>> = HashMap::new();
        let slots = Slots::new(self.settings.concurrency);
        let mut running = FuturesUnordered::new();
        let mut is_canceled = false;
        loop {
            for change in schedule.advance(Instant::now()) {
                self.report_waiting(change.job, change.status, &change.reason);
            }
            while !is_canceled && let Some(slot) = slots.take() {
                let Some(job) = schedule.take() else { break };
                let attempts = schedule.attempts(job);
                let name = self.name(job);
                (self.notify)(Event::JobStarted { job: name, attempt: attempts });
                let providers = providers(&self.plan, job);
                self.report_missing_artifacts(
                    job,
                    providers.iter().copied().filter(|provider| schedule.job(*provider).is_none()),
                );
                let given: Vec<Variable> =
                    providers.iter().filter_map(|job| dotenv.get(job)).flatten().cloned().collect();
                running.push(async move {
                    let started = Instant::now();
                    let outcome = self.in_group(job, attempts, &given, slot).await;
                    (job, attempts, outcome, started.elapsed())
                });
            }
            let next_start = schedule.next_start();
            if running.is_empty() && (is_canceled || next_start.is_none()) {
                break;
            }
            let wait = async {
                match next_start {
                    Some(at) if !is_canceled => sleep_until(at).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                Some((job, attempt, outcome, duration)) = running.next() => {
                    let is_retried = !is_canceled
                        && schedule.end(job, outcome.status(), outcome.failure, &outcome.reason);
                    if is_canceled {
                        schedule.end(job, outcome.status(), None, &outcome.reason);
                    }
                    let fails = outcome.status() == Status::Failed && !is_retried && !schedule.may_fail(job);
                    let report = self.report(&schedule, job, attempt, is_retried, duration, &outcome);
                    dotenv.insert(job, outcome.dotenv);
                    (self.notify)(Event::JobEnded(report.clone()));
                    reports.insert(job, report);
                    if fails && self.settings.cancels_on_failure {
                        self.cancel.cancel();
                    }
                }
                () = wait => {}
                () = slots.left() => {}
                () = self.cancel.cancelled(), if !is_canceled => {
                    is_canceled = true;
                    schedule.cancel();
                }
            }
        }
        let status = schedule.status();
        let duration = started.elapsed();
        let jobs = self.plan.indexes().filter_map(|job| {
            reports.remove(&job).or_else(|| {
                schedule.job(job)?;
                let report = self.report(&schedule, job, 0, false, Duration::ZERO, &JobOutcome::default());
                (self.notify)(Event::JobNotRun(report.clone()));
                Some(report)
            })
        });
        let jobs = jobs.collect();
        (self.notify)(Event::PipelineEnded { status, duration });
        Outcome { status, jobs, blocked_by: schedule.blocker().cloned(), duration }
    }

    /// Reports the artifacts that a job lacks because only some jobs were selected.
    fn report_missing_artifacts(&self, job: JobIndex, left_out: impl Iterator<Item = JobIndex>) {
        let left_out = left_out.map(|provider| &self.plan[provider]);
        for provider in left_out.filter(|provider| provider.job.artifacts.is_some()) {
            let text =
                format!("runs without the artifacts of `{}`, which is not among the selected jobs", provider.name);
            (self.notify)(Event::Note { job: Some(self.name(job)), text });
        }
    }

    fn report_waiting(&self, job: JobIndex, status: Status, reason: &str) {
        if matches!(status, Status::Manual | Status::Scheduled) {
            (self.notify)(Event::JobWaits { job: self.name(job), reason: reason.to_owned() });
        }
    }

    /// Runs a job when no other pipeline on this machine holds its resource group.
    async fn in_group(&self, job: JobIndex, number: usize, dotenv: &[Variable], mut slot: Slot<'_>) -> JobOutcome {
        if let Some(outcome) = without_script(&self.plan[job].job) {
            return outcome;
        }
        let Some(group) = self.plan[job].resource_group.as_deref() else {
            return attempt(self, job, number, dotenv).await;
        };
        let waits = || {
            slot.leave();
            let reason = format!("another pipeline holds the resource group `{group}`");
            (self.notify)(Event::JobWaits { job: self.name(job), reason: self.masked(job, &reason) });
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => JobOutcome { is_canceled: true, reason: "canceled".to_owned(), ..JobOutcome::default() },
            taken = Group::take(&self.groups, group, waits) => match taken {
                Ok(_group) => {
                    slot.enter().await;
                    attempt(self, job, number, dotenv).await
                }
                Err(error) => JobOutcome {
                    failure: Some((FailureReason::RunnerSystemFailure, None)),
                    reason: format!("resource group `{group}`: {error}"),
                    ..JobOutcome::default()
                },
            },
        }
    }

    /// Masks the job's secrets that are known before it starts.
    fn masked(&self, job: JobIndex, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        let variables = self.plan[job].variables.iter();
        let secrets = variables.filter(|(variable, _)| variable.masked).map(|(variable, _)| &*variable.value);
        Masker::new(secrets).masked(text)
    }

    fn report(
        &self,
        schedule: &Schedule,
        job: JobIndex,
        attempt: usize,
        is_retried: bool,
        duration: Duration,
        outcome: &JobOutcome,
    ) -> JobReport {
        let (status, reason) = schedule.job(job).unwrap_or((Status::Skipped, ""));
        JobReport {
            job: self.name(job),
            stage: Arc::clone(&self.plan[job].job.stage.value),
            status: if attempt > 0 { outcome.status() } else { status },
            allow_failure: schedule.may_fail(job),
            attempt,
            is_retried,
            duration,
            reason: self.masked(job, if attempt > 0 { &outcome.reason } else { reason }),
            failure_reason: outcome.failure.map(|(reason, _)| reason.name()),
            exit_code: outcome.failure.and_then(|(_, code)| code),
            coverage: outcome.coverage,
            tests: outcome.tests,
            environment_url: outcome.environment_url.clone(),
            log: Some(self.log_of(job)).filter(|log| attempt > 0 && log.exists()),
            last_lines: outcome.last_lines.clone(),
        }
    }
}

/// The outcome of a job that has no `script`: a trigger counts as successful, and a job with `run` fails. `None` if the job has a script.
fn without_script(job: &Job) -> Option<JobOutcome> {
    if job.is_trigger {
        let reason = "it triggers another pipeline, which is not run; the trigger counts as successful".to_owned();
        return Some(JobOutcome { reason, ..JobOutcome::default() });
    }
    job.script.is_empty().then(|| JobOutcome {
        failure: Some((FailureReason::RunnerSystemFailure, None)),
        reason: "the job has `run`, which is not supported, and no `script`".to_owned(),
        ..JobOutcome::default()
    })
}
