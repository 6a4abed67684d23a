//! Running checks: at the same time those that only look, then one after the other those that replace pods.

use std::time::Instant;

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::extra_pod::sweep;
use super::subject::Subject;
use super::{Check, Need};
use crate::record::{Check as CheckRecord, Verdict};

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
    // What an interrupted run has left would be counted as a pod of the service. What stays, a check will find.
    let _ = sweep(subject).await;
    let mut done: Vec<(usize, CheckRecord)> = Vec::new();
    let numbered = || checks.iter().copied().enumerate();
    let mut together: FuturesUnordered<_> = numbered()
        .filter(|(_, check)| !check.replaces_pods)
        .map(|(index, check)| async move { (index, one(check, subject, origin, tell).await) })
        .collect();
    while let Some(ended) = together.next().await {
        done.push(ended);
    }
    for (index, check) in numbered().filter(|(_, check)| check.replaces_pods) {
        done.push((index, one(check, subject, origin, tell).await));
    }
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, record)| record).collect()
}

async fn one(check: &'static Check, subject: &Subject, origin: Instant, tell: &Tell<'_>) -> CheckRecord {
    let mut record = CheckRecord {
        name: check.name.to_owned(),
        environment: subject.reference.clone(),
        proves: check.proves.to_owned(),
        start: origin.elapsed().as_secs_f64(),
        ..CheckRecord::default()
    };
    let unmet: Vec<&str> =
        check.needs.iter().filter(|need| !need.is_met(subject)).map(|need| Need::hint(*need)).collect();
    if !unmet.is_empty() {
        record.not_run = unmet.join("; ");
        tell(Event::Ended(&record));
        return record;
    }
    tell(Event::Began(check));
    let outcome = (check.run)(subject.clone()).await;
    record.took = origin.elapsed().as_secs_f64() - record.start;
    match outcome {
        Ok(evidence) => {
            record.verdict = Verdict::Passed;
            record.evidence = evidence.0;
        }
        Err(failure) => {
            record.verdict = Verdict::Failed;
            record.failure = Some(failure);
        }
    }
    tell(Event::Ended(&record));
    record
}
