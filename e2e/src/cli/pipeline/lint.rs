//! `e2e lint`

use gitlab_ci::render::diagnostics;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use gitlab_ci::plan::context::{Context, Source};
use gitlab_ci::plan::job_variables::base_variables;
use gitlab_runner::project::changes::Changes;
use gitlab_runner::project::git::{GitError, Repository, WorkingTree};
use gitlab_runner::project::input::{Input, without_secrets};
use gitlab_runner::project::reference::Reference;

use crate::cli::{CliError, EXIT_FAILED, Format, Outcome, width, write};

/// Reports every error of a pipeline file, as GitLab does, with file, line and column
#[derive(Debug, clap::Args)]
pub(crate) struct LintArguments {
    #[command(flatten)]
    input: Input,

    /// The branch whose includes are read [default: the checked-out branch]
    #[arg(long, value_name = "BRANCH", conflicts_with = "tag")]
    branch: Option<String>,

    /// The tag whose includes are read
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,

    /// The source of the pipeline whose includes are read
    #[arg(long, default_value = "push", value_name = "SOURCE")]
    source: Source,

    /// The format of the result
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,
}

/// Reads the file in the working tree, and prints its errors.
pub(crate) fn run_lint(arguments: &LintArguments) -> Outcome {
    let LintArguments { input, format, .. } = arguments;
    let project_variables = input.project_variables().map_err(CliError::Usage)?;
    let repository = match Repository::open(&input.directory) {
        Err(error @ GitError::NoDirectory(_)) => return Err(CliError::Usage(error.to_string())),
        opened => opened.ok(),
    };
    // Rules of includes depend on a commit.
    let context = match repository.as_ref().map(|repository| arguments.context(repository)).transpose() {
        Ok(context) => context,
        Err(error) if error.is_input() && arguments.names_a_ref() => {
            return Err(CliError::Usage(error.to_string()));
        }
        Err(error) if error.is_input() => None,
        Err(error) => return Err(error.into()),
    };
    // Like `plan`: the file of the repository, from any of its directories.
    let dir = repository.as_ref().map_or(&*input.directory, Repository::dir);
    let variables = context.as_ref().map(|context| base_variables(context, &project_variables)).unwrap_or_default();
    let changes = Changes::new(repository.as_ref().zip(context.as_ref()));
    let lint = input.lint(&WorkingTree(dir.to_owned()), &variables, &changes);
    let text = match format {
        Format::Table => diagnostics::text(&lint, width(io::stdout()), io::stdout().is_terminal()),
        Format::Json => diagnostics::json(&lint)?,
    };
    write(&without_secrets(&project_variables, &text))?;
    Ok(if lint.diagnostics.has_errors() { ExitCode::from(EXIT_FAILED) } else { ExitCode::SUCCESS })
}

impl LintArguments {
    /// The context in which rules of includes are evaluated.
    fn context(&self, repository: &Repository) -> Result<Context, GitError> {
        let Self { branch, tag, source, .. } = self;
        let reference =
            Reference { branch: branch.clone(), tag: tag.clone(), source: *source, ..Reference::from_checkout() };
        let context = reference.context(repository, &self.input.file)?;
        Ok(Context { version: self.input.gitlab.unwrap_or_default(), ..context })
    }

    fn names_a_ref(&self) -> bool {
        self.branch.is_some() || self.tag.is_some() || self.source != Source::Push
    }
}
