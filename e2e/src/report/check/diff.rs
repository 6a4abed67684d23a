//! Compares two reports of the same environments: which checks got worse and which got better.

use std::collections::HashMap;
use std::fmt::Write;

use comfy_table::{Table, presets};

use super::read::{Check, Report};
use crate::record::{Failure, Verdict};
use crate::report::run::words::Kind;

/// The change of a check's result between two reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trend {
    /// It passed before and does not pass now; or it fails now and did not fail before, even if the older report lacks it.
    Worse,
    /// It passes, and did not pass before.
    Better,
    /// Another verdict, which is neither better nor worse, such as *not run* for a check that failed before.
    Changed,
    /// Only the newer report has it, and it does not fail.
    New,
    /// Only the older report has it.
    Gone,
}

impl Trend {
    const ALL: [Self; 5] = [Self::Worse, Self::Better, Self::Changed, Self::New, Self::Gone];

    fn word(self) -> &'static str {
        match self {
            Self::Worse => "worse",
            Self::Better => "better",
            Self::Changed => "changed",
            Self::New => "new",
            Self::Gone => "gone",
        }
    }

    /// `None` if nothing changed.
    fn between(before: Option<Verdict>, after: Option<Verdict>) -> Option<Self> {
        match (before, after) {
            (None, None) => None,
            (Some(before), Some(after)) if before == after => None,
            (_, None) => Some(Self::Gone),
            (None, Some(after)) if after.is_failure() => Some(Self::Worse),
            (None, Some(_)) => Some(Self::New),
            (Some(_), Some(Verdict::Passed)) => Some(Self::Better),
            (Some(Verdict::Passed | Verdict::NotRun), Some(_)) => Some(Self::Worse),
            (Some(_), Some(_)) => Some(Self::Changed),
        }
    }
}

/// The differences between two reports.
#[derive(Debug)]
pub struct Difference<'report> {
    before: &'report Report,
    after: &'report Report,
    /// Sorted by trend, then in the order of the reports.
    changes: Vec<(Trend, Change<'report>)>,
}

#[derive(Debug)]
struct Change<'report> {
    before: Option<&'report Check>,
    after: Option<&'report Check>,
}

impl<'report> Difference<'report> {
    /// Compares the checks by their IDs.
    pub fn new(before: &'report Report, after: &'report Report) -> Self {
        let older: HashMap<&str, &Check> = before.checks.iter().map(|check| (&*check.id, check)).collect();
        let newer: HashMap<&str, &Check> = after.checks.iter().map(|check| (&*check.id, check)).collect();
        let kept =
            after.checks.iter().map(|check| Change { before: older.get(&*check.id).copied(), after: Some(check) });
        let gone = before.checks.iter().filter(|check| !newer.contains_key(&*check.id));
        let gone = gone.map(|check| Change { before: Some(check), after: None });
        let trend = |change: Change<'report>| {
            let verdict = |check: Option<&Check>| check.map(|check| check.verdict);
            Some((Trend::between(verdict(change.before), verdict(change.after))?, change))
        };
        let mut changes: Vec<_> = kept.chain(gone).filter_map(trend).collect();
        changes.sort_by_key(|(trend, _)| *trend);
        Self { before, after, changes }
    }

    pub fn is_worse(&self) -> bool {
        self.changes.iter().any(|(trend, _)| *trend == Trend::Worse)
    }

    /// The differences as text for the terminal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let version = |report: &Report| report.cluster.kubernetes.clone().unwrap_or_else(|| "unknown".to_owned());
        let facts = [
            ("started", self.before.began_at.clone(), self.after.began_at.clone()),
            ("Kubernetes", version(self.before), version(self.after)),
            ("e2e", self.before.product.version.clone(), self.after.product.version.clone()),
            ("mode", self.before.mode.clone(), self.after.mode.clone()),
        ];
        for (name, before, after) in facts.iter().filter(|(_, before, after)| before != after) {
            let _ = writeln!(text, "{:<12}{before} → {after}", format!("{name}:"));
        }
        if !self.changes.is_empty() {
            let mut table = Table::new();
            table.load_style(presets::NOTHING).set_header(["", "check", "before", "after", "because"]);
            for (trend, change) in &self.changes {
                let id = change.after.or(change.before).map(|check| &*check.id).unwrap_or_default();
                let because = change.after.map(reason).unwrap_or_default();
                table.add_row([trend.word(), id, verdict(change.before), verdict(change.after), &because]);
            }
            let space = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{space}{}\n", table.trim_fmt());
        }
        for (_, change) in self.changes.iter().filter(|(trend, _)| *trend == Trend::Worse) {
            let failure = change.after.and_then(|check| Some((check, check.failure.as_ref()?)));
            if let Some((check, failure)) = failure.filter(|(_, failure)| !failure.fix.is_empty()) {
                let _ = writeln!(text, "Remedy for {}: {}", check.id, failure.fix);
            }
        }
        let counted = Trend::ALL.map(|trend| (self.changes.iter().filter(|(it, _)| *it == trend).count(), trend));
        let mut counts: Vec<_> = counted
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, trend)| format!("{count} {}", trend.word()))
            .collect();
        let changed = self.changes.iter().filter(|(_, change)| change.after.is_some()).count();
        counts.push(format!("{} unchanged", self.after.checks.len() - changed));
        let _ = writeln!(text, "Checks: {}", counts.join(", "));
        text
    }
}

