//! The result of a pipeline in the terminal: a table, the last log lines of failed jobs, and a verdict.

use std::fmt::Write;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use gitlab_ci::plan::Plan;
use gitlab_ci::plan::context::RefKind;
use gitlab_runner::event::JobReport;
use gitlab_runner::pipeline::Outcome;
use gitlab_runner::status::Status;

/// The complete result.
pub fn text(plan: &Plan, id: u64, outcome: &Outcome) -> String {
    let mut text = String::new();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["job", "stage", "status", "duration", "details"]);
    for job in &outcome.jobs {
        let duration = if job.attempt > 0 { seconds(job.duration) } else { String::new() };
        table.add_row([job.job.to_string(), job.stage.to_string(), status(job), duration, details(job)]);
    }
    if let Some(column) = table.column_mut(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let _ = writeln!(text, "{}", table.trim_fmt());
    for job in outcome.jobs.iter().filter(|job| job.status == Status::Failed) {
        let log = job.log.as_ref().map(|log| format!(" (full log: {})", log.display())).unwrap_or_default();
        let _ = writeln!(text, "\n{} failed: {}. Last lines{log}:", job.job, job.reason);
        for line in &job.last_lines {
            let _ = writeln!(text, "  | {line}");
        }
    }
    let _ = writeln!(text, "\n{}", verdict(plan, id, outcome));
    text
}

fn status(job: &JobReport) -> String {
    match job.status {
        Status::Failed if job.allow_failure => "failed, allowed".to_owned(),
        status => status.name().to_owned(),
    }
}

fn details(job: &JobReport) -> String {
    let mut words = Vec::new();
    if job.attempt > 1 {
        words.push(format!("attempt {}", job.attempt));
    }
    if !job.reason.is_empty() {
        words.push(job.reason.clone());
    }
    if let Some(tests) = &job.tests {
        let failed = if tests.failed > 0 { format!(", {} failed", tests.failed) } else { String::new() };
        words.push(format!("{} tests{failed}", tests.total));
    }
    if let Some(coverage) = job.coverage {
        words.push(format!("coverage {coverage} %"));
    }
    words.extend(job.environment_url.clone().filter(|_| job.status == Status::Success));
    words.join("; ")
}

/// The verdict, on one line.
pub fn verdict(plan: &Plan, id: u64, outcome: &Outcome) -> String {
    let kind = match plan.context.kind {
        RefKind::Branch => "branch",
        RefKind::Tag => "tag",
        RefKind::MergeRequest => "merge request of",
    };
    let mut counts: Vec<(String, usize)> = Vec::new();
    for job in &outcome.jobs {
        let status = status(job);
        match counts.iter_mut().find(|(known, _)| *known == status) {
            Some((_, count)) => *count += 1,
            None => counts.push((status, 1)),
        }
    }
    let counts: Vec<_> = counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
    let commit = plan.context.commit.sha.get(..8).unwrap_or_default();
    let has_warnings = outcome.jobs.iter().any(|job| job.status == Status::Failed && job.allow_failure);
    let word = match (outcome.status, &outcome.blocked_by) {
        (Status::Manual, Some(job)) => format!("blocked by manual job `{job}`: start it with --manual '{job}'"),
        (Status::Success, _) if has_warnings => "passed with warnings".to_owned(),
        (status, _) => status.name().to_owned(),
    };
    let (name, duration) = (&plan.context.ref_name, seconds(outcome.duration));
    format!("Pipeline {id} for {kind} {name}, commit {commit}: {word}, {duration} ({})", counts.join(", "))
}

/// `12.3 s`
pub fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
