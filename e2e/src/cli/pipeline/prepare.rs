//! From what is asked for to a plan: repository, ref, file, and all that can be wrong with them.

use std::cell::OnceCell;
use std::error::Error;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use e2e::pipeline::document::load::Files;
use e2e::pipeline::git::{Folder, GitError, Repository};
use e2e::pipeline::lint::Lint;
use e2e::pipeline::plan::build::{Project, Refusal, build};
use e2e::pipeline::plan::context::Context;
use e2e::pipeline::plan::knowledge::{Given, base_variables};
use e2e::pipeline::plan::{Plan, admission};
use e2e::pipeline::variables::settings::{self, Setting};
use e2e::{pipeline::glob, report};

use super::input::{Input, without_secrets};
use super::reference::Reference;
use crate::cli::{EXIT_BAD_INPUT, EXIT_NOT_WHOLE, tell, width};

/// Everything that a command knows once there is a plan.
pub(super) struct Prepared {
    /// Where the files come from.
    pub(super) repository: Repository,
    /// The file, and the places in it.
    pub(super) lint: Lint,
    /// What would run.
    pub(super) plan: Plan,
    /// Variables that come neither from the file nor from GitLab.
    pub(super) given: Given,
}

/// Plans. Where there can be no plan for a reason that concerns who asked, that is told, and what is left is how to end.
///
/// # Errors
/// When the machine fails.
pub(super) fn prepare(input: &Input, reference: &Reference) -> Result<Result<Prepared, ExitCode>, Box<dyn Error>> {
    let given = match input.given() {
        Ok(given) => given,
        Err(complaint) => {
            tell(&format!("e2e: {complaint}"));
            return Ok(Err(ExitCode::from(EXIT_BAD_INPUT)));
        }
    };
    let repository = Repository::open(&input.directory)?;
    let context = match reference.context(&repository, &input.file) {
        Err(error) if error.downcast_ref::<GitError>().is_some_and(GitError::is_input) => {
            tell(&format!("e2e: {error}"));
            return Ok(Err(ExitCode::from(EXIT_BAD_INPUT)));
        }
        context => context?,
    };
    tell_left_out(&given, &context);
    let variables = base_variables(&context, &given);
    let tree = repository.at(&context.commit.sha);
    let folder = Folder(repository.folder().to_owned());
    let files: &dyn Files = if reference.worktree { &folder } else { &tree };
    let lint = input.lint(files, &variables);
    let configuration = match &lint.configuration {
        Some(configuration) if !lint.diagnostics.has_errors() => configuration,
        _ => {
            let terminal = io::stderr().is_terminal();
            let text = report::diagnostics::text(&lint, width(io::stderr()), terminal);
            tell(&without_secrets(&given, text.trim_end()));
            return Ok(Err(ExitCode::from(EXIT_BAD_INPUT)));
        }
    };
    // Asked for by the first rule that needs it: git is a program of its own.
    let (paths, changed) = (OnceCell::new(), OnceCell::new());
    let project = Project {
        given: &given,
        fits: &glob::any_fits,
        exists: &|patterns| glob::any_exists(patterns, paths.get_or_init(|| files.list())),
        changed: &|patterns| {
            let files = changed.get_or_init(|| repository.changed(context.changed_since()?, &context.commit.sha).ok());
            files.as_ref().is_none_or(|files| glob::any_fits(patterns, files))
        },
        compare: &|name| {
            let base = repository.merge_base(name, &context.commit.sha).ok()?;
            repository.changed(&base, &context.commit.sha).ok()
        },
    };
    let plan = match build(configuration, &context, &project) {
        Ok(plan) => plan,
        Err(refusal) => {
            tell(&without_secrets(&given, &format!("e2e: {refusal}{}", reasons(&refusal, &lint))));
            return Ok(Err(ExitCode::from(EXIT_NOT_WHOLE)));
        }
    };
    Ok(Ok(Prepared { repository, lint, plan, given }))
}

/// Says which of the project's variables no job gets: a pipeline that lacks a password fails late and far away.
fn tell_left_out(given: &Given, context: &Context) {
    let keys = |list: &mut dyn Iterator<Item = &Setting>| {
        list.map(|setting| &*setting.variable.key).collect::<Vec<_>>().join(", ")
    };
    let protected = keys(&mut settings::withheld(&given.settings, context.protected));
    if !protected.is_empty() {
        tell(&format!(
            "e2e: without protected variables, as the ref is not (`--protected` says that it is): {protected}"
        ));
    }
    let hidden = keys(&mut given.settings.iter().filter(|setting| setting.hidden));
    if !hidden.is_empty() {
        tell(&format!("e2e: without variables whose values GitLab keeps to itself: {hidden}"));
    }
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
        Refusal::Workflow(None) | Refusal::NeedIsNotThere { .. } | Refusal::Variables { .. } => String::new(),
    }
}
