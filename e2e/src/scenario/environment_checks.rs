//! All checks of one environment, as a step of a run.

use super::milestone::Reach;
use super::pending_checks;
use super::recorder::Recorder;
use super::story::{Scenario, ScenarioError};
use crate::checks::CHECKS;
use crate::checks::run::{self, Event};
use crate::checks::subject::Subject;
use crate::record::{Check, Verdict};

/// The name of the step.
pub(super) fn step(environment: &str) -> String {
    format!("The checks on {environment}")
}

/// Runs all checks of an environment, and returns those that failed. `observed` is reached when no check observes the environment any
/// more: the run may then change it, while pods that checks made still terminate.
pub(super) async fn check(
    scenario: &Scenario,
    recorder: &Recorder,
    subject: &Subject,
    observed: Reach<()>,
) -> Result<Vec<String>, ScenarioError> {
    let lane = pending_checks::lane(&subject.reference);
    let notify = |event: Event<'_>| match event {
        Event::Began(check) => recorder.begin(&lane, check.name),
        Event::Ended(check) => keep(recorder, &lane, check),
    };
    let all: Vec<_> = CHECKS.iter().collect();
    let name = step(&subject.reference);
    let step = recorder.step(&name, async {
        let work = run::run_until_observed(&all, subject, recorder.origin(), &notify, || observed.reach(()));
        let checks = scenario.cancellable(work).await?;
        let failed: Vec<String> = with_verdict(&checks, Verdict::Failed);
        let outcome = format!("{} passed", with_verdict(&checks, Verdict::Passed).len());
        if failed.is_empty() { Ok((failed, outcome)) } else { Err(ScenarioError::Checks(failed.join(", "))) }
    });
    match step.await {
        // The run goes on.
        Err(ScenarioError::Checks(failed)) => Ok(vec![format!("{failed} of {}", subject.reference)]),
        other => other,
    }
}

fn with_verdict(checks: &[Check], verdict: Verdict) -> Vec<String> {
    checks.iter().filter(|check| check.verdict == verdict).map(|check| check.name.clone()).collect()
}

/// Records a check that has ended.
pub(super) fn keep(recorder: &Recorder, lane: &str, check: &Check) {
    let outcome = match (&check.failure, check.verdict) {
        (Some(failure), _) => format!("expected {}, saw {}", failure.expected, failure.seen),
        (None, Verdict::NotRun) => format!("not run: {}", check.not_run),
        (None, _) => String::new(),
    };
    drop(recorder.end(lane, &check.name, check.verdict, &outcome));
    recorder.check(check);
}
