//! A pipeline, in a live view: a log shows every line of every job with the job's name before it.

use gitlab_runner::event::{Event, JobReport};
use gitlab_runner::log::without_colors;
use gitlab_runner::status::Status;

use super::change::{Change, LiveEvent};
use crate::report::pipeline::seconds;

impl LiveEvent for Event {
    fn change(&self) -> Change<'_> {
        match self {
            Self::JobStarted { job, .. } | Self::Step { job, .. } => Change::Starts((&**job).into()),
            Self::Line { job, line } => Change::Prints((&**job).into(), without_colors(line)),
            Self::JobEnded(report) => Change::Ends((&*report.job).into()),
            _ => Change::Nothing,
        }
    }

    fn line(&self) -> Option<String> {
        Some(match self {
            Self::PipelineStarted { gitlab, id, jobs, dir } => {
                let jobs = if *jobs == 1 { "1 job".to_owned() } else { format!("{jobs} jobs") };
                format!("pipeline {id}: {jobs}, GitLab {gitlab}, logs in {}", dir.display())
            }
            Self::JobStarted { job, attempt: 1 } => format!("{job}: started"),
            Self::JobStarted { job, attempt } => format!("{job}: started, attempt {attempt}"),
            Self::JobEnded(report) => ended(report),
            Self::JobWaits { job, reason } => format!("{job}: {reason}"),
            Self::Note { job: Some(job), text } => format!("{job}: {text}"),
            Self::Note { job: None, text } => text.clone(),
            Self::Step { .. } | Self::Line { .. } | Self::JobNotRun(_) | Self::PipelineEnded { .. } => return None,
        })
    }

    fn json(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

fn ended(report: &JobReport) -> String {
    let mark = match report.status {
        Status::Success => "✔",
        Status::Failed if report.allow_failure => "!",
        _ => "✘",
    };
    let reason = if report.reason.is_empty() { String::new() } else { format!(" ({})", report.reason) };
    let again = if report.is_retried { ", is retried" } else { "" };
    format!("{mark} {}: {}{reason}, {}{again}", report.job, report.status.name(), seconds(report.duration))
}
