//! The sizes of the graph.

/// The width of a box; all sizes in sixteenths of the font's.
pub(super) const WIDTH: usize = 184;
/// Its height.
pub(super) const HEIGHT: usize = 54;
/// Between columns: where lines turn.
pub(super) const GAP: usize = 44;
/// Between rows: where lines pass boxes.
pub(super) const SPACE: usize = 18;
/// The stages' names.
pub(super) const HEADER: usize = 34;

/// The column and row of a box.
pub(super) type Place = (usize, usize);

/// A length for the style sheet.
pub(super) fn rem(sixteenths: usize) -> String {
    format!("calc({sixteenths}rem/16)")
}
