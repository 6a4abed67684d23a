//! Decides whether and when each job starts: `app/services/ci/process_build_service.rb`,
//! `app/services/ci/pipeline_processing/atomic_processing_service.rb`.
//!
//! This module neither waits nor runs anything: [`Schedule::advance`] derives the next statuses from the current ones.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::executor::FailureReason;
use crate::status::{Status, composite};
use gitlab_ci::config::retry::Retry;
use gitlab_ci::config::when::{AllowFailure, When};
use gitlab_ci::plan::Plan;
use gitlab_ci::plan::job_index::{JobIndex, PerJob};

/// The user's selection of jobs.
#[derive(Clone, Debug, Default)]
pub struct JobSelection {
    /// The jobs to run, as if the pipeline had no others; all jobs if empty.
    pub only: HashSet<Arc<str>>,
    /// Manual and delayed jobs to start without waiting.
    pub manual: HashSet<Arc<str>>,
    /// Whether later jobs run even after a failure.
    pub keep_going: bool,
}

/// The state of a pipeline's jobs.
#[derive(Clone, Debug)]
pub struct Schedule {
    jobs: PerJob<Entry>,
    stages: usize,
    keep_going: bool,
    groups: HashSet<Arc<str>>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: Arc<str>,
    stage: usize,
    needs: Option<Vec<JobIndex>>,
    when: When,
    delay: Duration,
    is_played: bool,
    allow_failure: AllowFailure,
    retry: Retry,
    resource_group: Option<Arc<str>>,
    status: Status,
    starts_at: Option<Instant>,
    attempts: usize,
    exit_code: Option<i32>,
    reason: String,
    is_excluded: bool,
}

/// A change of a job's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The job.
    pub job: JobIndex,
    /// The new status.
    pub status: Status,
    /// The reason, for the user; may be empty.
    pub reason: String,
}

impl Schedule {
    /// The initial state of a pipeline.
    pub fn new(plan: &Plan, choice: &JobSelection) -> Self {
        let is_chosen = |name: &str| choice.only.is_empty() || choice.only.contains(name);
        let stages: HashMap<&str, usize> =
            plan.stages.iter().enumerate().map(|(number, stage)| (&**stage, number)).collect();
        let indexes: HashMap<&str, JobIndex> =
            plan.indexes().map(|index| (&*plan[index].name, index)).filter(|(name, _)| is_chosen(name)).collect();
        let jobs = PerJob::new(plan, |index| {
            let job = &plan[index];
            let needs = job.needs.as_ref();
            Entry {
                name: Arc::clone(&job.name),
                // The plan contains the stages of all its jobs.
                stage: stages.get(&*job.job.stage.value).copied().unwrap_or_default(),
                needs: needs.map(|needs| needs.iter().filter_map(|need| indexes.get(&*need.name).copied()).collect()),
                when: job.when,
                delay: job.start_in.unwrap_or_default(),
                // Selecting a job by name starts it.
                is_played: choice.manual.contains(&job.name) || choice.only.contains(&job.name),
                allow_failure: job.allow_failure.clone(),
                retry: job.job.retry.clone(),
                resource_group: job.resource_group.as_deref().map(Into::into),
                status: Status::Created,
                starts_at: None,
                attempts: 0,
                exit_code: None,
                reason: String::new(),
                is_excluded: !is_chosen(&job.name),
            }
        });
        let mut schedule =
            Self { jobs, stages: plan.stages.len(), keep_going: choice.keep_going, groups: HashSet::new() };
        if !choice.only.is_empty() {
            schedule.start_selected_on_failure_jobs();
        }
        schedule
    }

    /// Selecting a job by name starts it, even a job with `when: on_failure`, unless a predecessor is selected as well.
    fn start_selected_on_failure_jobs(&mut self) {
        let first = self.jobs.values().filter(|entry| !entry.is_excluded).map(|entry| entry.stage).min();
        for entry in self.jobs.values_mut().filter(|entry| !entry.is_excluded && entry.when == When::OnFailure) {
            let has_no_predecessor = entry.needs.as_ref().map_or(Some(entry.stage) == first, Vec::is_empty);
            if has_no_predecessor {
                entry.when = When::OnSuccess;
            }
        }
    }

