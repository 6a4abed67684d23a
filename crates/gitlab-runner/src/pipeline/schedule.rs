//! Which job may start when, and which never will. `app/services/ci/process_build_service.rb`,
//! `app/services/ci/pipeline_processing/atomic_processing_service.rb`
//!
//! Nothing here waits or runs: [`Schedule::advance`] says what follows from how the jobs stand.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::executor::FailureReason;
use crate::status::Status;
use crate::status::composite;
use gitlab_ci::config::retry::Retry;
use gitlab_ci::config::when::AllowFailure;
use gitlab_ci::config::when::When;
use gitlab_ci::plan::Plan;

/// What of a plan is run, beside what it says itself.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Only these jobs, as if there were no others; all if there is none.
    pub only: HashSet<Arc<str>>,
    /// Manual jobs that somebody starts, and delayed ones that somebody does not wait for.
    pub manual: HashSet<Arc<str>>,
    /// Whether what comes after a failure runs all the same.
    pub keep_going: bool,
}

/// How the jobs of a pipeline stand.
#[derive(Clone, Debug)]
pub struct Schedule {
    jobs: Vec<Entry>,
    stages: usize,
    keep_going: bool,
    groups: HashSet<Arc<str>>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: Arc<str>,
    stage: usize,
    needs: Option<Vec<usize>>,
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
    why: String,
    is_left_out: bool,
}

/// A job stands otherwise than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its place in the plan.
    pub job: usize,
    /// How it stands.
    pub status: Status,
    /// Why, in words.
    pub why: String,
}

impl Schedule {
    /// The beginning of a pipeline.
    pub fn new(plan: &Plan, choice: &Choice) -> Self {
        let stages: HashMap<&str, usize> =
            plan.stages.iter().enumerate().map(|(index, stage)| (&**stage, index)).collect();
        let is_chosen = |name: &Arc<str>| choice.only.is_empty() || choice.only.contains(name);
        let places: HashMap<&str, usize> = plan
            .jobs
            .iter()
            .enumerate()
            .filter(|(_, job)| is_chosen(&job.name))
            .map(|(index, job)| (&*job.name, index))
            .collect();
        let jobs = plan.jobs.iter().map(|job| Entry {
            name: Arc::clone(&job.name),
            stage: stages.get(&*job.job.stage.value).copied().unwrap_or_default(),
            needs: job
                .needs
                .as_ref()
                .map(|needs| needs.iter().filter_map(|need| places.get(&*need.name).copied()).collect()),
            when: job.when,
            delay: job.start_in.unwrap_or_default(),
            // To name a job is to start it.
            is_played: choice.manual.contains(&job.name) || choice.only.contains(&job.name),
            allow_failure: job.allow_failure.clone(),
            retry: job.job.retry.clone(),
            resource_group: job.resource_group.as_deref().map(Into::into),
            status: Status::Created,
            starts_at: None,
            attempts: 0,
            exit_code: None,
            why: String::new(),
            is_left_out: !is_chosen(&job.name),
        });
        let jobs = jobs.collect();
        let mut schedule =
            Self { jobs, stages: plan.stages.len(), keep_going: choice.keep_going, groups: HashSet::new() };
        if !choice.only.is_empty() {
            schedule.start_lonely();
        }
        schedule
    }

    /// To name a job is to start it, also one that is there for failures, unless it is named with what it waits for.
    fn start_lonely(&mut self) {
        let first = self.jobs.iter().filter(|entry| !entry.is_left_out).map(|entry| entry.stage).min();
        for entry in self.jobs.iter_mut().filter(|entry| !entry.is_left_out && entry.when == When::OnFailure) {
            let is_lonely = entry.needs.as_ref().map_or(Some(entry.stage) == first, Vec::is_empty);
            if is_lonely {
                entry.when = When::OnSuccess;
            }
        }
    }

    /// Lets everything follow that follows, and tells what that is.
    pub fn advance(&mut self, now: Instant) -> Vec<Change> {
        let mut changes = Vec::new();
        loop {
            let before = changes.len();
            let stages = self.before_stages();
            for index in 0..self.jobs.len() {
                let Some(entry) = self.jobs.get(index).filter(|entry| !entry.is_left_out) else { continue };
                let next = match entry.status {
                    Status::Created => {
                        let predecessors = match &entry.needs {
                            Some(needs) => self.together(needs.iter().copied(), true),
                            None => stages.get(entry.stage).copied().unwrap_or(Status::Success),
                        };
                        next(entry, predecessors, self.keep_going)
                    }
                    Status::Scheduled if entry.starts_at.is_some_and(|at| at <= now) => Some((Status::Pending, "")),
                    _ => None,
                };
                let (Some((status, why)), Some(entry)) = (next, self.jobs.get_mut(index)) else { continue };
                entry.status = status;
                why.clone_into(&mut entry.why);
                if status == Status::Scheduled {
                    entry.starts_at = Some(now + entry.delay);
                    entry.why = format!("starts in {}", humantime::format_duration(entry.delay));
                }
                changes.push(Change { job: index, status, why: entry.why.clone() });
            }
            if changes.len() == before {
                return changes;
            }
        }
    }

