//! For people: the checks, what failed, one line of verdict.

use std::fmt::Write;

use crate::record::{Record, Verdict};
use crate::report::checks;

/// All of it.
pub fn text(record: &Record) -> String {
    let mut text = checks::text(&record.checks);
    for pipeline in &record.pipelines {
        for job in pipeline.jobs.iter().filter(|job| job.status == "failed") {
            let log = job.log.as_ref().map(|log| format!(" (the whole log is {log})")).unwrap_or_default();
            let _ = writeln!(text, "\n{} failed: {}. Its last lines{log}:", job.name, job.why);
            for line in &job.last_lines {
                let _ = writeln!(text, "  | {line}");
            }
        }
    }
    if let Some(why) = &record.broken {
        let _ = writeln!(text, "\n{why}");
    }
    let word = match record.verdict {
        Verdict::Passed => "PASSED",
        Verdict::Failed => "FAILED",
        Verdict::NotRun => "NOT RUN",
        Verdict::Interrupted => "INTERRUPTED",
    };
    let jobs: usize = record.pipelines.iter().map(|it| it.jobs.iter().filter(|job| job.attempts > 0).count()).sum();
    let (pipelines, checks) = (record.pipelines.len(), record.checks.len());
    let _ = writeln!(text, "\n{word}: {jobs} jobs in {pipelines} pipelines, {checks} checks, {:.0} s", record.took);
    text
}
