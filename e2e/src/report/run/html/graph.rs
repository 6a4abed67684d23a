//! A pipeline's jobs: stages as columns, jobs as boxes. On narrow screens the columns stack.
//!
//! Boxes are HTML, so that their texts can be read aloud, copied and enlarged. The lines behind them use the dimensions that the
//! boxes get here.

use std::collections::HashMap;

use maud::{Markup, html};

use super::geometry::{GAP, HEADER, HEIGHT, Location, SPACE, WIDTH, rem};
use super::icon::{class, icon};
use super::{link, needs};
use crate::record::{Job, Pipeline};
use crate::report::run::words::{Kind, format_duration, job_word};

pub(super) fn graph(number: usize, pipeline: &Pipeline) -> Markup {
    let columns = columns(pipeline);
    let locations: HashMap<&str, Location> = columns
        .iter()
        .enumerate()
        .flat_map(|(column, (_, jobs))| jobs.iter().enumerate().map(move |(row, (_, job))| (&*job.name, (column, row))))
        .collect();
    let rows = columns.iter().map(|(_, jobs)| jobs.len()).max().unwrap_or_default();
    let sizes = format!(
        "--box-width:{};--box-height:{};--gap:{};--space:{};--header:{}",
        rem(WIDTH),
        rem(HEIGHT),
        rem(GAP),
        rem(SPACE),
        rem(HEADER)
    );
    html! {
        div.scroll tabindex="0" role="group" aria-label={ "The jobs of pipeline " (pipeline.id) } {
            div.graph style=(sizes) {
                (needs::lines(pipeline, &locations, (columns.len(), rows)))
                @for (stage, jobs) in &columns {
                    div.stage {
                        h4 { (stage) }
                        ul {
                            @for (job_number, job) in jobs { (node(&link::anchor(number, *job_number), job)) }
                        }
                    }
                }
            }
        }
    }
}

type Column<'pipeline> = (&'pipeline str, Vec<(usize, &'pipeline Job)>);

/// The stages with their jobs and the jobs' numbers. Stages that are missing in the pipeline's list come last.
fn columns(pipeline: &Pipeline) -> Vec<Column<'_>> {
    let mut columns: Vec<Column<'_>> = pipeline.stages.iter().map(|stage| (&**stage, Vec::new())).collect();
    for (number, job) in pipeline.jobs.iter().enumerate() {
        match columns.iter_mut().find(|(stage, _)| *stage == job.stage) {
            Some((_, jobs)) => jobs.push((number, job)),
            None => columns.push((&job.stage, vec![(number, job)])),
        }
    }
    columns.retain(|(_, jobs)| !jobs.is_empty());
    columns
}

fn node(anchor: &str, job: &Job) -> Markup {
    let kind = Kind::from_job(job);
    let mut about = Vec::new();
    about.push(if job.attempts > 0 { format_duration(job.duration) } else { job_word(job).to_owned() });
    if job.attempts > 1 {
        about.push(format!("attempt {}", job.attempts));
    }
    html! {
        li.job.(class(kind)) title=(title(job)) {
            (icon(kind))
            div {
                span.name {
                    @if link::has_log(job) { a href={ "#" (anchor) } { (job.name) } } @else { (job.name) }
                }
                span.about { (about.join(" · ")) }
                @if let Some(environment) = &job.environment {
                    span.about.where {
                        "→ "
                        @match &job.environment_url {
                            Some(url) if link::is_web(url) => a href=(url) rel="noreferrer" { (environment) },
                            _ => (environment),
                        }
                    }
                }
                @if let Some(needs) = job.needs.as_ref().filter(|needs| !needs.is_empty()) {
                    span.needs { "needs " (needs.join(", ")) }
                }
            }
        }
    }
}

fn title(job: &Job) -> String {
    let mut lines = vec![format!("{}: {}", job.name, job_word(job))];
    if !job.reason.is_empty() {
        lines.push(job.reason.clone());
    }
    lines.extend(job.environment.as_ref().map(|environment| format!("environment {environment}")));
    match job.needs.as_deref() {
        None => {}
        Some([]) => lines.push("no needs: starts immediately".to_owned()),
        Some(needs) => lines.push(format!("needs {}", needs.join(", "))),
    }
    lines.join("\n")
}