    /// How all stages before each one stand together.
    fn before_stages(&self) -> Vec<Status> {
        (0..self.stages)
            .map(|stage| {
                let earlier =
                    self.jobs.iter().enumerate().filter(|(_, entry)| entry.stage < stage && !entry.is_left_out);
                self.together(earlier.map(|(index, _)| index), false)
            })
            .collect()
    }

    fn together(&self, jobs: impl Iterator<Item = usize>, of_needs: bool) -> Status {
        let members = jobs.filter_map(|index| self.jobs.get(index));
        composite(members.map(|entry| (entry.status, entry.may_fail())), of_needs)
    }

    /// Takes the next job that may run, in the order of the plan. One whose resource group is taken waits for it.
    pub fn take(&mut self) -> Option<usize> {
        let groups = &self.groups;
        let is_free = |entry: &Entry| entry.resource_group.as_ref().is_none_or(|group| !groups.contains(group));
        for entry in self.jobs.iter_mut().filter(|entry| entry.status == Status::Pending) {
            if !is_free(entry) {
                entry.status = Status::WaitingForResource;
            }
        }
        let may_run =
            |entry: &Entry| matches!(entry.status, Status::Pending | Status::WaitingForResource) && is_free(entry);
        let index = self.jobs.iter().position(may_run)?;
        let entry = self.jobs.get_mut(index)?;
        entry.status = Status::Running;
        entry.attempts += 1;
        self.groups.extend(entry.resource_group.clone());
        Some(index)
    }

    /// When the next delayed job starts.
    pub fn next_start(&self) -> Option<Instant> {
        self.jobs.iter().filter(|entry| entry.status == Status::Scheduled).filter_map(|entry| entry.starts_at).min()
    }

    /// Takes note that a job has ended. Returns whether it is to run again.
    pub fn end(
        &mut self,
        job: usize,
        status: Status,
        failure: Option<(FailureReason, Option<i32>)>,
        why: &str,
    ) -> bool {
        let Some(entry) = self.jobs.get_mut(job) else { return false };
        if let Some(group) = &entry.resource_group {
            self.groups.remove(group);
        }
        entry.exit_code = failure.and_then(|(_, code)| code);
        why.clone_into(&mut entry.why);
        entry.status = status;
        let again = failure
            .is_some_and(|(reason, code)| entry.attempts <= entry.retry.max && is_retried(&entry.retry, reason, code));
        if status == Status::Failed && again {
            entry.status = Status::Pending;
        }
        entry.status == Status::Pending
    }

    /// Ends everything that has not begun: somebody has canceled the pipeline.
    pub fn cancel(&mut self) {
        for entry in self.jobs.iter_mut().filter(|entry| !entry.is_left_out) {
            if !entry.status.is_complete() && entry.status != Status::Running {
                entry.status = Status::Canceled;
                "the pipeline was canceled".clone_into(&mut entry.why);
            }
        }
    }

    /// How all jobs stand together.
    pub fn status(&self) -> Status {
        let members = self.jobs.iter().filter(|entry| !entry.is_left_out);
        composite(members.map(|entry| (entry.status, entry.may_fail())), false)
    }

    /// How a job stands, and why; nothing of one that is left out.
    pub fn job(&self, job: usize) -> Option<(Status, &str)> {
        self.jobs.get(job).filter(|entry| !entry.is_left_out).map(|entry| (entry.status, entry.why.as_str()))
    }

    /// Which time a job runs, or has run: 1 for the first.
    pub fn attempts(&self, job: usize) -> usize {
        self.jobs.get(job).map_or(0, |entry| entry.attempts)
    }

    /// Whether a job's failure, as it failed, is allowed.
    pub fn may_fail(&self, job: usize) -> bool {
        self.jobs.get(job).is_some_and(Entry::may_fail)
    }

    /// Which job keeps the later ones from running, if one does: a manual one that is not optional.
    pub fn blocker(&self) -> Option<&Arc<str>> {
        let is_blocking = |entry: &&Entry| entry.status == Status::Manual && !entry.may_fail();
        self.jobs.iter().find(is_blocking).map(|entry| &entry.name)
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

/// What becomes of a job when everything before it stands so; nothing as long as that is not over. A failure before it does not
/// keep it from running if all is to go on, but is one all the same.
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
        (true, When::Manual) if !entry.is_played => (Status::Manual, "waits for somebody to start it"),
        (true, When::Delayed) if !entry.is_played => (Status::Scheduled, ""),
        (true, _) => (Status::Pending, ""),
        (false, When::OnFailure) => (Status::Skipped, "nothing before it has failed"),
        (false, _) => {
            let why = match predecessors {
                Status::Failed => "something before it has failed",
                Status::Canceled => "something before it was canceled",
                _ => "something that it needs does not run",
            };
            (Status::Skipped, why)
        }
    })
}

/// `lib/gitlab/ci/build/auto_retry.rb`
fn is_retried(retry: &Retry, reason: FailureReason, code: Option<i32>) -> bool {
    let by_code = code.is_some_and(|code| retry.exit_codes.contains(&i64::from(code)));
    // Exit codes without reasons stand alone.
    let by_reason = match retry.when.as_slice() {
        [] => retry.exit_codes.is_empty(),
        reasons => reasons.iter().any(|word| &*word.value == "always" || &*word.value == reason.name()),
    };
    by_code || by_reason
}

#[cfg(test)]
mod tests;
