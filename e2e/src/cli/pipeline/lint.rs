//! `e2e lint`

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use e2e::pipeline::git::{Folder, Repository};
use e2e::pipeline::plan::knowledge::base_variables;
use e2e::pipeline::variables::collection::Collection;
use e2e::replay::input::{Input, without_secrets};
use e2e::replay::reference::Reference;
use e2e::report;

use crate::cli::{EXIT_BAD_INPUT, EXIT_NOT_WHOLE, Format, Outcome, tell, width, write};

/// Tells everything that is wrong with a pipeline's file, as GitLab would and with the place.
#[derive(Debug, clap::Args)]
pub(crate) struct LintArguments {
    #[command(flatten)]
    input: Input,

    /// How the result is written
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,
}

/// Reads the file as it lies there, and tells what is wrong.
pub(crate) fn run_lint(arguments: &LintArguments) -> Outcome {
    let LintArguments { input, format } = arguments;
    let given = match input.given() {
        Ok(given) => given,
        Err(complaint) => {
            tell(&format!("e2e: {complaint}"));
            return Ok(ExitCode::from(EXIT_BAD_INPUT));
        }
    };
    let folder = Folder(input.directory.clone());
    // What includes depend on is known of a repository only.
    let variables = match Repository::open(&input.directory) {
        Ok(repository) => base_variables(&Reference::of_checkout().context(&repository, &input.file)?, &given),
        Err(_) => Collection::default(),
    };
    let lint = input.lint(&folder, &variables);
    let text = match format {
        Format::Table => report::diagnostics::text(&lint, width(io::stdout()), io::stdout().is_terminal()),
        Format::Json => report::diagnostics::json(&lint)?,
    };
    write(&without_secrets(&given, &text))?;
    Ok(if lint.diagnostics.has_errors() { ExitCode::from(EXIT_NOT_WHOLE) } else { ExitCode::SUCCESS })
}
