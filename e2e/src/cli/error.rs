//! How a command fails, and with which exit code.

use std::error::Error;
use std::process::ExitCode;

use container_engine::error_chain::error_chain;

use super::output::print;

/// A cluster, a pipeline or a check did not pass.
pub(crate) const EXIT_FAILED: u8 = 1;
/// The command line or a file is wrong.
pub(crate) const EXIT_USAGE: u8 = 2;
/// A prerequisite is missing, or the machine failed.
pub(crate) const EXIT_ENVIRONMENT: u8 = 3;
/// 128 plus the number of SIGINT, as in shells.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;
/// 128 plus the number of SIGTERM.
pub(crate) const EXIT_TERMINATED: u8 = 143;

/// The reason why a command failed. A negative result, such as a failed check, is not an error: the command prints it and ends with
/// [`EXIT_FAILED`].
#[derive(Debug)]
pub(crate) enum CliError {
    /// There is no pipeline for the ref. Exit code 1.
    Failed(String),
    /// The command line or a file is wrong. Contains a sentence. Exit code 2.
    Usage(String),
    /// The pipeline file is invalid. Contains a text with the position of each error. Exit code 2.
    InvalidFile(String),
    /// Prerequisites are missing. Contains a table of all findings. Exit code 3.
    Prerequisites(String),
    /// The machine, the engine or the cluster failed. Exit code 3.
    Environment(Box<dyn Error>),
    /// The user interrupted the command. Exit code 130.
    Interrupted,
}

impl CliError {
    /// A sentence about the machine, the engine or the cluster.
    pub(crate) fn environment(message: impl Into<String>) -> Self {
        Self::Environment(message.into().into())
    }

    /// Prints the error, and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Failed(_) | Self::Usage(_) | Self::Environment(_) => print(&format!("e2e: {}", self.text())),
            Self::InvalidFile(_) | Self::Prerequisites(_) => print(&self.text()),
            Self::Interrupted => {}
        }
        ExitCode::from(self.exit_code())
    }

    /// The message, with all causes.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Failed(text) | Self::Usage(text) | Self::InvalidFile(text) | Self::Prerequisites(text) => {
                text.clone()
            }
            Self::Environment(error) => error_chain(&**error),
            Self::Interrupted => "interrupted".to_owned(),
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => EXIT_FAILED,
            Self::Usage(_) | Self::InvalidFile(_) => EXIT_USAGE,
            Self::Prerequisites(_) | Self::Environment(_) => EXIT_ENVIRONMENT,
            Self::Interrupted => EXIT_INTERRUPTED,
        }
    }
}

/// Treats every error that a command does not handle as a failure of the machine.
impl<E: Error + 'static> From<E> for CliError {
    fn from(error: E) -> Self {
        Self::Environment(error.into())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::no_pipeline(CliError::Failed(String::new()), 1)]
    #[case::a_wrong_flag(CliError::Usage(String::new()), 2)]
    #[case::a_wrong_file(CliError::InvalidFile(String::new()), 2)]
    #[case::a_missing_program(CliError::Prerequisites(String::new()), 3)]
    #[case::no_engine(CliError::environment("no engine"), 3)]
    #[case::any_other_error(CliError::from(std::io::Error::other("disk")), 3)]
    #[case::interrupted(CliError::Interrupted, 130)]
    fn exit_codes(#[case] error: CliError, #[case] expected: u8) {
        assert_eq!(error.exit_code(), expected);
    }
}
