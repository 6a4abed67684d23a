//! Builds a plan from a repository, a ref and a pipeline file.

use std::cell::OnceCell;

use super::changes::Changes;
use super::input::Input;
use super::notes;
use super::reference::Reference;
use crate::project::git::{GitError, Repository, WorkingTree};
use gitlab_ci::files::Files;
use gitlab_ci::glob;
use gitlab_ci::lint::Lint;
use gitlab_ci::plan::build::{Project, build};
use gitlab_ci::plan::context::Context;
use gitlab_ci::plan::error::{MissingNeed, PlanError};
use gitlab_ci::plan::job_variables::{ProjectVariables, base_variables};
use gitlab_ci::plan::{Plan, admission};

/// A plan, and everything it was built from.
pub struct Prepared {
    /// The repository that the files come from.
    pub repository: Repository,
    /// The pipeline file and its diagnostics, with positions.
    pub lint: Lint,
    /// The jobs that would run.
    pub plan: Plan,
    /// The variables of the project and of the pipeline, which do not come from the pipeline file.
    pub project_variables: ProjectVariables,
}

/// The reason why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The ref or the repository does not exist, or git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The pipeline file is invalid. The diagnostics say why.
    #[error("the pipeline file is invalid")]
    Lint(Box<Lint>),
    /// GitLab would not create the pipeline.
    #[error("{error}{reasons}")]
    Refused {
        /// GitLab's reason.
        error: PlanError,
        /// The reasons for each job that is not in the pipeline: lines, each with a leading line break.
        reasons: String,
    },
}

/// Builds the plan. Messages to the user that are not errors go to `note`.
///
/// # Errors
/// The repository, the ref or the pipeline file is unusable, or GitLab would not create the pipeline.
pub fn prepare(
    input: &Input,
    project_variables: ProjectVariables,
    reference: &Reference,
    note: &dyn Fn(&str),
) -> Result<Prepared, PrepareError> {
    let repository = Repository::open(&input.directory)?;
    let context = reference.context(&repository, &input.file);
    repository.check()?;
    let context = Context { version: input.gitlab.unwrap_or_default(), ..context? };
    for text in notes::unavailable_variables(&project_variables, &context) {
        note(&text);
    }
    let variables = base_variables(&context, &project_variables);
    let tree = repository.at(&context.commit.sha);
    let dir = WorkingTree(repository.dir().to_owned());
    let files: &dyn Files = if reference.worktree { &dir } else { &tree };
    let changes = Changes::new(Some((&repository, &context)));
    let lint = input.lint(files, &variables, &changes);
    repository.check()?;
    if reference.branch.is_none() && reference.tag.is_none() && repository.current_branch().is_none() {
        note(&notes::detached_head(&context));
    }
    if reference.default_branch.is_none()
        && repository.assumes_default_branch()
        && let Some(text) = notes::assumed_default_branch(&context, &lint.sources)
    {
        note(&text);
    }
    let configuration = match &lint.configuration {
        Some(configuration) if !lint.diagnostics.has_errors() => configuration,
        _ => return Err(PrepareError::Lint(Box::new(lint))),
    };
    // The files are listed when the first rule uses them, because git runs as a separate process.
    let paths = OnceCell::new();
    let project = Project {
        project_variables: &project_variables,
        matches: &glob::any_matches,
        exists: &|patterns| glob::any_exists(patterns, paths.get_or_init(|| files.list())),
        changed: &|patterns| changes.any(patterns),
        compare: &|name| changes.against(name),
    };
    let built = build(configuration, &context, &project);
    repository.check()?;
    let plan = match built {
        Ok(plan) => plan,
        Err(error) => {
            let reasons = reasons(&error, &lint);
            return Err(PrepareError::Refused { error, reasons });
        }
    };
    Ok(Prepared { repository, lint, plan, project_variables })
}

/// The reason why each job is not in an empty pipeline, or the positions of the mistakes.
fn reasons(error: &PlanError, lint: &Lint) -> String {
    let position = |span| lint.sources.location(span);
    let describe = |name: &str, reason: &admission::Reason| {
        let position = reason.span.map(|span| format!(" ({})", position(span))).unwrap_or_default();
        format!("{name}: {}{position}", reason.text)
    };
    let describe_need = |MissingNeed { job, need, span, reason }: &MissingNeed| {
        let cause = reason.as_ref().map(|reason| format!("; {}", describe(need, reason))).unwrap_or_default();
        format!("{job}: needs {need} ({}){cause}", position(*span))
    };
    let reasons: Vec<String> = match error {
        PlanError::Empty(jobs) => jobs.iter().map(|(name, reason)| describe(name, reason)).collect(),
        PlanError::Workflow(reason) => vec![describe("workflow", reason)],
        PlanError::Rule { job, span, .. } => vec![format!("{job}: compare_to ({})", position(*span))],
        PlanError::Needs(missing) => missing.iter().map(describe_need).collect(),
        PlanError::Name | PlanError::Variables { .. } => Vec::new(),
    };
    reasons.iter().flat_map(|reason| ["\n  ", reason]).collect()
}
