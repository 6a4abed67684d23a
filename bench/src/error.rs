//! The errors that end a measurement early.

use std::fmt::Display;

/// The reason why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A program must be installed or built first.
    #[error("{0}")]
    Environment(String),
    /// A measured program failed or behaved unexpectedly, so its figures would be meaningless.
    #[error("{0}")]
    Measurement(String),
    /// A signal interrupted the measurement.
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

/// Adds the context of a failure to its error.
pub(crate) trait Context<T> {
    /// Converts the failure to a failed measurement, with a message of `what` and the cause.
    fn context(self, what: impl Display) -> Result<T, Error>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn context(self, what: impl Display) -> Result<T, Error> {
        self.map_err(|error| Error::Measurement(format!("{what}: {error}")))
    }
}
