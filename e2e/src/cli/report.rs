//! `e2e report`

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use e2e::report::check::diff::Difference;
use e2e::report::check::read::{Report, read};

use super::{CliError, EXIT_FAILED, Outcome, write};

/// Compares reports of `e2e check`
#[derive(Debug, clap::Args)]
pub(crate) struct ReportArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Diff(Diff),
}

/// Shows which checks got worse and which got better between two reports of `e2e check --format json`
///
/// Checks are compared by their IDs, such as `dev-readiness`. A check is worse if it passed before and does not pass now, or if it
/// fails now and did not fail before, even if the older report does not have it. A check that only the older report has is not worse.
/// Exit codes: 0 nothing is worse, 1 a check is worse, 2 a file is not a report, or the command line is wrong, 3 a file cannot be read.
#[derive(Debug, clap::Args)]
struct Diff {
    /// The older report
    #[arg(value_name = "BEFORE")]
    before: PathBuf,

    /// The newer report
    #[arg(value_name = "AFTER")]
    after: PathBuf,
}

pub(crate) fn run(arguments: &ReportArguments) -> Outcome {
    let Command::Diff(Diff { before, after }) = &arguments.command;
    let (before, after) = (file(before)?, file(after)?);
    let difference = Difference::new(&before, &after);
    write(&difference.text())?;
    Ok(ExitCode::from(if difference.is_worse() { EXIT_FAILED } else { 0 }))
}

fn file(path: &Path) -> Result<Report, CliError> {
    let text = fs::read(path).map_err(|error| CliError::environment(format!("{}: {error}", path.display())))?;
    read(&text).map_err(|error| CliError::InvalidFile(format!("{}:{error}", path.display())))
}
