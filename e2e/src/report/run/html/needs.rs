//! The `needs` of jobs, as lines behind their boxes.

use std::collections::{BTreeSet, HashMap};

use maud::{Markup, html};

use super::geometry::{GAP, HEADER, HEIGHT, Location, SPACE, WIDTH, rem};
use crate::record::Pipeline;

/// The horizontal extent of a curve before it turns.
const REACH: usize = GAP / 2;

/// The lines for all explicit `needs`. Without any, the order of the stages is sufficient.
pub(super) fn lines(
    pipeline: &Pipeline,
    locations: &HashMap<&str, Location>,
    (columns, rows): (usize, usize),
) -> Markup {
    let mut lines = BTreeSet::new();
    for job in &pipeline.jobs {
        for need in job.needs.iter().flatten() {
            if let (Some(&from), Some(&to)) = (locations.get(&**need), locations.get(&*job.name)) {
                lines.insert((from, to));
            }
        }
    }
    let width = columns * (WIDTH + GAP);
    let height = HEADER + rows * (HEIGHT + SPACE);
    html! {
        @if !lines.is_empty() {
            svg.lines viewBox={ "0 0 " (width) " " (height) } aria-hidden="true" focusable="false"
                style={ "width:" (rem(width)) ";height:" (rem(height)) } {
                @for (from, to) in lines {
                    path d=(path(from, to)) {}
                    circle cx=(goal(from, to)) cy=(middle(to)) r="3" {}
                }
            }
        }
    }
}

fn left((column, _): Location) -> usize {
    column * (WIDTH + GAP)
}

/// The end of a line: the left side of the target box, or its right side if it is in the same stage.
fn goal(from: Location, to: Location) -> usize {
    if from.0 < to.0 { left(to) } else { left(to) + WIDTH }
}

fn middle((_, row): Location) -> usize {
    HEADER + row * (HEIGHT + SPACE) + HEIGHT / 2
}

/// A line from the right side of a box to the left side of another. It passes between the boxes of other columns, because a line behind
/// a box would seem to start or end there.
fn path(from: Location, to: Location) -> String {
    let (begin, y) = (left(from) + WIDTH, middle(from));
    let (end, goal) = (goal(from, to), middle(to));
    if from.0 >= to.0 {
        // In the same stage, or to an earlier one: a curve on the right.
        let reach = begin.max(end) + REACH;
        return format!("M{begin} {y}C{reach} {y} {reach} {goal} {end} {goal}");
    }
    if to.0 == from.0 + 1 {
        return format!("M{begin} {y}{}", bend((begin, y), (end, goal)));
    }
    // Below its own row, or above it if the target is higher.
    let row = if to.1 < from.1 { from.1 - 1 } else { from.1 };
    let lane = HEADER + row * (HEIGHT + SPACE) + HEIGHT + SPACE / 2;
    let (enter, leave) = (begin + GAP, end - GAP);
    format!("M{begin} {y}{}H{leave}{}", bend((begin, y), (enter, lane)), bend((leave, lane), (end, goal)))
}

fn bend((x, y): (usize, usize), (next_x, next_y): (usize, usize)) -> String {
    let half = x.midpoint(next_x);
    format!("C{half} {y} {half} {next_y} {next_x} {next_y}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbors_are_joined_by_a_curve() {
        assert_eq!(path((0, 0), (1, 0)), "M184 70C206 70 206 70 228 70");
    }

    #[test]
    fn lines_pass_between_other_boxes() {
        assert_eq!(path((0, 0), (2, 0)), "M184 70C206 70 206 115 228 115H412C434 115 434 70 456 70");
    }

    #[test]
    fn jobs_of_one_stage_are_joined_on_the_right() {
        assert_eq!(path((0, 0), (0, 1)), "M184 70C206 70 206 160 184 160");
    }
}
