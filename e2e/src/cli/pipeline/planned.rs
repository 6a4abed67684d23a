//! From what is asked for to a plan; where there can be none, to how the program ends.

use gitlab_ci::render::diagnostics;
use std::error::Error;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use gitlab_runner::project::git::GitError;
use gitlab_runner::project::input::Input;
use gitlab_runner::project::input::without_secrets;
use gitlab_runner::project::prepare::PrepareError;
use gitlab_runner::project::prepare::Prepared;
use gitlab_runner::project::prepare::prepare;
use gitlab_runner::project::reference::Reference;

use crate::cli::{EXIT_BAD_INPUT, EXIT_NOT_WHOLE, tell, width};

/// Plans. Where there can be no plan for a reason that concerns who asked, that is told, and what is left is how to end.
///
/// # Errors
/// When the machine fails.
pub(super) fn planned(input: &Input, reference: &Reference) -> Result<Result<Prepared, ExitCode>, Box<dyn Error>> {
    let given = match input.given() {
        Ok(given) => given,
        Err(complaint) => {
            tell(&format!("e2e: {complaint}"));
            return Ok(Err(ExitCode::from(EXIT_BAD_INPUT)));
        }
    };
    let (text, code) = match prepare(input, given.clone(), reference, &|note| tell(&format!("e2e: {note}"))) {
        Ok(prepared) => {
            tell_warnings(&prepared);
            return Ok(Ok(prepared));
        }
        Err(PrepareError::Git(error)) if GitError::is_input(&error) => (format!("e2e: {error}"), EXIT_BAD_INPUT),
        Err(error @ PrepareError::Git(_)) => return Err(error.into()),
        Err(PrepareError::Lint(lint)) => {
            let text = diagnostics::text(&lint, width(io::stderr()), io::stderr().is_terminal());
            (text.trim_end().to_owned(), EXIT_BAD_INPUT)
        }
        Err(error @ PrepareError::Refused { .. }) => (format!("e2e: {error}"), EXIT_NOT_WHOLE),
    };
    tell(&without_secrets(&given, &text));
    Ok(Err(ExitCode::from(code)))
}

/// What of a good file is not replayed, or may not be what is meant: a line each, as nothing is wrong with it.
fn tell_warnings(Prepared { lint, given, .. }: &Prepared) {
    for warning in lint.diagnostics.sorted() {
        let help = warning.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        let line = format!("e2e: {}: {}{help}", lint.sources.location(warning.span), warning.message);
        tell(&without_secrets(given, &line));
    }
}
