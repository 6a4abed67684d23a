//! What jobs wait for, as lines behind their boxes.

use std::collections::{BTreeSet, HashMap};

use maud::{Markup, html};

use super::geometry::{GAP, HEADER, HEIGHT, Place, SPACE, WIDTH, rem};
use crate::record::Pipeline;

/// How far a curve reaches before it turns.
const REACH: usize = GAP / 2;

/// The lines of all `needs` that are written down; where none is, the stages' order says everything.
pub(super) fn lines(pipeline: &Pipeline, places: &HashMap<&str, Place>, (columns, rows): (usize, usize)) -> Markup {
    let mut lines = BTreeSet::new();
    for job in &pipeline.jobs {
        for need in job.needs.iter().flatten() {
            if let (Some(&from), Some(&to)) = (places.get(&**need), places.get(&*job.name)) {
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

fn left((column, _): Place) -> usize {
    column * (WIDTH + GAP)
}

/// Where a line ends: on the left, or on the right of what is in the same stage.
fn goal(from: Place, to: Place) -> usize {
    if from.0 < to.0 { left(to) } else { left(to) + WIDTH }
}

fn middle((_, row): Place) -> usize {
    HEADER + row * (HEIGHT + SPACE) + HEIGHT / 2
}

/// A line from the right of one box to the left of another. It passes between the boxes of other columns and never behind one,
/// where it would seem to begin or to end.
fn path(from: Place, to: Place) -> String {
    let (begin, y) = (left(from) + WIDTH, middle(from));
    let (end, goal) = (goal(from, to), middle(to));
    if from.0 >= to.0 {
        // In one stage, or against the order: a bow on the right.
        let reach = begin.max(end) + REACH;
        return format!("M{begin} {y}C{reach} {y} {reach} {goal} {end} {goal}");
    }
    if to.0 == from.0 + 1 {
        return format!("M{begin} {y}{}", bend((begin, y), (end, goal)));
    }
    // Below its own row, or above it where the goal is higher.
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
    fn neighbours_are_joined_by_a_curve() {
        assert_eq!(path((0, 0), (1, 0)), "M184 61C206 61 206 61 228 61");
    }

    #[test]
    fn boxes_between_are_passed() {
        assert_eq!(path((0, 0), (2, 0)), "M184 61C206 61 206 97 228 97H412C434 97 434 61 456 61");
    }

    #[test]
    fn jobs_of_one_stage_are_joined_on_the_right() {
        assert_eq!(path((0, 0), (0, 1)), "M184 61C206 61 206 133 184 133");
    }
}
