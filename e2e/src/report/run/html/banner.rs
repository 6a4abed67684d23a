//! The banner of the page: the verdict, the project, the start and duration, and links to the failures.

use maud::{Markup, html};

use super::icon::{class, silent};
use super::{link, steps};
use crate::record::{Check, Record, Verdict};
use crate::report::run::words::{Kind, Tally, about_check, about_job, capital, count, cut, format_duration, short};

/// Maximum length of the summary of a failure.
const MAX_LENGTH: usize = 160;

pub(super) fn banner(record: &Record) -> Markup {
    let kind = Kind::from(record.verdict);
    let project = &record.project;
    html! {
        header.banner.(class(kind)) {
            (verdict(kind, &html! {
                p.project {
                    strong { (project.path) }
                    @if !project.commit.is_empty() { " " code title=(project.commit) { (short(&project.commit)) } }
                    " " (project.title)
                }
                p.meta {
                    "Run " code { (record.id) } ", started " (time(&record.began_at))
                    @if project.uncommitted > 0 {
                        " · " (count(project.uncommitted, "file")) " with uncommitted changes, which were not run"
                    }
                }
            }))
            ul.tiles {
                (total_time(record.duration))
                (tile("pipeline", "pipelines", Tally::pipelines(record)))
                (tile("job", "pipelines", Tally::jobs(record)))
                (tile("check", "checks", Tally::checks(&record.checks)))
            }
            @if kind != Kind::Passed { (failures(record)) }
        }
    }
}

/// The result, with more about it.
pub(in crate::report) fn verdict(kind: Kind, about: &Markup) -> Markup {
    html! {
        div.verdict {
            (silent(kind))
            div {
                h1 { (capital(kind.word())) }
                (about)
            }
        }
    }
}

pub(in crate::report) fn time(time: &str) -> Markup {
    html! { time datetime=(time) { (when(time)) } }
}

/// `2026-03-07 16:05:00 UTC`
pub(in crate::report) fn when(time: &str) -> String {
    time.replacen('T', " ", 1).replacen('Z', " UTC", 1)
}

pub(in crate::report) fn total_time(duration: f64) -> Markup {
    html! { li { strong { (format_duration(duration)) } span { "total time" } } }
}

pub(in crate::report) fn tile(what: &str, section: &str, tally: Tally) -> Markup {
    let counted = [(tally.failed, "failed"), (tally.interrupted, "interrupted"), (tally.not_run, "not run")];
    let words: Vec<_> =
        counted.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let state = if words.is_empty() && tally.all > 0 { "all passed".to_owned() } else { words.join(", ") };
    let all = count(tally.all, what);
    html! {
        li {
            @if tally.all == 0 { strong { (all) } }
            @else { a href={ "#" (section) } { strong { (all) } } }
            span.failed[tally.failed > 0] { (state) }
        }
    }
}

fn failures(record: &Record) -> Markup {
    let jobs = record.pipelines.iter().enumerate().flat_map(|(of, pipeline)| {
        let failed = pipeline.jobs.iter().enumerate().filter(|(_, job)| Kind::from_job(job) == Kind::Failed);
        failed.map(move |(number, job)| (link::anchor(of, number), pipeline, job))
    });
    let checks = record.checks.iter().filter(|check| check.verdict.is_failure());
    let jobs: Vec<_> = jobs.collect();
    let checks: Vec<_> = checks.collect();
    html! {
        @if record.broken.is_some() || !jobs.is_empty() || !checks.is_empty() {
            div.what-failed {
                h2 { @if record.verdict == Verdict::Interrupted { "Where it was interrupted" } @else { "What failed" } }
                @if let Some(reason) = &record.broken { (steps::text(reason)) }
                ul {
                    @for (anchor, pipeline, job) in &jobs {
                        li {
                            a href={ "#" (anchor) } { "Job " code { (job.name) } " of pipeline " (pipeline.id) }
                            @let about = cut(&about_job(job), MAX_LENGTH);
                            @if !about.is_empty() { ": " (about) }
                        }
                    }
                    @for check in &checks {
                        li { (failed_check(check, MAX_LENGTH)) }
                    }
                }
            }
        }
    }
}

/// A link to a failed check, with at most `max_length` characters about it, and its remedy.
pub(in crate::report) fn failed_check(check: &Check, max_length: usize) -> Markup {
    html! {
        a href={ "#" (check.id()) } { "Check " code { (check.name) } " on " (check.environment) }
        @let about = cut(&about_check(check), max_length);
        @if !about.is_empty() { ": " (about) }
        @if let Some(failure) = check.failure.as_ref().filter(|failure| !failure.fix.is_empty()) {
            p.meta { strong { "Remedy: " } (failure.fix) }
        }
    }
}
