//! The checks that a run has not reached, for the report.

use crate::checks::CHECKS;
use crate::record::{Check, Record, Verdict};

/// The lane of an environment's checks in the timeline.
pub fn lane(environment: &str) -> String {
    format!("checks {environment}")
}

/// All checks of an environment, without a result.
pub(super) fn all(environment: &str) -> impl Iterator<Item = Check> {
    CHECKS.iter().map(move |check| Check {
        name: check.name.to_owned(),
        environment: environment.to_owned(),
        proves: check.proves.to_owned(),
        ..Check::default()
    })
}

/// Adds the checks without a result: those that had started were interrupted, the others were never reached.
pub(super) fn add(record: &mut Record, expected: Vec<Check>, now: f64) {
    for mut check in expected {
        if record.checks.iter().any(|it| it.environment == check.environment && it.name == check.name) {
            continue;
        }
        let lane = lane(&check.environment);
        let begun = record.spans.iter().find(|span| span.lane == lane && span.name == check.name);
        if let Some(span) = begun {
            (check.verdict, check.start, check.duration) = (Verdict::Interrupted, span.start, span.end - span.start);
        } else {
            (check.start, check.not_run) = (now, "it was never reached".to_owned());
        }
        record.checks.push(check);
    }
}
