//! The dimensions of the graph.

/// The width of a box. All dimensions are in sixteenths of the font size.
pub(super) const WIDTH: usize = 184;
/// The height of a box, which has three lines: name, duration and environment.
pub(super) const HEIGHT: usize = 72;
/// The gap between columns, in which lines bend.
pub(super) const GAP: usize = 44;
/// The gap between rows, in which lines pass boxes.
pub(super) const SPACE: usize = 18;
/// The height of the stages' names.
pub(super) const HEADER: usize = 34;

/// The column and row of a box.
pub(super) type Location = (usize, usize);

/// A length for the style sheet.
pub(super) fn rem(sixteenths: usize) -> String {
    format!("calc({sixteenths}rem/16)")
}
