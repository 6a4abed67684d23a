//! Forwards the events of a pipeline to the recorder.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::milestone::Reach;
use super::recorder::Recorder;
use super::variables;
use crate::record::{JobStep, Verdict};
use gitlab_ci::config::when::When;
use gitlab_ci::plan::Plan;
use gitlab_runner::event::{Event, EventSink};
use gitlab_runner::log::without_colors;
use gitlab_runner::status::Status;

/// The start times of jobs.
#[derive(Clone, Default)]
pub(super) struct Starts {
    pub(super) jobs: BTreeMap<Arc<str>, f64>,
    /// The steps of each job with their start; the last one is its end.
    steps: BTreeMap<Arc<str>, Vec<(&'static str, f64)>>,
}

impl Starts {
    pub(super) fn steps_of(&self, job: &str) -> Vec<JobStep> {
        let all = self.steps.get(job).map(Vec::as_slice).unwrap_or_default();
        let steps = all.iter().zip(all.iter().skip(1));
        steps
            .map(|((name, start), (_, end))| JobStep { name: (*name).to_owned(), start: *start, duration: end - start })
            .collect()
    }
}

/// The running jobs that need neither registry nor cluster.
pub(super) struct Compiling {
    left: Mutex<HashSet<Arc<str>>>,
    compiled: Reach<()>,
}

impl Compiling {
    pub(super) fn new(plan: &Plan, compiled: Reach<()>) -> Self {
        let own = plan.jobs.iter().filter(|job| job.when != When::Manual && !variables::needs_target(job));
        let left = own.map(|job| Arc::clone(&job.name)).collect();
        Self { left: Mutex::new(left), compiled }
    }

    fn ended(&self, job: &str) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.remove(job) && left.is_empty() {
            self.compiled.reach(());
        }
    }
}

/// An event sink that forwards the events of a pipeline to the recorder.
pub(super) fn listener(
    recorder: Arc<Recorder>,
    lane: String,
    starts: Arc<Mutex<Starts>>,
    compiling: Option<Compiling>,
) -> Arc<EventSink> {
    let at = {
        let (recorder, starts) = (Arc::clone(&recorder), Arc::clone(&starts));
        move |job: &Arc<str>, step: &'static str| {
            let now = recorder.seconds();
            let mut starts = starts.lock().unwrap_or_else(PoisonError::into_inner);
            starts.steps.entry(Arc::clone(job)).or_default().push((step, now));
        }
    };
    Arc::new(move |event: Event| match event {
        Event::PipelineStarted { dir, jobs, .. } => {
            recorder.note(&format!("{lane}: {jobs} jobs, logs in {}", dir.display()));
        }
        Event::JobStarted { job, .. } => {
            recorder.begin(&lane, &job);
            let now = recorder.seconds();
            let mut starts = starts.lock().unwrap_or_else(PoisonError::into_inner);
            starts.steps.remove(&job);
            starts.jobs.entry(job).or_insert(now);
        }
        Event::Step { job, step } => at(&job, step),
        Event::Line { job, line } => recorder.say(&lane, &job, &without_colors(&line)),
        Event::JobWaits { job, reason } => recorder.say(&lane, &job, &reason),
        Event::JobEnded(report) => {
            at(&report.job, "");
            let verdict = if report.status == Status::Success { Verdict::Passed } else { Verdict::Failed };
            let words =
                if report.is_retried { format!("{}, is retried", report.reason) } else { report.reason.clone() };
            drop(recorder.end(&lane, &report.job, verdict, &words));
            if let Some(compiling) = compiling.as_ref().filter(|_| !report.is_retried) {
                compiling.ended(&report.job);
            }
        }
        Event::Note { job: Some(job), text } => recorder.say(&lane, &job, &text),
        Event::Note { job: None, text } => recorder.note(&text),
        Event::JobNotRun(_) | Event::PipelineEnded { .. } => {}
    })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::scenario::milestone::milestone;
    use gitlab_ci::testing::plan;

    #[test]
    fn the_code_is_compiled_when_all_jobs_without_cluster_or_registry_have_ended() {
        let plan = plan("a: {script: x}\nb: {script: x}\nc: {script: kubectl}\nd: {script: x, when: manual}\n");
        let (compiled, is_compiled) = milestone();
        let compiling = Compiling::new(&plan, compiled);
        let is_reached = || is_compiled.reached().now_or_never().flatten().is_some();
        for (job, expected) in [("c", false), ("a", false), ("a", false), ("b", true), ("b", true)] {
            compiling.ended(job);
            assert_eq!(is_reached(), expected, "{job}");
        }
    }
}
