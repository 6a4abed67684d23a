//! What happens in a run, while it happens.

use serde::Serialize;

use super::{Span, Step};

/// Something that happened. Serialised, it is a line of `--format json`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'event> {
    /// A step of the story begins.
    StepBegan {
        /// What happens.
        name: &'event str,
    },
    /// A step of the story is over.
    StepEnded(&'event Step),
    /// A part of it begins.
    Began {
        /// Where in the timeline.
        lane: &'event str,
        /// What.
        name: &'event str,
    },
    /// A part of it says something.
    Says {
        /// Where in the timeline.
        lane: &'event str,
        /// What.
        name: &'event str,
        /// A line.
        text: &'event str,
    },
    /// A part of it is over.
    Ended {
        /// The span that it was.
        span: &'event Span,
        /// More about it, on one line.
        words: &'event str,
    },
    /// Something worth knowing.
    Note {
        /// What.
        text: &'event str,
    },
}
