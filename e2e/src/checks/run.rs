//! Running checks: at the same time those that only look, then one after the other those that replace pods. Beside all of them
//! those that look at a pod of their own.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::extra_pod::{sweep, sweep_of, swept};
use super::failure::expected;
use super::subject::{Subject, called};
use super::{Check, Evidence, Pods};
use crate::record::{Check as CheckRecord, Failure, Verdict};

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
    run_and_say(checks, subject, origin, tell, oneshot::channel().0).await
}

/// The same, and says when nothing is to be learnt from the environment any more: pods that checks have made for themselves may
/// still be on their way out, which they must be before a check has passed.
pub async fn run_and_say(
    checks: &[&'static Check],
    subject: &Subject,
    origin: Instant,
    tell: &Tell<'_>,
    has_learnt: oneshot::Sender<()>,
) -> Vec<CheckRecord> {
    let learning = &Learning::new(checks.len(), has_learnt);
    // What an interrupted run has left would be counted as a pod of the service. What stays, a check will find.
    if sweep(subject).await.is_ok() {
        Box::pin(swept(subject)).await;
    }
    let of = |pods: Pods| {
        let chosen = checks.iter().copied().enumerate().filter(move |(_, check)| check.pods == pods);
        chosen.map(|(index, check)| async move { (index, one(check, subject, origin, tell, learning).await) })
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

/// Counts the checks that have still something to learn.
struct Learning(Mutex<(usize, Option<oneshot::Sender<()>>)>);

impl Learning {
    fn new(checks: usize, has_learnt: oneshot::Sender<()>) -> Self {
        Self(Mutex::new((checks, Some(has_learnt))))
    }

    fn one_has_learnt(&self) {
        let (left, has_learnt) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.saturating_sub(1);
        if let Some(has_learnt) = has_learnt.take_if(|_| *left == 0) {
            // Not everybody wants to know.
            let _ = has_learnt.send(());
        }
    }
}

async fn one(
    check: &'static Check,
    subject: &Subject,
    origin: Instant,
    tell: &Tell<'_>,
    learning: &Learning,
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
        learning.one_has_learnt();
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
    learning.one_has_learnt();
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
    fn it_is_said_once_when_all_have_learnt() {
        let (has_learnt, mut is_said) = oneshot::channel();
        let learning = Learning::new(2, has_learnt);
        learning.one_has_learnt();
        assert!(is_said.try_recv().is_err());
        learning.one_has_learnt();
        assert!(is_said.try_recv().is_ok());
        learning.one_has_learnt();
    }

    #[test]
    fn a_check_has_more_time_than_all_that_it_waits_for() {
        assert_eq!(limit(Duration::from_mins(2)), Duration::from_mins(14));
    }
}
