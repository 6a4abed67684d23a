//! What ends a measurement early.

use std::fmt::Display;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Something has to be installed or built first.
    #[error("{0}")]
    Environment(String),
    /// What was measured did not behave, so its figures would mean nothing.
    #[error("{0}")]
    Measurement(String),
    /// Somebody did not want to wait.
    #[error("interrupted by {0}")]
    Interrupted(&'static str),
}

impl Error {
    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Measurement(_) => 1,
            Self::Environment(_) => 3,
            Self::Interrupted(_) => 130,
        }
    }
}

/// Says what was being done when something failed.
pub(crate) trait Context<T> {
    /// The failure as a failed measurement: `what`, and then the cause.
    fn context(self, what: impl Display) -> Result<T, Error>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn context(self, what: impl Display) -> Result<T, Error> {
        self.map_err(|error| Error::Measurement(format!("{what}: {error}")))
    }
}
