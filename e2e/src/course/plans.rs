//! The pipelines that GitLab would create for the project's working tree.

use gitlab_ci::diagnostic::Severity;
use gitlab_ci::files::Files;
use gitlab_ci::glob;
use gitlab_ci::include::Environment;
use gitlab_ci::lint::lint;
use gitlab_ci::plan::build::{Project as PlanProject, build};
use gitlab_ci::plan::commit::Commit;
use gitlab_ci::plan::context::{Context, RefKind};
use gitlab_ci::plan::job_variables::ProjectVariables;
use gitlab_ci::plan::{Plan, PlannedJob};
use gitlab_ci::variables::collection::{Origin, Variable};
use gitlab_ci::variables::settings::Setting;
use gitlab_runner::project::git::WorkingTree;

use super::project::Project;
use super::verdict::Unsolved;

const FILE: &str = ".gitlab-ci.yml";

/// The commit of every plan. Only its form matters: no plan reads it from the repository.
pub(super) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The path that the project has in GitLab.
pub(super) const PROJECT_PATH: &str = "course/team/project";

/// The image of the project in a registry that does not exist.
pub(super) const IMAGE: &str = "registry.example/course/project";

/// The push that starts a pipeline.
#[derive(Clone, Copy, Debug)]
pub(super) enum Push<'a> {
    /// A push to an existing branch other than the default branch, with these changed files.
    Branch(&'a [&'a str]),
    DefaultBranch,
    /// GitLab does not know which files a tag changes, and treats every file as changed.
    Tag(&'a str),
}

impl Push<'_> {
    fn name(self) -> String {
        match self {
            Self::Branch(_) => "feature/greeting".to_owned(),
            Self::DefaultBranch => "main".to_owned(),
            Self::Tag(tag) => tag.to_owned(),
        }
    }

    /// For messages.
    pub(super) fn describe(self) -> String {
        match self {
            Self::Branch(files) => format!("a push that changes {}", files.join(" and ")),
            Self::DefaultBranch => "a push to the default branch".to_owned(),
            Self::Tag(tag) => format!("the tag {tag}"),
        }
    }
}

/// The plan for a push of the working tree.
pub(super) fn plan(project: &Project, push: Push<'_>) -> Result<Plan, Unsolved> {
    let tree = WorkingTree(project.dir().to_owned());
    let lint = lint(FILE, &Environment::new(&tree));
    if let Some(error) = lint.diagnostics.sorted().iter().find(|it| it.severity == Severity::Error) {
        return Err(Unsolved(format!("{}: {}", lint.sources.location(error.span), error.message)));
    }
    let Some(configuration) = &lint.configuration else { return Err(Unsolved::new(format!("{FILE} is invalid"))) };
    let commit = Commit { sha: COMMIT.to_owned(), timestamp: "2026-01-31T12:00:00Z".to_owned(), ..Commit::default() };
    let kind = if matches!(push, Push::Tag(_)) { RefKind::Tag } else { RefKind::Branch };
    let context = Context {
        kind,
        project_path: PROJECT_PATH.to_owned(),
        server: "https://gitlab.example".to_owned(),
        ..Context::push(&push.name(), commit)
    };
    let paths = tree.list();
    let project_variables = ProjectVariables { settings: settings(), pipeline: Vec::new() };
    let built = build(
        configuration,
        &context,
        &PlanProject {
            project_variables: &project_variables,
            matches: &glob::any_matches,
            exists: &|patterns| glob::any_exists(patterns, &paths),
            changed: &|patterns| match push {
                Push::Branch(files) => {
                    let files: Vec<String> = files.iter().map(ToString::to_string).collect();
                    glob::any_matches(patterns, &files)
                }
                Push::DefaultBranch | Push::Tag(_) => true,
            },
            compare: &|_| Ok(None),
        },
    );
    built.map_err(|error| Unsolved(format!("GitLab creates no pipeline for {}: {error}", push.describe())))
}

/// The variables of a project with a registry of its own.
fn settings() -> Vec<Setting> {
    let values = [
        ("CI_REGISTRY", "registry.example"),
        ("CI_REGISTRY_IMAGE", IMAGE),
        ("CI_REGISTRY_USER", "course"),
        ("CI_REGISTRY_PASSWORD", "course"),
    ];
    let setting = |(key, value): (&str, &str)| Setting {
        variable: Variable::new(key, value, Origin::Project),
        scope: "*".to_owned(),
        protected: false,
        hidden: false,
    };
    values.into_iter().map(setting).collect()
}

/// A job of the plan.
pub(super) fn find<'plan>(plan: &'plan Plan, name: &str) -> Option<&'plan PlannedJob> {
    plan.jobs.iter().find(|job| &*job.name == name)
}

/// A job that the plan must contain.
pub(super) fn job<'plan>(plan: &'plan Plan, name: &str) -> Result<&'plan PlannedJob, Unsolved> {
    find(plan, name).ok_or_else(|| {
        let jobs = plan.jobs.iter().map(|job| &*job.name).collect::<Vec<_>>().join(", ");
        Unsolved(format!("the pipeline of {} has no job {name}; its jobs are {jobs}", plan.context.ref_name))
    })
}
