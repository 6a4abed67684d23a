//! From what is asked for to a plan: repository, ref, file, and all that can be wrong with them.

use std::cell::OnceCell;

use super::changes::Changes;
use super::input::Input;
use super::reference::Reference;
use crate::project::git::Folder;
use crate::project::git::GitError;
use crate::project::git::Repository;
use gitlab_ci::files::Files;
use gitlab_ci::glob;
use gitlab_ci::lint::Lint;
use gitlab_ci::plan::Plan;
use gitlab_ci::plan::admission;
use gitlab_ci::plan::build::Project;
use gitlab_ci::plan::build::build;
use gitlab_ci::plan::context::Context;
use gitlab_ci::plan::knowledge::Given;
use gitlab_ci::plan::knowledge::base_variables;
use gitlab_ci::plan::refusal::MissingNeed;
use gitlab_ci::plan::refusal::Refusal;
use gitlab_ci::variables::settings;
use gitlab_ci::variables::settings::Setting;

/// Everything that a command knows once there is a plan.
pub struct Prepared {
    /// Where the files come from.
    pub repository: Repository,
    /// The file, and the places in it.
    pub lint: Lint,
    /// What would run.
    pub plan: Plan,
    /// Variables that come neither from the file nor from GitLab.
    pub given: Given,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// There is no such ref, or no repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The file is wrong.
    #[error("the pipeline's file is not valid")]
    Lint(Box<Lint>),
    /// GitLab would not create the pipeline.
    #[error("{refusal}{reasons}")]
    Refused {
        /// Why not.
        refusal: Refusal,
        /// Why each job is not in it, a line each.
        reasons: String,
    },
}

/// Plans. What whoever asks should know goes to `note`.
///
/// # Errors
/// When there can be no plan.
pub fn prepare(
    input: &Input,
    given: Given,
    reference: &Reference,
    note: &dyn Fn(&str),
) -> Result<Prepared, PrepareError> {
    let repository = Repository::open(&input.directory)?;
    let context = reference.context(&repository, &input.file)?;
    tell_left_out(&given, &context, note);
    let variables = base_variables(&context, &given);
    let tree = repository.at(&context.commit.sha);
    let folder = Folder(repository.folder().to_owned());
    let files: &dyn Files = if reference.worktree { &folder } else { &tree };
    let changes = Changes::new(Some((&repository, &context)));
    let lint = input.lint(files, &variables, &changes);
    let configuration = match &lint.configuration {
        Some(configuration) if !lint.diagnostics.has_errors() => configuration,
        _ => return Err(PrepareError::Lint(Box::new(lint))),
    };
    // Asked for by the first rule that needs it: git is a program of its own.
    let paths = OnceCell::new();
    let project = Project {
        given: &given,
        fits: &glob::any_fits,
        exists: &|patterns| glob::any_exists(patterns, paths.get_or_init(|| files.list())),
        changed: &|patterns| changes.any(patterns),
        compare: &|name| changes.against(name),
    };
    let plan = match build(configuration, &context, &project) {
        Ok(plan) => plan,
        Err(refusal) => {
            let reasons = reasons(&refusal, &lint);
            return Err(PrepareError::Refused { refusal, reasons });
        }
    };
    Ok(Prepared { repository, lint, plan, given })
}

/// Says which of the project's variables no job gets: a pipeline that lacks a password fails late and far away.
fn tell_left_out(given: &Given, context: &Context, note: &dyn Fn(&str)) {
    let keys = |list: &mut dyn Iterator<Item = &Setting>| {
        list.map(|setting| &*setting.variable.key).collect::<Vec<_>>().join(", ")
    };
    let protected = keys(&mut settings::withheld(&given.settings, context.protected));
    if !protected.is_empty() {
        note(&format!("without protected variables, as the ref is not (`--protected` says that it is): {protected}"));
    }
    let hidden = keys(&mut given.settings.iter().filter(|setting| setting.hidden));
    if !hidden.is_empty() {
        note(&format!("without variables whose values GitLab keeps to itself: {hidden}"));
    }
}

/// Why each job is not in a pipeline that has none, or where it is that there can be none.
fn reasons(refusal: &Refusal, lint: &Lint) -> String {
    let place = |span| lint.sources.location(span);
    let told = |name: &str, reason: &admission::Reason| {
        let place = reason.span.map(|span| format!(" ({})", place(span))).unwrap_or_default();
        format!("{name}: {}{place}", reason.text)
    };
    let needed = |MissingNeed { job, need, span, reason }: &MissingNeed| {
        let why = reason.as_ref().map(|reason| format!("; {}", told(need, reason))).unwrap_or_default();
        format!("{job}: needs {need} ({}){why}", place(*span))
    };
    let reasons: Vec<String> = match refusal {
        Refusal::Empty(jobs) => jobs.iter().map(|(name, reason)| told(name, reason)).collect(),
        Refusal::Workflow(reason) => reason.iter().map(|reason| told("workflow", reason)).collect(),
        Refusal::Rule { job, span, .. } => vec![format!("{job}: compare_to ({})", place(*span))],
        Refusal::Needs(missing) => missing.iter().map(needed).collect(),
        Refusal::Variables { .. } => Vec::new(),
    };
    reasons.iter().flat_map(|reason| ["\n  ", reason]).collect()
}