    /// Updates all statuses that follow from others at the time `now`, and returns the changes.
    pub fn advance(&mut self, now: Instant) -> Vec<Change> {
        let mut changes = Vec::new();
        loop {
            let before = changes.len();
            let stages = self.before_stages();
            for index in self.jobs.indexes() {
                let entry = &self.jobs[index];
                if entry.is_excluded {
                    continue;
                }
                let next = match entry.status {
                    Status::Created => {
                        let predecessors = match &entry.needs {
                            Some(needs) => self.composite_of(needs.iter().copied(), true),
                            None => stages.get(entry.stage).copied().unwrap_or(Status::Success),
                        };
                        next(entry, predecessors, self.keep_going)
                    }
                    Status::Scheduled if entry.starts_at.is_some_and(|at| at <= now) => Some((Status::Pending, "")),
                    _ => None,
                };
                let Some((status, reason)) = next else { continue };
                let entry = &mut self.jobs[index];
                entry.status = status;
                reason.clone_into(&mut entry.reason);
                if status == Status::Scheduled {
                    entry.starts_at = Some(now + entry.delay);
                    entry.reason = format!("starts in {}", humantime::format_duration(entry.delay));
                }
                changes.push(Change { job: index, status, reason: entry.reason.clone() });
            }
            if changes.len() == before {
                return changes;
            }
        }
    }

    /// For each stage, the composite status of all earlier stages.
    fn before_stages(&self) -> Vec<Status> {
        (0..self.stages)
            .map(|stage| {
                let earlier = self.jobs.entries().filter(|(_, entry)| entry.stage < stage && !entry.is_excluded);
                self.composite_of(earlier.map(|(index, _)| index), false)
            })
            .collect()
    }

    fn composite_of(&self, jobs: impl Iterator<Item = JobIndex>, are_needs: bool) -> Status {
        let members = jobs.map(|index| &self.jobs[index]);
        composite(members.map(|entry| (entry.status, entry.may_fail())), are_needs)
    }

    /// Takes the next job that can run, in the order of the plan. A job whose resource group is taken waits for it.
    pub fn take(&mut self) -> Option<JobIndex> {
        let groups = &self.groups;
        let is_free = |entry: &Entry| entry.resource_group.as_ref().is_none_or(|group| !groups.contains(group));
        for entry in self.jobs.values_mut().filter(|entry| entry.status == Status::Pending) {
            if !is_free(entry) {
                entry.status = Status::WaitingForResource;
            }
        }
        let may_run =
            |entry: &Entry| matches!(entry.status, Status::Pending | Status::WaitingForResource) && is_free(entry);
        let index = self.jobs.entries().find(|(_, entry)| may_run(entry)).map(|(index, _)| index)?;
        let entry = &mut self.jobs[index];
        entry.status = Status::Running;
        entry.attempts += 1;
        self.groups.extend(entry.resource_group.clone());
        Some(index)
    }

    /// The time when the next delayed job starts.
    pub fn next_start(&self) -> Option<Instant> {
        self.jobs.values().filter(|entry| entry.status == Status::Scheduled).filter_map(|entry| entry.starts_at).min()
    }

    /// Records the result of a job. Returns whether the job is retried.
    pub fn end(
        &mut self,
        job: JobIndex,
        status: Status,
        failure: Option<(FailureReason, Option<i32>)>,
        reason: &str,
    ) -> bool {
        let entry = &mut self.jobs[job];
        if let Some(group) = &entry.resource_group {
            self.groups.remove(group);
        }
        entry.exit_code = failure.and_then(|(_, code)| code);
        reason.clone_into(&mut entry.reason);
        entry.status = status;
        let may_retry = failure
            .is_some_and(|(reason, code)| entry.attempts <= entry.retry.max && is_retried(&entry.retry, reason, code));
        if status == Status::Failed && may_retry {
            entry.status = Status::Pending;
        }
        entry.status == Status::Pending
    }