fn verdict(check: Option<&Check>) -> &'static str {
    check.map_or("–", |check| Kind::from(check.verdict).word())
}

/// Why a check did not pass.
fn reason(check: &Check) -> String {
    check.failure.as_ref().map_or_else(|| check.not_run.clone(), Failure::sentence)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::record::check_report::CheckReport;
    use crate::report::check::{fixture, json, read};

    fn parsed(report: &CheckReport) -> Report {
        read::read(json::text(report).unwrap().as_bytes()).unwrap()
    }

    #[rstest]
    #[case(Some(Verdict::Passed), Some(Verdict::Passed), None)]
    #[case(Some(Verdict::Failed), Some(Verdict::Failed), None)]
    #[case(Some(Verdict::Passed), Some(Verdict::Failed), Some(Trend::Worse))]
    #[case(Some(Verdict::Passed), Some(Verdict::NotRun), Some(Trend::Worse))]
    #[case(Some(Verdict::NotRun), Some(Verdict::Failed), Some(Trend::Worse))]
    #[case(None, Some(Verdict::Failed), Some(Trend::Worse))]
    #[case(Some(Verdict::NotRun), Some(Verdict::Passed), Some(Trend::Better))]
    #[case(Some(Verdict::Failed), Some(Verdict::Passed), Some(Trend::Better))]
    #[case::a_failed_check_that_is_no_longer_run(Some(Verdict::Failed), Some(Verdict::NotRun), Some(Trend::Changed))]
    #[case(None, Some(Verdict::Passed), Some(Trend::New))]
    #[case(None, Some(Verdict::NotRun), Some(Trend::New))]
    #[case(Some(Verdict::Passed), None, Some(Trend::Gone))]
    fn trends(#[case] before: Option<Verdict>, #[case] after: Option<Verdict>, #[case] expected: Option<Trend>) {
        assert_eq!(Trend::between(before, after), expected);
    }

    #[test]
    fn a_report_equals_itself() {
        let report = parsed(&fixture::failed());
        let difference = Difference::new(&report, &report);
        assert!(!difference.is_worse());
        assert_eq!(difference.text(), "Checks: 4 unchanged\n");
    }

    #[test]
    fn a_worse_report() {
        let (before, after) = (parsed(&fixture::passed()), parsed(&fixture::failed()));
        let difference = Difference::new(&before, &after);
        assert!(difference.is_worse());
        insta::assert_snapshot!(difference.text());
    }

    #[test]
    fn a_better_report() {
        let (before, after) = (parsed(&fixture::failed()), parsed(&fixture::passed()));
        let difference = Difference::new(&before, &after);
        assert!(!difference.is_worse());
        insta::assert_snapshot!(difference.text());
    }
}
