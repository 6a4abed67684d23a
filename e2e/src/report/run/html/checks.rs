//! The checks of each environment, each with its claim and its observations. Failures are expanded.

use maud::{Markup, html};

use super::icon::{class, icon};
use crate::record::{Check, Failure, Record};
use crate::report::checks::MAX_DETAILS;
use crate::report::run::words::{Kind, Tally, by_environment, count, format_duration};

pub(super) fn section(record: &Record) -> Option<Markup> {
    (!record.checks.is_empty()).then(|| {
        html! {
            (filter(Tally::checks(&record.checks)))
            @for (environment, checks) in by_environment(&record.checks) {
                article.card {
                    div.head {
                        h3 { (environment) }
                        p.meta { (counts(checks.iter().copied())) }
                    }
                    ul.checks {
                        @for check in checks { (item(check, None)) }
                    }
                }
            }
        }
    })
}

/// Selects checks by their verdict, for which the style sheet has rules. A verdict that no check has cannot be selected.
pub(in crate::report) fn filter(tally: Tally) -> Markup {
    let filters = [
        ("all", "All", tally.all),
        ("failed", "Failed", tally.failed + tally.interrupted),
        ("not-run", "Not run", tally.not_run),
    ];
    let filters: Vec<_> = filters.into_iter().filter(|(_, _, count)| *count > 0).collect();
    html! {
        @if filters.len() > 1 {
            fieldset.filter {
                legend.aloud { "Show checks" }
                @for (id, word, count) in filters {
                    label {
                        input type="radio" name="show" id={ "show-" (id) } checked[id == "all"];
                        (word) " (" (count) ")"
                    }
                }
            }
        }
    }
}

/// `3 checks: 2 passed, 1 failed`
pub(in crate::report) fn counts<'check>(checks: impl Iterator<Item = &'check Check>) -> String {
    let checks: Vec<_> = checks.collect();
    let counts = Kind::ALL.map(|kind| (checks.iter().filter(|it| Kind::from(it.verdict) == kind).count(), kind));
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count} {}", kind.word()));
    format!("{}: {}", count(checks.len(), "check"), counts.collect::<Vec<_>>().join(", "))
}

/// A check, with more about it after its evidence.
pub(in crate::report) fn item(check: &Check, more: Option<&Markup>) -> Markup {
    let kind = Kind::from(check.verdict);
    let has_more = check.failure.is_some() || !check.evidence.is_empty() || more.is_some();
    html! {
        li.(class(kind)) id=(check.id()) {
            @if has_more {
                details open[kind == Kind::Failed] {
                    summary { (row(check, kind)) }
                    div.more {
                        @if let Some(failure) = &check.failure { (failure_markup(failure)) }
                        @if !check.evidence.is_empty() {
                            ul.evidence { @for line in &check.evidence { li { (line) } } }
                        }
                        @if let Some(more) = more { (more) }
                    }
                }
            } @else {
                div.summary { (row(check, kind)) }
            }
        }
    }
}

fn row(check: &Check, kind: Kind) -> Markup {
    html! {
        (icon(kind))
        span.what {
            span.name { (check.name) }
            span.proves { (check.proves) }
            @if !check.not_run.is_empty() { span.not-run { "not run: " (check.not_run) } }
        }
        @if kind != Kind::NotRun { span.duration { (format_duration(check.duration)) } }
    }
}

fn failure_markup(failure: &Failure) -> Markup {
    let Failure { expected, seen, object, details, cause, is_seen, fix, is_after_success: _ } = failure;
    let cause_name = if *is_seen { "Cause" } else { "Likely cause" };
    let facts = [("Expected", expected), ("Actual", seen), ("At", object), (cause_name, cause), ("Remedy", fix)];
    html! {
        dl.failure {
            @for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
                div { dt { (name) } dd { (value) } }
            }
        }
        @let (first, rest) = details.split_at(details.len().min(MAX_DETAILS));
        @if !first.is_empty() { pre tabindex="0" aria-label="Details of the failure" { (first.join("\n")) } }
        @if !rest.is_empty() {
            details {
                summary { (count(rest.len(), "more line")) ": events and last log lines" }
                pre tabindex="0" aria-label="Events and last log lines" { (rest.join("\n")) }
            }
        }
    }
}
