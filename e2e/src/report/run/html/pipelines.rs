//! The pipelines: each as a graph, with the logs of its jobs. Those of failed jobs are expanded.

use maud::{Markup, html};

use super::icon::pill;
use super::link::{anchor, has_log};
use super::{graph, log};
use crate::record::{Job, Pipeline, Record};
use crate::report::run::log::Logs;
use crate::report::run::words::{Kind, about_job, count, format_duration, job_word};

pub(super) fn section(record: &Record, logs: &Logs) -> Option<Markup> {
    (!record.pipelines.is_empty()).then(|| {
        html! {
            @for (number, pipeline) in record.pipelines.iter().enumerate() { (article(number, pipeline, logs)) }
        }
    })
}

fn article(number: usize, pipeline: &Pipeline, logs: &Logs) -> Markup {
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
                @if has_log(job) { (details(&anchor(number, job_number), job, logs)) }
            }
        }
    }
}

fn details(anchor: &str, job: &Job, logs: &Logs) -> Markup {
    let kind = Kind::from_job(job);
    let about = about_job(job);
    html! {
        details.log open[kind == Kind::Failed] {
            summary {
                (pill(kind, job_word(job))) " " code { (job.name) }
                @if !about.is_empty() { ": " (about) }
            }
            // Within the element, because a browser expands an element that contains the target of a link.
            div id=(anchor) { (log::log(job, job.log.as_ref().and_then(|path| logs.get(path)))) }
        }
    }
}
