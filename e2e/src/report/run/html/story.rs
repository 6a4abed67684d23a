//! The steps of the story.

use maud::{Markup, html};

use super::icon::{class, icon};
use crate::record::{Record, Step};
use crate::report::run::words::{Kind, duration};

pub(super) fn section(record: &Record) -> Option<Markup> {
    (!record.steps.is_empty()).then(|| {
        html! {
            ol.story {
                @for step in &record.steps { (of(step)) }
            }
        }
    })
}

fn of(step: &Step) -> Markup {
    let kind = Kind::from(step.verdict);
    html! {
        li.(class(kind)) {
            (icon(kind))
            div.what {
                h3 { (step.name) }
                (told(&step.outcome))
            }
            @if kind != Kind::NotRun { span.took { (duration(step.took)) } }
        }
    }
}

/// A text of which the first line says what, and the others may be a drawing.
pub(super) fn told(text: &str) -> Markup {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    html! {
        @if !first.is_empty() { p { (first) } }
        @if !rest.is_empty() { pre tabindex="0" { (rest) } }
    }
}
