//! A lane of the timeline: spans as bars, in as many rows as necessary to avoid overlaps.

use crate::record::Span;
use crate::report::run::words::{cut, format_duration};

/// The width of the whole timeline. Bars and labels are laid out for it and scaled together.
pub(super) const WIDTH: f64 = 1000.0;
/// The height of a row.
pub(super) const ROW: f64 = 26.0;
/// The minimum width of a bar, so that short spans are visible.
const MIN_WIDTH: f64 = 3.0;
/// The distance between a bar's end and its label.
const MARGIN: f64 = 6.0;
/// The distance between two bars in a row.
const BAR_GAP: f64 = 2.0;
/// The average width of a letter, slightly overestimated because fonts differ.
const LETTER: f64 = 6.6;
/// The maximum length of a name. With its duration, such a name always fits inside a bar or next to it.
const MAX_LENGTH: usize = 36;

/// A span as a bar in a row.
#[derive(Clone, Debug)]
pub(super) struct Bar<'record> {
    pub(super) span: &'record Span,
    pub(super) row: usize,
    pub(super) x: f64,
    pub(super) width: f64,
    pub(super) name: String,
    pub(super) duration: String,
    /// The start of the label, or its end if it is before the bar.
    pub(super) label: f64,
    pub(super) side: Side,
}

/// The position of a label: the first of these in which it fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Inside,
    Behind,
    Before,
}

/// All bars of a lane, and the number of rows.
pub(super) fn bars<'record>(spans: &[&'record Span], total: f64) -> (Vec<Bar<'record>>, usize) {
    let mut spans = spans.to_vec();
    spans.sort_by(|one, other| one.start.total_cmp(&other.start));
    // The occupied ranges of each row.
    let mut rows: Vec<Vec<(f64, f64)>> = Vec::new();
    let bars = spans.into_iter().map(|span| {
        let (mut bar, taken) = place(span, total);
        let is_free = |row: &Vec<(f64, f64)>| row.iter().all(|(from, to)| taken.1 <= *from || *to <= taken.0);
        bar.row = rows.iter().position(is_free).unwrap_or(rows.len());
        match rows.get_mut(bar.row) {
            Some(row) => row.push(taken),
            None => rows.push(vec![taken]),
        }
        bar
    });
    let bars = bars.collect();
    (bars, rows.len())
}

/// Lays out a bar, and returns the range that it occupies together with its label.
fn place(span: &Span, total: f64) -> (Bar<'_>, (f64, f64)) {
    let width = ((span.end - span.start) / total * WIDTH).max(MIN_WIDTH);
    let x = (span.start / total * WIDTH).min(WIDTH - width);
    let (name, duration) = (cut(&span.name, MAX_LENGTH), format_duration(span.end - span.start));
    let letters = u32::try_from(name.chars().count() + duration.chars().count() + 1).unwrap_or(u32::MAX);
    let text = f64::from(letters) * LETTER + 2.0 * MARGIN;
    let end = x + width;
    let (label, side, taken) = if text <= width {
        (x + MARGIN, Side::Inside, (x, end))
    } else if end + text <= WIDTH {
        (end + MARGIN, Side::Behind, (x, end + text))
    } else {
        (x - MARGIN, Side::Before, (x - text, end))
    };
    (Bar { span, row: 0, x, width, name, duration, label, side }, (taken.0, taken.1 + BAR_GAP))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(name: &str, start: f64, end: f64) -> Span {
        Span { name: name.to_owned(), start, end, ..Span::default() }
    }

    #[test]
    fn labels_are_inside_behind_or_before() {
        let spans = [span("long", 0.0, 50.0), span("short", 60.0, 61.0), span("late", 98.0, 100.0)];
        let (bars, rows) = bars(&spans.iter().collect::<Vec<_>>(), 100.0);
        assert_eq!(rows, 1);
        let sides: Vec<_> = bars.iter().map(|bar| bar.side).collect();
        assert_eq!(sides, [Side::Inside, Side::Behind, Side::Before]);
    }

    #[test]
    fn overlapping_spans_are_in_different_rows() {
        let spans = [span("one", 0.0, 50.0), span("two", 10.0, 40.0), span("three", 51.0, 60.0)];
        let (bars, rows) = bars(&spans.iter().collect::<Vec<_>>(), 100.0);
        assert_eq!((rows, bars.iter().map(|bar| bar.row).collect::<Vec<_>>()), (2, vec![0, 1, 0]));
    }

    #[test]
    fn bars_and_labels_stay_within_the_lane() {
        let name = "w".repeat(99);
        for (start, end) in [(0.0, 0.0), (0.0, 100.0), (20.0, 80.0), (30.0, 99.9), (100.0, 100.0), (50.0, 50.0)] {
            let span = span(&name, start, end);
            let (bar, (from, to)) = place(&span, 100.0);
            assert!(from >= 0.0 && to <= WIDTH + BAR_GAP, "{start} {end}: {bar:?} {from} {to}");
        }
    }
}
