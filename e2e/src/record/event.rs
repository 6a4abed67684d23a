//! The events that the harness reports while it works. Every part of the harness reports to an [`EventSink`].

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::{Check, Span, Step, Verdict};

/// Receives events.
pub type EventSink<'sink> = dyn Fn(&Event<'_>) + Send + Sync + 'sink;

/// An event. `--format json` prints each event on one line, except those with `serde(skip)`: for these, the recorder of a run emits the
/// events of an activity instead.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'event> {
    /// A step of the scenario starts.
    StepBegan { name: &'event str },
    /// A step of the scenario has ended.
    StepEnded(&'event Step),
    /// An activity starts, in this lane of the timeline.
    Began { lane: &'event str, name: &'event str },
    /// An activity reports a message of one line.
    Says { lane: &'event str, name: &'event str, text: &'event str },
    /// An activity has ended. The `words` are details, on one line.
    Ended { span: &'event Span, words: &'event str },
    /// A note for the user.
    Note { text: &'event str },
    /// A part of the setup starts. Its complete output is in the file `log`, if there is one.
    #[serde(skip)]
    PartBegan { part: &'static str, log: Option<&'event Path> },
    /// A part of the setup has ended. The caller reports the error of a part that failed.
    #[serde(skip)]
    PartEnded { part: &'static str, verdict: Verdict, duration: Duration },
    /// Progress in obtaining the image with this name in the catalog.
    #[serde(skip)]
    Image { name: &'static str, progress: ImageProgress<'event> },
    /// A check of an environment starts.
    #[serde(skip)]
    CheckBegan { environment: &'event str, name: &'event str },
    /// A check has ended, or cannot run.
    #[serde(skip)]
    CheckEnded(&'event Check),
}

/// The progress in obtaining an image.
#[derive(Clone, Copy, Debug)]
pub enum ImageProgress<'event> {
    /// The engine pulls it from its public registry.
    Pulling { reference: &'event str },
    /// Pulling failed for this reason, one line. A build or the final error follows.
    NotPulled { reason: &'event str },
    /// Its recipe is being built, which takes about the time `expected`.
    Building { log: &'event Path, expected: Duration },
    /// The build is in progress. Reported every ten seconds.
    Continues(BuildProgress),
    /// The engine has the image now.
    Obtained { origin: ImageOrigin, duration: Duration },
}

/// The progress of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildProgress {
    /// The compiled packages, if the recipe compiles any.
    pub compiled: Option<Compiled>,
    /// The time since the build started.
    pub duration: Duration,
    /// The remaining time, if it can be estimated.
    pub remaining: Option<Duration>,
    /// Whether it waits until another build has finished with the compiler's cache.
    pub is_waiting: bool,
}

/// The packages of a Go program. `done` counts those that this build has compiled, `total` all of them. A package that is cached from an
/// earlier build counts in `total` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compiled {
    pub done: u32,
    pub total: u32,
}

/// Where an image came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageOrigin {
    /// The engine had it already. Readers of `e2e images --format json` depend on the word `here`; tables have `present`.
    #[serde(rename = "here")]
    Local,
    /// It was pulled from its public registry.
    Pulled,
    /// It was built from its recipe.
    Built,
}

impl ImageOrigin {
    /// The word for tables and reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Local => "present",
            Self::Pulled => "pulled",
            Self::Built => "built",
        }
    }
}
