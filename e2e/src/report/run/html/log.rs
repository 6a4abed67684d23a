//! The log of a job: its sections, folded as in GitLab.

use maud::{Markup, html};

use crate::record::Job;
use crate::report::run::log::{Color, Log, Part, Section, Style};
use crate::report::run::words::format_duration;

/// The sections that a reader looks for first. The others are the work of the runner before and after them.
const EXPANDED: [&str; 2] = ["step_script", "after_script"];

/// Renders the log of a job. Without a log, renders the job's last lines.
pub(super) fn log(job: &Job, log: Option<&Log>) -> Markup {
    let sections = log.map_or(&[][..], |log| &log.sections);
    html! {
        @for section in sections { (folded(section, &job.name)) }
        @if sections.is_empty() && !job.last_lines.is_empty() {
            pre tabindex="0" aria-label={ "The last lines of " (job.name) } { (job.last_lines.join("\n")) }
        }
        @if sections.is_empty() && job.last_lines.is_empty() { p.meta { "No output was kept." } }
        @if let Some(path) = &job.log && log.is_none_or(|log| log.is_cut) {
            // Not a link: the page may be on another machine.
            p.meta { "The complete log: " code { (path) } }
        }
    }
}

fn folded(section: &Section, job: &str) -> Markup {
    let Some((title, rest)) = section.lines.split_first().filter(|_| !section.name.is_empty()) else {
        return lines(&section.lines, job);
    };
    let duration = section.duration.filter(|duration| !duration.is_zero());
    html! {
        details.section open[EXPANDED.contains(&&*section.name)] {
            summary { code { (line(title)) } @if let Some(duration) = duration { " " span.duration { (format_duration(duration.as_secs_f64())) } } }
            @if !rest.is_empty() { (lines(rest, job)) }
        }
    }
}

fn lines(lines: &[Vec<Part>], job: &str) -> Markup {
    html! {
        pre tabindex="0" aria-label={ "Output of " (job) } {
            @for (number, parts) in lines.iter().enumerate() {
                @if number > 0 { "\n" }
                (line(parts))
            }
        }
    }
}

fn line(parts: &[Part]) -> Markup {
    html! {
        @for Part { style, text } in parts {
            @match class(*style) {
                Some(class) => span class=(class) { (text) },
                None => (text),
            }
        }
    }
}

fn class(Style { is_bold, color }: Style) -> Option<String> {
    let color = color.map(|color| match color {
        Color::Red => "red",
        Color::Green => "green",
        Color::Yellow => "yellow",
        Color::Blue | Color::Cyan => "blue",
        Color::Magenta => "magenta",
        Color::Gray => "gray",
    });
    let classes: Vec<_> = is_bold.then_some("bold").into_iter().chain(color).collect();
    (!classes.is_empty()).then(|| classes.join(" "))
}
