//! Creates a plan from the arguments.

use gitlab_ci::plan::PlannedJob;
use gitlab_ci::render::diagnostics;
use std::io::{self, IsTerminal};

use gitlab_runner::project::git::GitError;
use gitlab_runner::project::input::{Input, without_secrets};
use gitlab_runner::project::notes::missing_variables;
use gitlab_runner::project::prepare::{PrepareError, Prepared, prepare};
use gitlab_runner::project::reference::Reference;

use crate::cli::{CliError, print, width};

/// Creates the plan, and prints the warnings.
pub(super) fn create_plan(input: &Input, reference: &Reference) -> Result<Prepared, CliError> {
    let project_variables = input.project_variables().map_err(CliError::Usage)?;
    match prepare(input, project_variables.clone(), reference, &|note| print(&format!("e2e: {note}"))) {
        Ok(prepared) => {
            print_warnings(&prepared);
            Ok(prepared)
        }
        Err(error) => Err(cli_error(error, &|text| without_secrets(&project_variables, text))),
    }
}

/// Names the variables that only a GitLab server could give to these jobs.
pub(super) fn print_missing_variables<'plan>(jobs: impl Iterator<Item = &'plan PlannedJob>) {
    if let Some(note) = missing_variables(jobs) {
        print(&format!("e2e: {note}"));
    }
}

/// Converts an error to the [`CliError`] with the exit code for its cause. `mask` removes secrets from messages that quote the file.
fn cli_error(error: PrepareError, mask: &dyn Fn(&str) -> String) -> CliError {
    match error {
        PrepareError::Git(error) if GitError::is_input(&error) => CliError::Usage(mask(&error.to_string())),
        error @ PrepareError::Git(_) => error.into(),
        PrepareError::Lint(lint) => {
            let text = diagnostics::text(&lint, width(io::stderr()), io::stderr().is_terminal());
            CliError::InvalidFile(mask(text.trim_end()))
        }
        error @ PrepareError::Refused { .. } => CliError::Failed(mask(&error.to_string())),
    }
}

/// Prints the warnings about a valid pipeline file, one line each.
fn print_warnings(Prepared { lint, project_variables, .. }: &Prepared) {
    for warning in lint.diagnostics.sorted() {
        let help = warning.notes().map(|notes| format!(" ({notes})")).unwrap_or_default();
        let line = format!("e2e: {}: {}{help}", lint.sources.location(warning.span), warning.message);
        print(&without_secrets(project_variables, &line));
    }
}
