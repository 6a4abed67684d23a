//! The steps of the scenario.

use maud::{Markup, html};

use super::icon::{class, icon};
use crate::record::{Record, Step};
use crate::report::run::words::{Kind, format_duration};

pub(super) fn section(record: &Record) -> Option<Markup> {
    (!record.steps.is_empty()).then(|| {
        html! {
            ol.scenario {
                @for step in &record.steps { (row(step)) }
            }
        }
    })
}

fn row(step: &Step) -> Markup {
    let kind = Kind::from(step.verdict);
    html! {
        li.(class(kind)) {
            (icon(kind))
            div.what {
                h3 { (step.name) }
                (text(&step.outcome))
            }
            @if kind != Kind::NotRun { span.duration { (format_duration(step.duration)) } }
        }
    }
}

/// A text whose first line is a sentence; further lines are preformatted.
pub(super) fn text(text: &str) -> Markup {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    html! {
        @if !first.is_empty() { p { (first) } }
        @if !rest.is_empty() { pre tabindex="0" { (rest) } }
    }
}
