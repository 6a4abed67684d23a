//! The timeline: a lane for each part of the run, as a drawing and as a table.

use indexmap::IndexMap;
use maud::{Markup, html};

use super::icon::class;
use super::lane::{Bar, ROW, Side, WIDTH, bars};
use crate::record::{Record, Span, Verdict};
use crate::report::run::words::{Kind, count, format_duration, overhead};

/// The intervals between ticks to choose from, in seconds.
const INTERVALS: [u32; 15] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];

/// The maximum number of intervals on the axis, for runs of up to ten days. A longer run has one tick per day.
const MAX_INTERVALS: f64 = 10.0;

pub(super) fn section(record: &Record) -> Option<Markup> {
    let mut lanes: IndexMap<&str, Vec<&Span>> = IndexMap::new();
    for span in &record.spans {
        lanes.entry(&span.lane).or_default().push(span);
    }
    let end = record.spans.iter().map(|span| span.end).fold(record.duration, f64::max).max(1.0);
    let ticks = ticks(end);
    (!lanes.is_empty()).then(|| {
        html! {
            div.card {
                div.scroll tabindex="0" role="group" aria-label="The timeline" {
                    div.timeline {
                        (axis(&ticks, end))
                        @for (name, spans) in &lanes { (lane(record, name, spans, &ticks, end)) }
                    }
                }
                p.shares { "Total: " (format_duration(record.duration)) ". " (overhead(record)) }
                (table(record))
            }
        }
    })
}

fn ticks(end: f64) -> Vec<u32> {
    let interval = INTERVALS.into_iter().find(|interval| end / f64::from(*interval) <= MAX_INTERVALS).unwrap_or(86_400);
    (0..).step_by(interval as usize).take_while(|tick| f64::from(*tick) <= end).collect()
}

/// `0:30`, or `5 s` in a timeline of less than a minute.
fn tick_label(tick: u32, end: f64) -> String {
    match (tick / 3600, tick / 60 % 60, tick % 60) {
        _ if end < 60.0 => format!("{tick} s"),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

fn axis(ticks: &[u32], end: f64) -> Markup {
    html! {
        div.lane.axis {
            span {}
            svg viewBox={ "0 0 " (WIDTH) " 20" } aria-hidden="true" focusable="false" {
                @for tick in ticks {
                    @let x = f64::from(*tick) / end * WIDTH;
                    @let anchor = if *tick == 0 { "start" } else if x > WIDTH - 25.0 { "end" } else { "middle" };
                    text x=(tenths(x)) y="14" text-anchor=(anchor) { (tick_label(*tick, end)) }
                }
            }
        }
    }
}

fn lane(record: &Record, name: &str, spans: &[&Span], ticks: &[u32], end: f64) -> Markup {
    let (bars, rows) = bars(spans, end);
    let height = f64::from(u32::try_from(rows).unwrap_or(u32::MAX)) * ROW;
    let begin = spans.iter().map(|span| span.start).fold(f64::MAX, f64::min);
    let last = spans.iter().map(|span| span.end).fold(0.0, f64::max);
    let words =
        format!("{name}: {}, from {} to {}", count(spans.len(), "span"), format_duration(begin), format_duration(last));
    html! {
        div.lane {
            h3 { (name) }
            svg viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label=(words) focusable="false" {
                @for tick in ticks {
                    @let x = tenths(f64::from(*tick) / end * WIDTH);
                    line.grid x1=(x) x2=(x) y1="0" y2=(height) {}
                }
                @for bar in &bars { (row(bar, kind(record, bar.span))) }
            }
        }
    }
}

/// The result of a span. Looks up whether a job is allowed to fail, because its span does not contain that.
fn kind(record: &Record, span: &Span) -> Kind {
    let pipeline = record.pipelines.iter().find(|pipeline| span.lane == format!("pipeline {}", pipeline.id));
    let job = pipeline.and_then(|pipeline| pipeline.jobs.iter().find(|job| job.name == span.name));
    let is_allowed = span.verdict == Verdict::Failed && job.is_some_and(|job| job.allow_failure);
    if is_allowed { Kind::Warned } else { span.verdict.into() }
}

fn row(bar: &Bar<'_>, kind: Kind) -> Markup {
    let Bar { span, x, width, name, duration, label, side, .. } = bar;
    let y = f64::from(u32::try_from(bar.row).unwrap_or(u32::MAX)) * ROW;
    let title = format!(
        "{}: {}, {duration}, from {} to {}",
        span.name,
        kind.word(),
        format_duration(span.start),
        format_duration(span.end)
    );
    html! {
        g.(class(kind)) {
            title { (title) }
            rect x=(tenths(*x)) y=(y + 3.0) width=(tenths(*width)) height=(ROW - 6.0) rx="3" {}
            text.beside[*side != Side::Inside] x=(tenths(*label)) y=(y + 17.0)
                text-anchor=(if *side == Side::Before { "end" } else { "start" }) {
                (name) " " tspan { (duration) }
            }
        }
    }
}

/// Rounds to one decimal: more would be invisible.
fn tenths(number: f64) -> String {
    format!("{number:.1}")
}

fn table(record: &Record) -> Markup {
    html! {
        details.as-table {
            summary { "Show as a table" }
            div.scroll tabindex="0" role="group" aria-label="The timeline as a table" {
                table {
                    thead {
                        tr {
                            @for column in ["Lane", "Activity", "Result", "Start", "Duration"] {
                                th scope="col" { (column) }
                            }
                        }
                    }
                    tbody {
                        @for span in &record.spans {
                            tr {
                                td { (span.lane) }
                                th scope="row" { (span.name) }
                                td { (kind(record, span).word()) }
                                td.number { (format_duration(span.start)) }
                                td.number { (format_duration(span.end - span.start)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(1.0, &["0 s", "1 s"])]
    #[case(42.0, &["0 s", "5 s", "10 s", "15 s", "20 s", "25 s", "30 s", "35 s", "40 s"])]
    #[case(192.4, &["0:00", "0:30", "1:00", "1:30", "2:00", "2:30", "3:00"])]
    #[case(7300.0, &["0:00", "15:00", "30:00", "45:00", "1:00:00", "1:15:00", "1:30:00", "1:45:00", "2:00:00"])]
    fn ticks_fit_the_duration(#[case] end: f64, #[case] expected: &[&str]) {
        assert_eq!(ticks(end).into_iter().map(|tick| tick_label(tick, end)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_run_of_a_year_has_one_tick_per_day() {
        assert_eq!(ticks(86_400.0 * 366.0).len(), 367);
    }
}