    /// Cancels all jobs that have not started.
    pub fn cancel(&mut self) {
        for entry in self.jobs.values_mut().filter(|entry| !entry.is_excluded) {
            if !entry.status.is_complete() && entry.status != Status::Running {
                entry.status = Status::Canceled;
                "the pipeline was canceled".clone_into(&mut entry.reason);
            }
        }
    }

    /// The composite status of all selected jobs.
    pub fn status(&self) -> Status {
        let members = self.jobs.values().filter(|entry| !entry.is_excluded);
        composite(members.map(|entry| (entry.status, entry.may_fail())), false)
    }

    /// A job's status and the reason for it; `None` for a job that is not selected.
    pub fn job(&self, job: JobIndex) -> Option<(Status, &str)> {
        let entry = &self.jobs[job];
        (!entry.is_excluded).then_some((entry.status, &*entry.reason))
    }

    /// The number of the job's current or last attempt, from 1 on; 0 if it has not started.
    pub fn attempts(&self, job: JobIndex) -> usize {
        self.jobs[job].attempts
    }

    /// Whether a failure of the job is allowed, given its exit code.
    pub fn may_fail(&self, job: JobIndex) -> bool {
        self.jobs[job].may_fail()
    }

    /// The manual job that is not optional and blocks later jobs, if there is one.
    pub fn blocker(&self) -> Option<&Arc<str>> {
        let is_blocking = |entry: &&Entry| entry.status == Status::Manual && !entry.may_fail();
        self.jobs.values().find(is_blocking).map(|entry| &entry.name)
    }
}

impl Entry {
    fn may_fail(&self) -> bool {
        match &self.allow_failure {
            AllowFailure::Fixed(allowed) => *allowed,
            AllowFailure::ExitCodes(codes) => self.exit_code.is_some_and(|code| codes.contains(&i64::from(code))),
        }
    }
}

/// The next status of a job and the reason, given the composite status of its predecessors; `None` until their status is final. With
/// `keep_going`, a job runs even after a failure of its predecessors, which still counts as a failure.
fn next(entry: &Entry, predecessors: Status, keep_going: bool) -> Option<(Status, &'static str)> {
    if !predecessors.is_complete() {
        return None;
    }
    let has_needs = entry.needs.is_some();
    let runs = match (entry.when, predecessors) {
        (When::OnSuccess | When::Manual | When::Delayed, Status::Success) | (When::OnFailure, Status::Failed) => true,
        (When::OnSuccess | When::Manual | When::Delayed, Status::Failed) => keep_going,
        (When::OnSuccess | When::Manual | When::Delayed, Status::Skipped) => !has_needs,
        (When::Always, status) => matches!(status, Status::Success | Status::Failed | Status::Skipped),
        _ => false,
    };
    Some(match (runs, entry.when) {
        (true, When::Manual) if !entry.is_played => (Status::Manual, "waits for a user to start it"),
        (true, When::Delayed) if !entry.is_played => (Status::Scheduled, ""),
        (true, _) => (Status::Pending, ""),
        (false, When::OnFailure) => (Status::Skipped, "no earlier job failed"),
        (false, _) => {
            let reason = match predecessors {
                Status::Failed => "an earlier job failed",
                Status::Canceled => "an earlier job was canceled",
                _ => "a needed job does not run",
            };
            (Status::Skipped, reason)
        }
    })
}

/// Whether a failure is retried: `lib/gitlab/ci/build/auto_retry.rb`.
fn is_retried(retry: &Retry, reason: FailureReason, code: Option<i32>) -> bool {
    let by_code = code.is_some_and(|code| retry.exit_codes.contains(&i64::from(code)));
    // With exit codes and no reasons, only the exit codes count.
    let by_reason = match retry.when.as_slice() {
        [] => retry.exit_codes.is_empty(),
        reasons => reasons.iter().any(|word| &*word.value == "always" || &*word.value == reason.name()),
    };
    by_code || by_reason
}

#[cfg(test)]
mod tests;
