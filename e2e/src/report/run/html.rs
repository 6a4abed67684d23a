//! For who looks at a run later: one page that needs nothing else, neither a network nor scripts.
//!
//! - `banner`: the verdict, and what led to it. `story`: the steps.
//! - `pipelines`, with `graph` and `needs`: jobs. `checks`: what was proved.
//! - `timeline`, with `lane`: where time went. `appendix`: versions and commands.
//! - `icon`, `link`: what the others are made with.

mod appendix;
mod banner;
mod checks;
#[cfg(test)]
mod contrast;
mod geometry;
mod graph;
mod icon;
mod lane;
mod link;
mod needs;
mod pipelines;
mod story;
#[cfg(test)]
mod tests;
mod timeline;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::clean::cleaned;
use super::words::{self, Kind};
use crate::record::Record;

const STYLE: &str = include_str!("html/report.css");

/// Nothing is loaded, whatever a log may contain.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// The page.
pub fn page(record: &Record) -> String {
    let record = &cleaned(record);
    let kind = Kind::from(record.verdict);
    let sections = [
        ("story", "Story", story::section(record)),
        ("pipelines", "Pipelines", pipelines::section(record)),
        ("timeline", "Timeline", timeline::section(record)),
        ("checks", "Checks", checks::section(record)),
        ("versions", "Versions", appendix::versions(record)),
        ("commands", "Look for yourself", appendix::commands(record)),
    ];
    let sections: Vec<_> = sections.into_iter().filter_map(|(id, title, body)| Some((id, title, body?))).collect();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (words::capital(kind.word())) ": " (record.project.path) " " (words::short(&record.project.commit)) }
                link rel="icon" href=(icon::favicon(kind));
                style { (PreEscaped(STYLE)) }
            }
            body {
                (icon::symbols())
                a.skip href="#content" { "Skip to the content" }
                (banner::banner(record))
                (navigation(&sections))
                main #content {
                    @for (id, title, body) in &sections {
                        section id=(id) aria-labelledby={ (id) "-title" } {
                            h2 id={ (id) "-title" } { (title) }
                            (body)
                        }
                    }
                }
                footer {
                    p { "Made by e2e. " code { "report.json" } " beside this page has all of it for programs, "
                        code { "junit.xml" } " what CI needs." }
                }
            }
        }
    }
    .into_string()
}

fn navigation(sections: &[(&str, &str, Markup)]) -> Markup {
    html! {
        nav aria-label="Sections" {
            ul {
                @for (id, title, _) in sections {
                    li { a href={ "#" (id) } { (title) } }
                }
            }
        }
    }
}
