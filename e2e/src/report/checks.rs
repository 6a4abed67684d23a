//! The output of checks in the terminal: a line for each check while they run, then a table and the failures in full.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};

use crate::checks::Check;
use crate::record::{Check as Record, Failure, Verdict};

/// Number of details that are shown of a failure. A page folds the others, and the terminal leaves them out.
pub const MAX_DETAILS: usize = 3;

/// The list of checks, each with the claim that it verifies.
pub fn list(checks: &[Check]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["check", "proves that"]);
    for check in checks {
        table.add_row([check.name, check.proves]);
    }
    format!("{}\n", table.trim_fmt())
}

/// The result of a check, on one line.
pub fn line(check: &Record) -> String {
    let Record { name, environment, duration, .. } = check;
    match (check.verdict, &check.failure) {
        (Verdict::NotRun, _) => format!("– {environment} {name}: not run, {}", check.not_run),
        (_, Some(failure)) => {
            format!("✘ {environment} {name}: {}, {duration:.1} s", failure.sentence())
        }
        (_, None) => format!("✔ {environment} {name}: {}, {duration:.1} s", check.proves),
    }
}

/// The results of all checks.
pub fn text(checks: &[Record]) -> String {
    let mut text = String::new();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["check", "environment", "verdict", "duration", "seen"]);
    for check in checks {
        let (verdict, seen) = match check.verdict {
            Verdict::Passed => ("passed", check.evidence.first().cloned().unwrap_or_default()),
            Verdict::NotRun => ("not run", check.not_run.clone()),
            _ => ("failed", check.failure.as_ref().map(|failure| failure.seen.clone()).unwrap_or_default()),
        };
        let duration =
            if check.verdict == Verdict::NotRun { String::new() } else { format!("{:.1} s", check.duration) };
        table.add_row([&*check.name, &check.environment, verdict, &duration, &seen]);
    }
    if let Some(column) = table.column_mut(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let _ = writeln!(text, "{}", table.trim_fmt());
    for check in checks {
        if let Some(failure) = &check.failure {
            let _ = write!(text, "\n{}", describe_briefly(check, failure));
        }
    }
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let counts = [(Verdict::Passed, "passed"), (Verdict::Failed, "failed"), (Verdict::NotRun, "not run")];
    let counts = counts.map(|(verdict, word)| (count(verdict), word));
    let counts: Vec<_> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let _ = writeln!(text, "\nChecks: {}", counts.join(", "));
    text
}

/// A failure with its first details, among them the causes that the cluster shows: `Failure::explained_by` puts them first.
pub fn describe_briefly(check: &Record, failure: &Failure) -> String {
    with_details(check, failure, MAX_DETAILS)
}

/// A failure with all of its details.
pub fn describe_in_full(check: &Record, failure: &Failure) -> String {
    with_details(check, failure, usize::MAX)
}

fn with_details(check: &Record, failure: &Failure, max: usize) -> String {
    let Failure { expected, seen, object, details, cause, is_seen, fix, is_after_success: _ } = failure;
    let cause_name = if *is_seen { "cause" } else { "likely cause" };
    let mut text = format!("{} of {} failed: {}\n", check.name, check.environment, check.proves);
    let facts = [("expected", expected), ("actual", seen), ("at", object), (cause_name, cause), ("remedy", fix)];
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(text, "  {:<13} {value}", format!("{name}:"));
    }
    for line in details.iter().take(max) {
        let _ = writeln!(text, "  | {line}");
    }
    if let Some(more @ 1..) = details.len().checked_sub(max) {
        let _ =
            writeln!(text, "  | … {more} more lines: see `--format json` or `--html FILE`, or the report of `e2e run`");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::CHECKS;
    use crate::checks::failure::expected;

    fn checks() -> Vec<Record> {
        let check = |name: &str, verdict, duration| Record {
            name: name.to_owned(),
            environment: "dev".to_owned(),
            proves: format!("{name} works"),
            verdict,
            duration,
            ..Record::default()
        };
        vec![
            Record { evidence: vec!["web-1 responds".to_owned()], ..check("service", Verdict::Passed, 0.4) },
            Record {
                not_run: "the Service of Prometheus is not given".to_owned(),
                ..check("scraping", Verdict::NotRun, 0.0)
            },
            Record {
                failure: Some(
                    expected("a rule for dev.test")
                        .actual("other.test")
                        .at("Ingress gitlab/web")
                        .with("event: none")
                        .hint("another base domain", "set it"),
                ),
                ..check("ingress", Verdict::Failed, 120.04)
            },
        ]
    }

    #[test]
    fn a_table_with_failures_in_full() {
        insta::assert_snapshot!(text(&checks()));
    }

    #[test]
    fn one_line_per_check() {
        insta::assert_snapshot!(checks().iter().map(line).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn the_list_of_checks() {
        insta::assert_snapshot!(list(CHECKS));
    }
}
