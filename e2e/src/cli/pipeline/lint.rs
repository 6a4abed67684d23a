//! `e2e lint`

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use e2e::pipeline::git::{Folder, Repository};
use e2e::pipeline::plan::build::base_variables;
use e2e::pipeline::variables::collection::Collection;
use e2e::report;

use super::input::Input;
use super::reference::Reference;
use crate::cli::{EXIT_NOT_WHOLE, Format, Outcome, width, write};

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
    let folder = Folder(arguments.input.directory.clone());
    // What includes depend on is known of a repository only.
    let variables = match Repository::open(&arguments.input.directory) {
        Ok(repository) => {
            let reference = Reference::of_checkout();
            let context = reference.context(&repository)?;
            base_variables(&context, &arguments.input.pipeline_variables())
        }
        Err(_) => Collection::default(),
    };
    let lint = arguments.input.lint(&folder, &variables);
    write(&match arguments.format {
        Format::Table => report::diagnostics::text(&lint, width(io::stdout()), io::stdout().is_terminal()),
        Format::Json => report::diagnostics::json(&lint)?,
    })?;
    Ok(if lint.diagnostics.has_errors() { ExitCode::from(EXIT_NOT_WHOLE) } else { ExitCode::SUCCESS })
}
