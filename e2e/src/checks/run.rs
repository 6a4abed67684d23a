//! Running checks: at the same time those that only look, then one after the other those that replace pods. Beside all of them
//! those that look at a pod of their own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::check::{Check, Evidence, Pods};
use super::extra_pod::{sweep, sweep_of, swept};
use super::failure::expected;
use super::subject::{Subject, called};
use crate::record::{Check as CheckRecord, Failure, Verdict};
use futures_util::future::join_all;

/// How many things, each of which may take as long as patience lasts, a check waits for one after the other. The most are in
/// `liveness`: ready, reached, started again, ready again; and after a failure, gone.
const WAITS: u32 = 6;

/// The rest of a check: requests, each of which has a limit of its own.
const REST: Duration = Duration::from_mins(2);

/// Something that happened.
pub enum Event<'check> {
    /// A check began.
    Began(&'static Check),
    /// A check ended.
    Ended(&'check CheckRecord),
}

/// Hears what goes on.
pub type Tell<'tell> = dyn Fn(Event<'_>) + Send + Sync + 'tell;

/// Runs these checks, and returns what came of them in their order. Times are seconds since `origin`.
pub async fn run(checks: &[&'static Check], subject: &Subject, origin: Instant, tell: &Tell<'_>) -> Vec<CheckRecord> {
    run_until_observed(checks, subject, origin, tell, || ()).await
}

/// The same. Calls `observed` when no check observes the environment any more. Pods that checks have made may still terminate then,
/// and a check passes only when its own pod is gone.
pub async fn run_until_observed(
    checks: &[&'static Check],
    subject: &Subject,
    origin: Instant,
    tell: &Tell<'_>,
    observed: impl FnOnce() + Send,
) -> Vec<CheckRecord> {
    let remaining = &Remaining::new(checks.len(), Box::new(observed));
    // What an interrupted run has left would be counted as a pod of the service. What stays, a check will find.
    if sweep(subject).await.is_ok() {
        Box::pin(swept(subject)).await;
    }
    let of = |pods: Pods| {
        let chosen = checks.iter().copied().enumerate().filter(move |(_, check)| check.pods == pods);
        chosen.map(|(index, check)| async move { (index, one(check, subject, origin, tell, remaining).await) })
    };
    let (mut done, beside) = tokio::join!(
        async {
            let mut done = join_all(of(Pods::Deployed)).await;
            for check in of(Pods::Replaced) {
                done.push(check.await);
            }
            done
        },
        join_all(of(Pods::Own)),
    );
    done.extend(beside);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, record)| record).collect()
}

/// The checks that still observe the environment.
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

async fn one(
    check: &'static Check,
    subject: &Subject,
    origin: Instant,
    tell: &Tell<'_>,
    remaining: &Remaining<'_>,
) -> CheckRecord {
    let mut record = CheckRecord {
        name: check.name.to_owned(),
        environment: subject.reference.clone(),
        proves: check.proves.to_owned(),
        start: origin.elapsed().as_secs_f64(),
        ..CheckRecord::default()
    };
    let mut unmet = Vec::new();
    for need in check.needs {
        if !need.is_met(subject).await {
            unmet.push(need.hint());
        }
    }
    if !unmet.is_empty() {
        remaining.one_less();
        record.not_run = unmet.join("; ");
        tell(Event::Ended(&record));
        return record;
    }
    tell(Event::Began(check));
    let limit = limit(subject.patience);
    let outcome = match tokio::time::timeout(limit, (check.run)(subject.clone())).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Box::pin(endless(check, subject, limit)).await),
    };
    remaining.one_less();
    let outcome = match outcome {
        Ok(Evidence { lines, leaving: Some(pod) }) => Box::pin(pod.gone(subject)).await.map(|()| lines),
        Ok(Evidence { lines, leaving: None }) => Ok(lines),
        Err(failure) => Err(failure),
    };
    record.took = origin.elapsed().as_secs_f64() - record.start;
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
    tell(Event::Ended(&record));
    record
}

/// The longest that a whole check may take. Each wait in it ends by itself; this is for what nobody has thought of.
fn limit(patience: Duration) -> Duration {
    patience * WAITS + REST
}

/// A check that did not come to its end, whose pods nobody else takes away.
async fn endless(check: &Check, subject: &Subject, limit: Duration) -> Failure {
    let failure = expected(format!("{} comes to its end within {} s", check.name, limit.as_secs()))
        .saw("no end")
        .at(format!("environment {} in namespace {}", subject.reference, subject.namespace))
        .because(
            "the API server, or what it passes requests on to, takes very long for each answer",
            "look at the nodes' load and at the API server's log; `--patience` makes this limit longer",
        );
    // The cluster may be what does not answer.
    let look = async {
        let _ = sweep_of(subject, check.name).await;
        match subject.deployment().await {
            Ok(deployment) => (called(&deployment), subject.around(&deployment).await),
            Err(_) => (String::new(), String::new()),
        }
    };
    match tokio::time::timeout(REST, look).await {
        Ok((object, details)) if !object.is_empty() => failure.at(object).with(&details),
        _ => failure,
    }
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
    fn a_check_has_more_time_than_all_that_it_waits_for() {
        assert_eq!(limit(Duration::from_mins(2)), Duration::from_mins(14));
    }
}
