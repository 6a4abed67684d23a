//! A pipeline while it runs: on a terminal a line for each running job, elsewhere every line of every job with the job's name
//! before it, or events as JSON.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar};

use super::pipeline::seconds;
use super::spinner::spinner;
use gitlab_runner::event::Event;
use gitlab_runner::event::JobReport;
use gitlab_runner::log::without_colours;
use gitlab_runner::status::Status;

/// How long a job may be silent before it is told that it still runs.
pub const HEARTBEAT: Duration = Duration::from_secs(30);

/// How wide a job's name is at most before its lines.
const WIDEST_NAME: usize = 24;

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing until the end.
    Quiet,
    /// What standard error can carry.
    People,
    /// Every event as a line of JSON, to standard output.
    Json,
}

/// A pipeline's view.
pub struct View {
    began: Instant,
    kind: Kind,
}

enum Kind {
    Quiet,
    Json,
    Plain { jobs: Mutex<BTreeMap<Arc<str>, Instant>>, width: usize },
    Terminal { bars: MultiProgress, jobs: Mutex<BTreeMap<Arc<str>, ProgressBar>>, unfolded: bool },
}

impl View {
    /// A view of jobs with these names.
    pub fn new<'name>(mode: Mode, names: impl Iterator<Item = &'name str>) -> Self {
        let lengths: Vec<usize> = names.map(|name| name.chars().count()).collect();
        let kind = match mode {
            Mode::Quiet => Kind::Quiet,
            Mode::Json => Kind::Json,
            Mode::People if io::stderr().is_terminal() => Kind::Terminal {
                bars: MultiProgress::new(),
                jobs: Mutex::default(),
                // Of one job alone all lines can be read.
                unfolded: lengths.len() == 1,
            },
            Mode::People => Kind::Plain {
                jobs: Mutex::default(),
                width: lengths.into_iter().max().unwrap_or_default().min(WIDEST_NAME),
            },
        };
        Self { began: Instant::now(), kind }
    }

    /// Shows that something happened.
    pub fn show(&self, event: &Event) {
        match &self.kind {
            Kind::Quiet => {}
            Kind::Json => {
                // What cannot be written is nothing that the pipeline could do anything about.
                if let Ok(line) = serde_json::to_string(event) {
                    let _ = writeln!(io::stdout(), "{line}");
                }
            }
            Kind::Plain { jobs, width } => self.show_plain(event, jobs, *width),
            Kind::Terminal { bars, jobs, unfolded } => self.show_on_terminal(event, bars, jobs, *unfolded),
        }
    }

    fn show_plain(&self, event: &Event, jobs: &Mutex<BTreeMap<Arc<str>, Instant>>, width: usize) {
        let mut jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::JobStarted { job, .. } | Event::Step { job, .. } => {
                jobs.insert(Arc::clone(job), Instant::now());
            }
            Event::Line { job, line } => {
                jobs.insert(Arc::clone(job), Instant::now());
                let line = without_colours(line);
                let _ = writeln!(io::stderr(), "{} {job:width$} | {line}", elapsed(self.began.elapsed()));
                return;
            }
            Event::JobEnded(report) => drop(jobs.remove(&report.job)),
            _ => {}
        }
        if let Some(line) = story(event) {
            let _ = writeln!(io::stderr(), "{} {line}", elapsed(self.began.elapsed()));
        }
    }

    fn show_on_terminal(
        &self,
        event: &Event,
        bars: &MultiProgress,
        jobs: &Mutex<BTreeMap<Arc<str>, ProgressBar>>,
        unfolded: bool,
    ) {
        let mut jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::JobStarted { job, .. } => {
                jobs.insert(Arc::clone(job), bars.add(spinner(job)));
                return;
            }
            Event::Line { job, line } if !unfolded => {
                if let Some(bar) = jobs.get(job) {
                    bar.set_message(without_colours(line));
                }
                return;
            }
            Event::Line { line, .. } => {
                let _ = bars.println(line);
                return;
            }
            Event::JobEnded(report) => {
                if let Some(bar) = jobs.remove(&report.job) {
                    bar.finish_and_clear();
                    bars.remove(&bar);
                }
            }
            _ => {}
        }
        if let Some(line) = story(event) {
            let _ = bars.println(format!("{} {line}", elapsed(self.began.elapsed())));
        }
    }

    /// Tells, where nothing moves by itself, which jobs have been silent for long. To be called every [`HEARTBEAT`].
    pub fn heartbeat(&self) {
        if let Kind::Plain { jobs, .. } = &self.kind {
            let jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
            let silent = jobs.iter().filter(|(_, heard)| heard.elapsed() >= HEARTBEAT);
            let words: Vec<_> =
                silent.map(|(job, heard)| format!("{job}, silent for {} s", heard.elapsed().as_secs())).collect();
            if !words.is_empty() {
                let at = elapsed(self.began.elapsed());
                let _ = writeln!(io::stderr(), "{at} still running: {}", words.join("; "));
            }
        }
    }
}

/// A line of the story, or none where there is nothing to tell.
fn story(event: &Event) -> Option<String> {
    Some(match event {
        Event::PipelineStarted { id, jobs, folder } => {
            let jobs = if *jobs == 1 { "1 job".to_owned() } else { format!("{jobs} jobs") };
            format!("pipeline {id}: {jobs}, logs in {}", folder.display())
        }
        Event::JobStarted { job, attempt: 1 } => format!("{job}: started"),
        Event::JobStarted { job, attempt } => format!("{job}: started, attempt {attempt}"),
        Event::JobEnded(report) => ended(report),
        Event::JobWaits { job, why } => format!("{job}: {why}"),
        Event::Note { job: Some(job), text } => format!("{job}: {text}"),
        Event::Note { job: None, text } => text.clone(),
        Event::Step { .. } | Event::Line { .. } | Event::JobNotRun(_) | Event::PipelineEnded { .. } => return None,
    })
}

fn ended(report: &JobReport) -> String {
    let mark = match report.status {
        Status::Success => "✔",
        Status::Failed if report.allow_failure => "!",
        _ => "✘",
    };
    let why = if report.why.is_empty() { String::new() } else { format!(" ({})", report.why) };
    let again = if report.is_retried { ", is tried again" } else { "" };
    format!("{mark} {}: {}{why}, {}{again}", report.job, report.status.name(), seconds(report.took))
}

fn elapsed(time: Duration) -> String {
    format!("{:>5.1} s", time.as_secs_f64())
}
