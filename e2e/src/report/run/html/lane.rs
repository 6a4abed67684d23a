//! A lane of the timeline: spans as bars, in as many rows as they need so that nothing is behind anything else.

use crate::record::Span;
use crate::report::run::words::{cut, duration};

/// The width of all time. Bars and labels are laid out by it, and drawn larger or smaller together.
pub(super) const WIDTH: f64 = 1000.0;
/// The height of a row.
pub(super) const ROW: f64 = 26.0;
/// What is shorter is drawn as wide as this, or nobody would see it.
const NARROWEST: f64 = 3.0;
/// Between a bar's end and a label.
const MARGIN: f64 = 6.0;
/// Between a bar and its neighbour.
const HAIR: f64 = 2.0;
/// The mean width of a letter, a little too wide: fonts differ.
const LETTER: f64 = 6.6;
/// The longest name. With its duration it fits inside a bar, or beside one that is too short for it.
const LONGEST: usize = 36;

/// A span on its row.
#[derive(Clone, Debug)]
pub(super) struct Bar<'record> {
    pub(super) span: &'record Span,
    pub(super) row: usize,
    pub(super) x: f64,
    pub(super) width: f64,
    pub(super) name: String,
    pub(super) took: String,
    /// Where the label begins, or where it ends if it is before the bar.
    pub(super) label: f64,
    pub(super) side: Side,
}

/// Where a label is: in the first of these places that it fits into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Inside,
    Behind,
    Before,
}

/// All bars of a lane, and how many rows they need.
pub(super) fn bars<'record>(spans: &[&'record Span], total: f64) -> (Vec<Bar<'record>>, usize) {
    let mut spans = spans.to_vec();
    spans.sort_by(|one, other| one.start.total_cmp(&other.start));
    // Of every row, what is taken of it.
    let mut rows: Vec<Vec<(f64, f64)>> = Vec::new();
    let bars = spans.into_iter().map(|span| {
        let (mut bar, taken) = placed(span, total);
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

/// A bar, and what it and its label take of a row.
fn placed(span: &Span, total: f64) -> (Bar<'_>, (f64, f64)) {
    let width = ((span.end - span.start) / total * WIDTH).max(NARROWEST);
    let x = (span.start / total * WIDTH).min(WIDTH - width);
    let (name, took) = (cut(&span.name, LONGEST), duration(span.end - span.start));
    let letters = u32::try_from(name.chars().count() + took.chars().count() + 1).unwrap_or(u32::MAX);
    let text = f64::from(letters) * LETTER + 2.0 * MARGIN;
    let end = x + width;
    let (label, side, taken) = if text <= width {
        (x + MARGIN, Side::Inside, (x, end))
    } else if end + text <= WIDTH {
        (end + MARGIN, Side::Behind, (x, end + text))
    } else {
        (x - MARGIN, Side::Before, (x - text, end))
    };
    (Bar { span, row: 0, x, width, name, took, label, side }, (taken.0, taken.1 + HAIR))
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
    fn what_overlaps_has_rows_of_its_own() {
        let spans = [span("one", 0.0, 50.0), span("two", 10.0, 40.0), span("three", 51.0, 60.0)];
        let (bars, rows) = bars(&spans.iter().collect::<Vec<_>>(), 100.0);
        assert_eq!((rows, bars.iter().map(|bar| bar.row).collect::<Vec<_>>()), (2, vec![0, 1, 0]));
    }

    #[test]
    fn nothing_leaves_the_lane() {
        let name = "w".repeat(99);
        for (start, end) in [(0.0, 0.0), (0.0, 100.0), (20.0, 80.0), (30.0, 99.9), (100.0, 100.0), (50.0, 50.0)] {
            let span = span(&name, start, end);
            let (bar, (from, to)) = placed(&span, 100.0);
            assert!(from >= 0.0 && to <= WIDTH + HAIR, "{start} {end}: {bar:?} {from} {to}");
        }
    }
}
