//! Runs checks: first those that only observe pods, concurrently; then those that replace pods, one after the other. Checks that
//! use their own pod run concurrently with all others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::cause::{Cause, Part};
use super::causes::{Observer, observe};
use super::check::{Check, Evidence, Pods};
use super::environment::{Environment, object_ref};
use super::extra_pod::{sweep, sweep_check, wait_until_swept};
use super::failure::expected;
use super::need::Need;
use crate::record::event::{Event, EventSink};
use crate::record::{Check as CheckRecord, Failure, Verdict};
use futures_util::future::{join_all, try_join_all};

/// More than the number of consecutive waits in any check, each of which has a limit of `timeout`. `liveness` has the most: ready,
/// reached, restarted, ready again, and gone after a failure.
const WAITS: u32 = 6;

/// Time for everything except waits in a check: requests, which have their own limits.
const REST: Duration = Duration::from_mins(2);

/// Time limit for the search for the causes of a failure.
const OBSERVATION: Duration = Duration::from_secs(10);

/// Runs these checks, and returns their results in the same order. Times are seconds since `origin`.
pub async fn run(
    checks: &[&'static Check],
    environment: &Environment,
    origin: Instant,
    notify: &EventSink<'_>,
) -> Vec<CheckRecord> {
    run_until_observed(checks, environment, origin, notify, || ()).await
}

/// Like [`run`], and calls `observed` when no check observes the environment any more. Pods that checks have created may still be
/// terminating then; a check passes only after its own pod is gone.
pub async fn run_until_observed(
    checks: &[&'static Check],
    environment: &Environment,
    origin: Instant,
    notify: &EventSink<'_>,
    observed: impl FnOnce() + Send,
) -> Vec<CheckRecord> {
    let remaining = &Remaining::new(checks.len(), Box::new(observed));
    // Pods that an interrupted run has left would be counted as pods of the service. If one remains, a check will report it.
    if !environment.is_read_only && sweep(environment).await.is_ok() {
        Box::pin(wait_until_swept(environment)).await;
    }
    let causes = &Observer::new();
    let runs = |pods: Pods| {
        let selected = checks.iter().copied().enumerate().filter(move |(_, check)| check.pods == pods);
        let context = Context { environment, origin, notify, remaining, observer: causes };
        selected.map(move |(index, check)| async move { (index, run_check(check, context).await) })
    };
    let all = async {
        tokio::join!(
            async {
                let mut done = join_all(runs(Pods::Deployed)).await;
                for check in runs(Pods::Replaced) {
                    done.push(check.await);
                }
                done
            },
            join_all(runs(Pods::Own)),
        )
    };
    let (mut done, with_own_pods) = tokio::select! {
        done = all => done,
        never = Box::pin(causes.watch(environment)) => match never {},
    };
    done.extend(with_own_pods);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, record)| record).collect()
}

/// Counts the checks that still observe the environment.
struct Remaining<'run> {
    count: AtomicUsize,
    observed: Mutex<Option<Box<dyn FnOnce() + Send + 'run>>>,
}

impl<'run> Remaining<'run> {
    fn new(checks: usize, observed: Box<dyn FnOnce() + Send + 'run>) -> Self {
        Self { count: AtomicUsize::new(checks), observed: Mutex::new(Some(observed)) }
    }

    fn one_less(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            let observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(observed) = observed {
                observed();
            }
        }
    }
}

/// The data that all checks of a run share.
#[derive(Clone, Copy)]
struct Context<'run, 'observed> {
    environment: &'run Environment,
    origin: Instant,
    notify: &'run EventSink<'run>,
    remaining: &'run Remaining<'observed>,
    observer: &'run Observer,
}

