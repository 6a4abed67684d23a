//! Builders of contexts and plans, for the tests of this crate and of the crates that depend on it.

use crate::changes::NoSuchRef;
use crate::config::root::Configuration;
use crate::files::Files;
use crate::glob;
use crate::include::Environment;
use crate::lint::lint;
use crate::plan::Plan;
use crate::plan::build::{Project, build};
use crate::plan::commit::Commit;
use crate::plan::context::{Context, RefKind, Source};
use crate::plan::error::PlanError;
use crate::plan::job_variables::ProjectVariables;
use crate::variables::collection::{Origin, Variable};
use crate::variables::settings::Setting;

struct OneFile(String);

impl Files for OneFile {
    fn read(&self, _: &str) -> Option<String> {
        Some(self.0.clone())
    }

    fn list(&self) -> Vec<String> {
        vec!["Dockerfile".to_owned(), "src/main.rs".to_owned()]
    }
}

/// Gives the job `name` the name `other` in the repository's own `.gitlab-ci.yml`, wherever that file says it: as the job's key, and in the
/// jobs that extend it or that it stops.
///
/// # Panics
///
/// If the file has no such job.
pub fn rename_job(file: &str, name: &str, other: &str) -> String {
    let renamed = file.replace(&format!("\n{name}:\n"), &format!("\n{other}:\n"));
    assert_ne!(renamed, file, "no job {name}");
    ["extends", "on_stop"]
        .iter()
        .fold(renamed, |text, key| text.replace(&format!("{key}: {name}\n"), &format!("{key}: {other}\n")))
}

/// Reads the configuration from a valid file.
#[expect(clippy::unwrap_used, reason = "an invalid file must fail the test")]
pub(crate) fn configuration(text: &str) -> Configuration {
    let files = OneFile(text.to_owned());
    let environment = Environment::new(&files);
    let lint = lint(".gitlab-ci.yml", &environment);
    let messages: Vec<_> = lint.diagnostics.sorted().iter().map(|it| it.message.clone()).collect();
    assert!(!lint.diagnostics.has_errors(), "{messages:?}");
    lint.configuration.unwrap()
}

pub(crate) fn context(kind: RefKind, ref_name: &str, source: Source) -> Context {
    let commit = Commit { sha: "0123456789abcdef0123456789abcdef01234567".to_owned(), ..Commit::default() };
    Context {
        kind,
        source,
        project_path: "course/demo".to_owned(),
        server: "https://gitlab.test".to_owned(),
        ..Context::push(ref_name, commit)
    }
}

/// The context of a push to the branch `name`.
pub fn branch(name: &str) -> Context {
    context(RefKind::Branch, name, Source::Push)
}

/// The context of a push of the tag `name`.
pub fn tag(name: &str) -> Context {
    context(RefKind::Tag, name, Source::Push)
}

/// Plans a file for `context`, in a project with these CI/CD variables.
///
/// # Errors
/// GitLab would not create the pipeline.
pub fn plan_for(text: &str, context: &Context, variables: &[(&str, &str)]) -> Result<Plan, PlanError> {
    let settings = variables.iter().map(|(key, value)| Setting {
        variable: Variable::new(key, value, Origin::Project),
        scope: "*".to_owned(),
        protected: false,
        hidden: false,
    });
    plan_with(text, context, &ProjectVariables { settings: settings.collect(), pipeline: Vec::new() }, None)
}

pub(crate) fn plan_with(
    text: &str,
    context: &Context,
    project_variables: &ProjectVariables,
    changed: Option<&[String]>,
) -> Result<Plan, PlanError> {
    let files = ["Dockerfile", "src/main.rs"].map(str::to_owned);
    let project = Project {
        project_variables,
        matches: &glob::any_matches,
        exists: &|patterns| glob::any_exists(patterns, &files),
        changed: &|patterns| changed.is_none_or(|files| glob::any_matches(patterns, files)),
        compare: &|name| {
            if name == "main" { Ok(Some(vec!["src/main.rs".to_owned()])) } else { Err(NoSuchRef) }
        },
    };
    build(&configuration(text), context, &project)
}

/// Plans a file for a push to the default branch.
///
/// # Panics
/// GitLab would not create the pipeline.
#[expect(clippy::unwrap_used, reason = "an invalid file must fail the test")]
pub fn plan(text: &str) -> Plan {
    plan_for(text, &branch("main"), &[]).unwrap()
}
