//! The output at the end of a run in the terminal: a table, the failures in full, and the verdict on one line.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};

use super::clean::cleaned;
use super::words::{self, Kind, about_check, about_job, cut, format_duration};
use crate::record::{Check, Job, Pipeline, Record};
use crate::report::checks::describe_briefly;

/// Maximum length of the last column of the table; failures follow in full below it.
const MAX_LENGTH: usize = 100;

pub fn text(record: &Record) -> String {
    let record = &cleaned(record);
    let mut text = String::new();
    let table = table(record);
    if !table.is_empty() {
        let _ = writeln!(text, "{}", table.trim_fmt());
    }
    for check in &record.checks {
        if let Some(failure) = &check.failure {
            let _ = write!(text, "\n{}", describe_briefly(check, failure));
        }
    }
    for (pipeline, job) in words::failed_jobs(record) {
        job_in_full(&mut text, pipeline, job);
    }
    if let Some(reason) = &record.broken {
        let _ = writeln!(text, "\n{reason}");
    }
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "\n{}", words::verdict(record));
    text
}

fn table(record: &Record) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["", "what", "of", "duration", "seen"]);
    let mut add = |kind: Kind, what: &str, of: &str, duration: f64, seen: &str| {
        let duration = if kind == Kind::NotRun { String::new() } else { format_duration(duration) };
        table.add_row([kind.symbol(), what, of, &duration, &cut(seen, MAX_LENGTH)]);
    };
    for step in &record.steps {
        add(step.verdict.into(), &step.name, "scenario", step.duration, &step.outcome);
    }
    for (pipeline, job) in words::failed_jobs(record) {
        add(Kind::Failed, &job.name, &format!("pipeline {}", pipeline.id), job.duration, &about_job(job));
    }
    for check in &record.checks {
        add(check.verdict.into(), &check.name, &check.environment, check.duration, &seen(check));
    }
    if let Some(column) = table.column_mut(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn seen(check: &Check) -> String {
    // The expectation follows below the table.
    check.failure.as_ref().map_or_else(|| about_check(check), |failure| failure.seen.clone())
}

fn job_in_full(text: &mut String, pipeline: &Pipeline, job: &Job) {
    let log = job.log.as_ref().map(|log| format!(" (full log: {log})")).unwrap_or_default();
    let _ = writeln!(text, "\n{} of pipeline {} failed: {}", job.name, pipeline.id, about_job(job));
    let _ = writeln!(text, "  last lines{log}:");
    for line in &job.last_lines {
        let _ = writeln!(text, "  | {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::run::fixture;

    #[test]
    fn everything_passes() {
        insta::assert_snapshot!(text(&fixture::passed()));
    }

    #[test]
    fn something_failed() {
        insta::assert_snapshot!(text(&fixture::failed()));
    }

    #[test]
    fn the_run_was_interrupted() {
        insta::assert_snapshot!(text(&fixture::interrupted()));
    }

    #[test]
    fn an_empty_run() {
        assert_eq!(text(&Record::default()), "\nNOT RUN: 0 jobs in 0 pipelines, 0 checks, 0.0 s\n");
    }
}