async fn run_check(check: &'static Check, context: Context<'_, '_>) -> CheckRecord {
    let Context { environment, origin, notify, remaining, observer } = context;
    let mut record = CheckRecord {
        name: check.name.to_owned(),
        environment: environment.reference.clone(),
        proves: check.proves.to_owned(),
        start: origin.elapsed().as_secs_f64(),
        ..CheckRecord::default()
    };
    let mut unmet = Vec::new();
    for need in check.needs {
        if !need.is_met(environment).await {
            unmet.push(need.hint(environment));
            if *need == Need::Changes {
                // The other needs are examined by requests that create an object, which is not stored.
                break;
            }
        }
    }
    if !unmet.is_empty() {
        remaining.one_less();
        record.not_run = unmet.join("; ");
        notify(&Event::CheckEnded(&record));
        return record;
    }
    notify(&Event::CheckBegan { environment: &environment.reference, name: check.name });
    let limit = limit(environment.timeout);
    let outcome = tokio::select! {
        // The check's own failure is more specific.
        biased;
        outcome = tokio::time::timeout(limit, (check.run)(environment.clone())) => match outcome {
            Ok(Ok(evidence)) => Ok(evidence),
            Ok(Err(failure)) if failure.is_seen => Err(failure),
            Ok(Err(failure)) => Err(failure.explained_by(&Box::pin(causes(check, context)).await)),
            Err(_) => Err(Box::pin(timed_out(check, environment, limit)).await),
        },
        causes = observer.lasting(|cause| check.concerns(cause, environment)) => Err(Box::pin(stopped(check, environment, &causes)).await),
    };
    remaining.one_less();
    let outcome = match outcome {
        Ok(Evidence { lines, leaving }) => {
            let gone = leaving.into_iter().map(|pod| pod.wait_until_gone(environment));
            Box::pin(try_join_all(gone)).await.map(|_| lines)
        }
        Err(failure) => Err(failure),
    };
    record.duration = origin.elapsed().as_secs_f64() - record.start;
    match outcome {
        Ok(lines) => {
            record.verdict = Verdict::Passed;
            record.evidence = lines;
        }
        Err(failure) => {
            record.verdict = Verdict::Failed;
            record.failure = Some(failure);
        }
    }
    notify(&Event::CheckEnded(&record));
    record
}

/// The causes that the cluster shows for the failure of a check. The check's own pods are gone already. Without a response in time, these
/// are the causes that were seen before.
async fn causes(check: &Check, context: Context<'_, '_>) -> Vec<Cause> {
    if check.parts.is_empty() {
        return Vec::new();
    }
    let latest = context.observer.latest(|cause| check.concerns(cause, context.environment));
    let Ok(observed) = tokio::time::timeout(OBSERVATION, observe(context.environment)).await else { return latest };
    let mut causes = observed.causes;
    causes.retain(|cause| check.concerns(cause, context.environment));
    for cause in latest.into_iter().filter(|cause| cause.part == Part::Own) {
        if causes.iter().all(|known| known.object != cause.object) {
            causes.push(cause);
        }
    }
    causes
}

/// The failure of a check that cannot pass without a change of the cluster. Deletes the check's pods.
async fn stopped(check: &Check, environment: &Environment, causes: &[Cause]) -> Failure {
    let failure = expected(check.proves);
    let failure = match causes.first() {
        Some(first) => failure.actual(&first.remedy.what).at(&*first.object),
        None => failure,
    };
    let (_, details) = sweep_and_look(check, environment).await.unwrap_or_default();
    failure.with(&details).explained_by(causes)
}

/// Time limit for a whole check. Every wait in a check has its own limit; this one is a safety net.
fn limit(timeout: Duration) -> Duration {
    timeout * WAITS + REST
}

/// The failure of a check that exceeded its limit. Deletes the check's pods.
async fn timed_out(check: &Check, environment: &Environment, limit: Duration) -> Failure {
    let failure = expected(format!("{} finishes within {} s", check.name, limit.as_secs()))
        .actual("it is still running")
        .at(format!("environment {} in namespace {}", environment.reference, environment.namespace))
        .hint(
            "the API server, or a target to which it forwards requests, responds very slowly",
            "look at the nodes' load and at the API server's log; `--timeout` increases this limit",
        );
    match sweep_and_look(check, environment).await {
        Some((deployment, details)) => failure.at(deployment).with(&details),
        None => failure,
    }
}

/// Deletes the pods of a check, and returns the Deployment's name and its diagnostics. `None` if there is no Deployment, or the cluster
/// does not respond in time: it may be the part that does not work.
async fn sweep_and_look(check: &Check, environment: &Environment) -> Option<(String, String)> {
    let look = async {
        let _ = sweep_check(environment, check.name).await;
        let deployment = environment.deployment().await.ok()?;
        Some((object_ref(&deployment), environment.diagnostics(&deployment).await))
    };
    tokio::time::timeout(REST, look).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observed_is_called_once_after_the_last_check() {
        let calls = AtomicUsize::new(0);
        let remaining = Remaining::new(
            2,
            Box::new(|| {
                calls.fetch_add(1, Ordering::Relaxed);
            }),
        );
        remaining.one_less();
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        remaining.one_less();
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_limit_of_a_check_is_six_waits_and_two_minutes() {
        assert_eq!(limit(Duration::from_mins(2)), Duration::from_mins(14));
    }
}
