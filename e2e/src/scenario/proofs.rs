//! What the story proves of an environment: the checks, that the same commit can be deployed again, and that it can be stopped.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt;
use tokio::sync::oneshot;

use super::recorder::Recorder;
use super::replay::{Environment, Ref, Replayer};
use super::snapshot::{self, Snapshot};
use super::{Stop, Story, cancellable, seen, unreached};
use crate::checks::CHECKS;
use crate::checks::http::Http;
use crate::checks::load::Load;
use crate::checks::run::{self, Event};
use crate::checks::subject::Subject;
use crate::record::{Check, Verdict};

/// The step in which nothing has changed.
pub(super) const AGAIN: &str = "The same commit again";

pub(super) fn checks_step(environment: &str) -> String {
    format!("The checks on {environment}")
}

pub(super) fn stop_step(environment: &Environment) -> String {
    format!("{} is stopped", environment.name)
}

/// All checks of an environment; those that failed are named. `has_learnt` hears when something else may be done with it.
pub(super) async fn checked(
    story: &Story,
    recorder: &Arc<Recorder>,
    subject: &Subject,
    has_learnt: oneshot::Sender<()>,
) -> Result<Vec<String>, Stop> {
    let lane = unreached::lane(&subject.reference);
    let tell = |event: Event<'_>| match event {
        Event::Began(check) => recorder.begin(&lane, check.name),
        Event::Ended(check) => keep(recorder, &lane, check),
    };
    let all: Vec<_> = CHECKS.iter().collect();
    let name = checks_step(&subject.reference);
    let step = recorder.step(&name, async {
        let work = run::run_and_say(&all, subject, recorder.origin(), &tell, has_learnt);
        let checks = cancellable(story, work).await?;
        let failed: Vec<String> = of_verdict(&checks, Verdict::Failed);
        let words = format!("{} passed", of_verdict(&checks, Verdict::Passed).len());
        if failed.is_empty() { Ok((failed, words)) } else { Err(Stop::Checks(failed.join(", "))) }
    });
    match step.await {
        // The rest of the story can be told all the same.
        Err(Stop::Checks(failed)) => Ok(vec![format!("{failed} of {}", subject.reference)]),
        other => other,
    }
}

fn of_verdict(checks: &[Check], verdict: Verdict) -> Vec<String> {
    checks.iter().filter(|check| check.verdict == verdict).map(|check| check.name.clone()).collect()
}

fn keep(recorder: &Recorder, lane: &str, check: &Check) {
    let words = match (&check.failure, check.verdict) {
        (Some(failure), _) => format!("expected {}, saw {}", failure.expected, failure.seen),
        (None, Verdict::NotRun) => format!("not run: {}", check.not_run),
        (None, _) => String::new(),
    };
    drop(recorder.end(lane, &check.name, check.verdict, &words));
    recorder.check(check);
}

/// The same commit once more: nothing of the manifests has changed, and there are new pods all the same.
pub(super) async fn again(
    recorder: &Arc<Recorder>,
    replayer: &Replayer,
    subject: &Subject,
    environment: &Environment,
) -> Result<(), Stop> {
    recorder
        .step(AGAIN, async {
            let before = pods(subject).await?;
            let load = subject.ingress.map(Http::new).transpose().map_err(|error| Stop::broken(&error))?;
            let load = load.map(|http| Load::begin(&http, &subject.host));
            let title = format!("{} again", environment.job);
            let ran = replayer.run(Ref::Branch, &title, &[Arc::clone(&environment.job)]).await;
            let tally = match load {
                Some(load) => Some(load.end().await),
                None => None,
            };
            ran?;
            let after = pods(subject).await?;
            let kept: Vec<_> = before.intersection(&after).cloned().collect();
            if !kept.is_empty() || after.is_empty() {
                return Err(Stop::Checks(format!("pods were not replaced: {}", kept.join(", "))));
            }
            match tally {
                Some(tally) if tally.failed > 0 => {
                    let first = tally.failures.first().cloned().unwrap_or_default();
                    Err(Stop::Checks(format!("{} of {} requests failed: {first}", tally.failed, tally.requests)))
                }
                Some(tally) => Ok(((), format!("new pods, {} requests meanwhile, none failed", tally.requests))),
                None => Ok(((), "new pods".to_owned())),
            }
        })
        .await
}

/// The pods of an environment that are not on their way out.
async fn pods(subject: &Subject) -> Result<BTreeSet<String>, Stop> {
    let pods = subject.pods().await.map_err(|failure| seen(&failure))?;
    Ok(pods.iter().map(ResourceExt::name_any).collect())
}

/// The environment is stopped: nothing of it is left, and the other one is as it was.
pub(super) async fn stopped(
    recorder: &Arc<Recorder>,
    replayer: &Replayer,
    subject: &Subject,
    environment: &Environment,
    other: &Subject,
) -> Result<Vec<String>, Stop> {
    let name = stop_step(environment);
    let Some(job) = &environment.on_stop else {
        recorder.leave_out(&name, &format!("no job stops it: {} has no on_stop", environment.job));
        return Ok(Vec::new());
    };
    // The default branch's environment may be one that nobody stops.
    if replayer.plan(Ref::Branch)?.plan.jobs.iter().all(|planned| *planned.name != **job) {
        let branch = &replayer.project.branch;
        recorder.leave_out(&name, &format!("{job} is not in the pipeline of branch {branch}"));
        return Ok(Vec::new());
    }
    recorder
        .step(&name, async {
            let before = Snapshot::of(other).await.map_err(|failure| seen(&failure))?;
            replayer.run(Ref::Branch, &format!("play {job}"), &[Arc::from(&**job)]).await?;
            let lane = unreached::lane(&subject.reference);
            recorder.begin(&lane, snapshot::STOP);
            let check = snapshot::stopped(subject, other, &before, recorder.origin()).await;
            keep(recorder, &lane, &check);
            match check.failure {
                None => Ok((Vec::new(), check.evidence.join("; "))),
                Some(failure) => Err(Stop::Checks(format!("expected {}, saw {}", failure.expected, failure.seen))),
            }
        })
        .await
        .or_else(|stop| match stop {
            Stop::Checks(_) => Ok(vec![format!("{} of {}", snapshot::STOP, subject.reference)]),
            stop => Err(stop),
        })
}
