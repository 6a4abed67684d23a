//! All checks of one environment, as a step of a run.

use super::definition::{Scenario, ScenarioError};
use super::milestone::Reach;
use super::recorder::Recorder;
use crate::checks::CHECKS;
use crate::checks::environment::Environment;
use crate::checks::run;
use crate::record::event::Event;
use crate::record::{Check, Verdict};

/// The name of the step.
pub(super) fn step(environment: &str) -> String {
    format!("The checks on {environment}")
}

/// Runs all checks of an environment, and returns those that failed. `observed` is reached when no check observes the environment any
/// more. The run may then change the environment, although pods that checks have created may still be terminating.
pub(super) async fn check(
    scenario: &Scenario,
    recorder: &Recorder,
    environment: &Environment,
    observed: Reach<()>,
) -> Result<Vec<String>, ScenarioError> {
    let notify = |event: &Event<'_>| recorder.record(event);
    let all: Vec<_> = CHECKS.iter().collect();
    let name = step(&environment.reference);
    let step = recorder.step(&name, async {
        let work = run::run_until_observed(&all, environment, recorder.origin(), &notify, || observed.reach(()));
        let checks = scenario.cancellable(work).await?;
        let failed: Vec<String> = with_verdict(&checks, Verdict::Failed);
        let outcome = format!("{} passed", with_verdict(&checks, Verdict::Passed).len());
        if failed.is_empty() { Ok((failed, outcome)) } else { Err(ScenarioError::Checks(failed.join(", "))) }
    });
    match step.await {
        // Failed checks do not end the run.
        Err(ScenarioError::Checks(failed)) => Ok(vec![format!("{failed} of {}", environment.reference)]),
        other => other,
    }
}

fn with_verdict(checks: &[Check], verdict: Verdict) -> Vec<String> {
    checks.iter().filter(|check| check.verdict == verdict).map(|check| check.name.clone()).collect()
}
