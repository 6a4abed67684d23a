//! From what is asked for to a plan: repository, ref, file, and all that can be wrong with them.

use std::cell::OnceCell;
use std::error::Error;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use e2e::pipeline::document::load::Files;
use e2e::pipeline::git::{Folder, GitError, Repository};
use e2e::pipeline::lint::Lint;
use e2e::pipeline::plan::build::{Project, Refusal, base_variables, build};
use e2e::pipeline::plan::{Plan, admission};
use e2e::pipeline::variables::collection::Variable;
use e2e::{pipeline::glob, report};

use super::input::Input;
use super::reference::Reference;
use crate::cli::{EXIT_BAD_INPUT, EXIT_NOT_WHOLE, tell, width};

/// Everything that a command knows once there is a plan.
pub(super) struct Prepared {
    /// Where the files come from.
    #[expect(dead_code, reason = "for the command that runs what is planned")]
    pub(super) repository: Repository,
    /// The file, and the places in it.
    pub(super) lint: Lint,
    /// What would run.
    pub(super) plan: Plan,
    /// Variables that come neither from the file nor from GitLab.
    #[expect(dead_code, reason = "for the command that runs what is planned")]
    pub(super) pipeline_variables: Vec<Variable>,
}

/// Plans. Where there can be no plan for a reason that concerns who asked, that is told, and what is left is how to end.
///
/// # Errors
/// When the machine fails.
pub(super) fn prepare(input: &Input, reference: &Reference) -> Result<Result<Prepared, ExitCode>, Box<dyn Error>> {
    let repository = Repository::open(&input.directory)?;
    let context = match reference.context(&repository) {
        Err(error) if error.downcast_ref::<GitError>().is_some_and(GitError::is_input) => {
            tell(&format!("e2e: {error}"));
            return Ok(Err(ExitCode::from(EXIT_BAD_INPUT)));
        }
        context => context?,
    };
    let pipeline_variables = input.pipeline_variables();
    let variables = base_variables(&context, &pipeline_variables);
    let tree = repository.at(&context.commit.sha);
    let folder = Folder(repository.folder().to_owned());
    let files: &dyn Files = if reference.worktree { &folder } else { &tree };
    let lint = input.lint(files, &variables);
    let configuration = match &lint.configuration {
        Some(configuration) if !lint.diagnostics.has_errors() => configuration,
        _ => {
            let terminal = io::stderr().is_terminal();
            tell(report::diagnostics::text(&lint, width(io::stderr()), terminal).trim_end());
            return Ok(Err(ExitCode::from(EXIT_BAD_INPUT)));
        }
    };
    // Asked for by the first rule that needs it: git is a program of its own.
    let paths = OnceCell::new();
    let project = Project {
        variables: &pipeline_variables,
        fits: &glob::any_fits,
        exists: &|patterns| glob::any_exists(patterns, paths.get_or_init(|| files.list())),
        compare: &|name| {
            let base = repository.merge_base(name, &context.commit.sha).ok()?;
            repository.changed(&base, &context.commit.sha).ok()
        },
    };
    let plan = match build(configuration, &context, &project) {
        Ok(plan) => plan,
        Err(refusal) => {
            tell(&format!("e2e: {refusal}{}", reasons(&refusal, &lint)));
            return Ok(Err(ExitCode::from(EXIT_NOT_WHOLE)));
        }
    };
    Ok(Ok(Prepared { repository, lint, plan, pipeline_variables }))
}

/// Why each job is not in a pipeline that has none.
fn reasons(refusal: &Refusal, lint: &Lint) -> String {
    let told = |name: &str, reason: &admission::Reason| {
        let place = reason.span.map(|span| format!(" ({})", lint.sources.location(span))).unwrap_or_default();
        format!("\n  {name}: {}{place}", reason.text)
    };
    match refusal {
        Refusal::Empty(jobs) => jobs.iter().map(|(name, reason)| told(name, reason)).collect(),
        Refusal::Workflow(Some(reason)) => told("workflow", reason),
        Refusal::Workflow(None) | Refusal::NeedIsNotThere { .. } | Refusal::Circle { .. } => String::new(),
    }
}
