//! Events of a run in progress.

use serde::Serialize;

use super::{Span, Step};

/// An event. Serialized, it is a line of `--format json`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'event> {
    /// A step of the scenario starts.
    StepBegan {
        /// The step's name.
        name: &'event str,
    },
    /// A step of the scenario has ended.
    StepEnded(&'event Step),
    /// An activity starts.
    Began {
        /// The activity's lane in the timeline.
        lane: &'event str,
        /// The activity's name.
        name: &'event str,
    },
    /// An activity reports a message.
    Says {
        /// The activity's lane in the timeline.
        lane: &'event str,
        /// The activity's name.
        name: &'event str,
        /// The message, one line.
        text: &'event str,
    },
    /// An activity has ended.
    Ended {
        /// The activity as a span of the timeline.
        span: &'event Span,
        /// Details, on one line.
        words: &'event str,
    },
    /// A note for the user.
    Note {
        /// The text.
        text: &'event str,
    },
}
