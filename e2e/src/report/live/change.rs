//! The changes that events make to a view.

use std::borrow::Cow;

/// The change that an event makes to the view. Work is identified by its name.
#[derive(Debug, PartialEq, Eq)]
pub enum Change<'event> {
    /// Work starts, or continues with its next step.
    Starts(Cow<'event, str>),
    /// A check starts. A log reports it more often than other work, because it takes only seconds if nothing is wrong.
    StartsCheck(Cow<'event, str>),
    /// Work reports its progress. A log shows it with the next heartbeat.
    Progresses(Cow<'event, str>, Cow<'event, str>),
    /// Work reports its current activity. Only a terminal shows it.
    Says(Cow<'event, str>, Cow<'event, str>),
    /// Work prints a line. A log shows it at once.
    Prints(Cow<'event, str>, Cow<'event, str>),
    /// Work ends.
    Ends(Cow<'event, str>),
    Nothing,
}

impl Change<'_> {
    pub(super) fn into_owned(self) -> Change<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Starts(name) => Change::Starts(owned(name)),
            Self::StartsCheck(name) => Change::StartsCheck(owned(name)),
            Self::Progresses(name, text) => Change::Progresses(owned(name), owned(text)),
            Self::Says(name, text) => Change::Says(owned(name), owned(text)),
            Self::Prints(name, line) => Change::Prints(owned(name), owned(line)),
            Self::Ends(name) => Change::Ends(owned(name)),
            Self::Nothing => Change::Nothing,
        }
    }

    /// The length of the text, if the view may drop the change. It may drop the output of work, but not the start or end of work.
    pub(super) fn droppable_size(&self) -> Option<usize> {
        match self {
            Self::Progresses(_, text) | Self::Says(_, text) | Self::Prints(_, text) => Some(text.len()),
            Self::Starts(_) | Self::StartsCheck(_) | Self::Ends(_) | Self::Nothing => None,
        }
    }
}

/// An event that a live view can show.
pub trait LiveEvent {
    /// The change that it makes to the view.
    fn change(&self) -> Change<'_>;

    fn line(&self) -> Option<String>;

    /// The event as one line of JSON, if it is part of the JSON output.
    fn json(&self) -> Option<String>;
}
