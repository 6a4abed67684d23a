//! The pipelines: each as a graph, with the last log lines of failed jobs.

use maud::{Markup, html};

use super::icon::pill;
use super::link::{anchor, has_log};
use super::{graph, link};
use crate::record::{Job, Pipeline, Record};
use crate::report::run::words::{Kind, about_job, count, format_duration, job_word};

pub(super) fn section(record: &Record) -> Option<Markup> {
    (!record.pipelines.is_empty()).then(|| {
        html! {
            @for (number, pipeline) in record.pipelines.iter().enumerate() { (article(number, pipeline)) }
        }
    })
}

fn article(number: usize, pipeline: &Pipeline) -> Markup {
    let kind = Kind::from_pipeline(pipeline);
    let run = pipeline.jobs.iter().filter(|job| job.attempts > 0).count();
    html! {
        article.card aria-labelledby={ "pipeline-" (number) } {
            div.head {
                h3 id={ "pipeline-" (number) } { (pipeline.title) }
                (pill(kind, if kind == Kind::Warned { "passed with warnings" } else { kind.word() }))
                p.meta {
                    "#" (pipeline.id) " · " @if pipeline.is_tag { "tag " } @else { "branch " } code { (pipeline.ref_name) }
                    " · " span.whole { (count(run, "job")) " run" } " · " span.whole { (format_duration(pipeline.duration)) }
                }
            }
            (graph::graph(number, pipeline))
            @for (job_number, job) in pipeline.jobs.iter().enumerate() {
                @if has_log(job) { (log(&anchor(number, job_number), job)) }
            }
        }
    }
}

fn log(anchor: &str, job: &Job) -> Markup {
    let kind = Kind::from_job(job);
    let about = about_job(job);
    html! {
        details.log id=(anchor) open[kind == Kind::Failed] {
            summary {
                (pill(kind, job_word(job))) " " code { (job.name) }
                @if !about.is_empty() { ": " (about) }
            }
            @if !job.last_lines.is_empty() {
                pre tabindex="0" aria-label={ "The last lines of " (job.name) } { (job.last_lines.join("\n")) }
            }
            @if job.last_lines.is_empty() { p.meta { "No output was kept." } }
            @if let Some(path) = &job.log { p.meta { "Full log: " (link::file(path)) } }
        }
    }
}
