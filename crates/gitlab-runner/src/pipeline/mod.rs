//! A pipeline from its first job to its last: what may run at the same time does.

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
use super::job::{Ended, attempt};
use super::status::Status;
use crate::mask::Masker;
use crate::pipeline::resource_group::Group;
use crate::pipeline::schedule::Choice;
use crate::pipeline::schedule::Schedule;
use crate::pipeline::slots::Slot;
use crate::pipeline::slots::Slots;
use gitlab_ci::config::job::Job;
use gitlab_ci::variables::collection::Variable;

/// How a pipeline ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How all jobs stand together.
    pub status: Status,
    /// Every job that was not left out, in the order of the plan, as it was the last time.
    pub jobs: Vec<JobReport>,
    /// The manual job that later ones wait for.
    pub blocked_by: Option<Arc<str>>,
    /// How long it took.
    pub took: Duration,
}

impl Pipeline {
    /// Runs it.
    pub async fn run(&self, choice: &Choice) -> Outcome {
        let began = Instant::now();
        let mut schedule = Schedule::new(&self.plan, choice);
        let jobs = (0..self.plan.jobs.len()).filter(|job| schedule.job(*job).is_some()).count();
        (self.tell)(Event::PipelineStarted { id: self.id, jobs, folder: self.logs.clone() });
        let mut reports: HashMap<usize, JobReport> = HashMap::new();
        let mut dotenv: HashMap<usize, Vec<Variable>> = HashMap::new();
        let slots = Slots::new(self.settings.concurrency);
        let mut running = FuturesUnordered::new();
        let mut is_canceled = false;
        loop {
            for change in schedule.advance(Instant::now()) {
                self.tell_waiting(change.job, change.status, &change.why);
            }
            while !is_canceled && let Some(slot) = slots.take() {
                let Some(job) = schedule.take() else { break };
                let attempts = schedule.attempts(job);
                let name = self.name(job);
                (self.tell)(Event::JobStarted { job: name, attempt: attempts });
                let providers = providers(&self.plan, job);
                self.tell_missing(job, providers.iter().filter(|provider| schedule.job(**provider).is_none()));
                let given: Vec<Variable> =
                    providers.iter().filter_map(|job| dotenv.get(job)).flatten().cloned().collect();
                running.push(async move {
                    let began = Instant::now();
                    let ended = self.in_group(job, attempts, &given, slot).await;
                    (job, attempts, ended, began.elapsed())
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
                Some((job, attempt, ended, took)) = running.next() => {
                    let again = !is_canceled
                        && schedule.end(job, ended.status(), ended.failure, &ended.why);
                    if is_canceled {
                        schedule.end(job, ended.status(), None, &ended.why);
                    }
                    let fails = ended.status() == Status::Failed && !again && !schedule.may_fail(job);
                    let report = self.report(&schedule, job, attempt, again, took, &ended);
                    dotenv.insert(job, ended.dotenv);
                    (self.tell)(Event::JobEnded(report.clone()));
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
        let took = began.elapsed();
        let jobs = (0..self.plan.jobs.len()).filter_map(|job| {
            reports.remove(&job).or_else(|| {
                schedule.job(job)?;
                let report = self.report(&schedule, job, 0, false, Duration::ZERO, &Ended::default());
                (self.tell)(Event::JobNotRun(report.clone()));
                Some(report)
            })
        });
        let jobs = jobs.collect();
        (self.tell)(Event::PipelineEnded { status, took });
        Outcome { status, jobs, blocked_by: schedule.blocker().cloned(), took }
    }

    /// Tells which artifacts a job goes without, because only some jobs were asked for.
    fn tell_missing<'plan>(&self, job: usize, left_out: impl Iterator<Item = &'plan usize>) {
        let left_out = left_out.filter_map(|provider| self.plan.jobs.get(*provider));
        for provider in left_out.filter(|provider| provider.job.artifacts.is_some()) {
            let text = format!("goes without the artifacts of `{}`, which was not asked for", provider.name);
            (self.tell)(Event::Note { job: Some(self.name(job)), text });
        }
    }

    fn tell_waiting(&self, job: usize, status: Status, why: &str) {
        if matches!(status, Status::Manual | Status::Scheduled) {
            (self.tell)(Event::JobWaits { job: self.name(job), why: why.to_owned() });
        }
    }

    /// Runs a job, when nobody else on this machine has its resource group.
    async fn in_group(&self, job: usize, number: usize, dotenv: &[Variable], mut slot: Slot<'_>) -> Ended {
        if let Some(ended) = self.plan.jobs.get(job).and_then(|job| without_script(&job.job)) {
            return ended;
        }
        let group = self.plan.jobs.get(job).and_then(|job| job.resource_group.as_deref());
        let Some(group) = group else { return attempt(self, job, number, dotenv).await };
        let waits = || {
            slot.leave();
            let why = format!("another pipeline has the resource group `{group}`");
            (self.tell)(Event::JobWaits { job: self.name(job), why: self.hidden(job, &why) });
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Ended { is_canceled: true, why: "canceled".to_owned(), ..Ended::default() },
            taken = Group::take(&self.groups, group, waits) => match taken {
                Ok(_group) => {
                    slot.enter().await;
                    attempt(self, job, number, dotenv).await
                }
                Err(error) => Ended {
                    failure: Some((FailureReason::RunnerSystemFailure, None)),
                    why: format!("resource group `{group}`: {error}"),
                    ..Ended::default()
                },
            },
        }
    }

    /// A text without what is secret to a job before it begins.
    fn hidden(&self, job: usize, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        let variables = self.plan.jobs.get(job).into_iter().flat_map(|job| job.variables.iter());
        let secrets = variables.filter(|(variable, _)| variable.masked).map(|(variable, _)| &*variable.value);
        Masker::new(secrets).masked(text)
    }

    fn report(
        &self,
        schedule: &Schedule,
        job: usize,
        attempt: usize,
        is_retried: bool,
        took: Duration,
        ended: &Ended,
    ) -> JobReport {
        let planned = self.plan.jobs.get(job);
        let (status, why) = schedule.job(job).unwrap_or((Status::Skipped, ""));
        JobReport {
            job: self.name(job),
            stage: planned.map(|job| Arc::clone(&job.job.stage.value)).unwrap_or_default(),
            status: if attempt > 0 { ended.status() } else { status },
            allow_failure: schedule.may_fail(job),
            attempt,
            is_retried,
            took,
            why: self.hidden(job, if attempt > 0 { &ended.why } else { why }),
            exit_code: ended.failure.and_then(|(_, code)| code),
            coverage: ended.coverage,
            tests: ended.tests,
            environment_url: ended.environment_url.clone(),
            log: Some(self.log_of(job)).filter(|log| attempt > 0 && log.exists()),
            last_lines: ended.last_lines.clone(),
        }
    }
}

/// How a job ends that has nothing to run here.
fn without_script(job: &Job) -> Option<Ended> {
    if job.is_trigger {
        let why = "it starts another pipeline, which is not replayed: taken to have succeeded".to_owned();
        return Some(Ended { why, ..Ended::default() });
    }
    job.script.is_empty().then(|| Ended {
        failure: Some((FailureReason::RunnerSystemFailure, None)),
        why: "`run` is not replayed, and it has no `script`".to_owned(),
        ..Ended::default()
    })
}
