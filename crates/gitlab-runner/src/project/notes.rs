//! What a user should know about a plan that is no mistake of the pipeline file.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use gitlab_ci::config::runner_settings::is_unsupported;
use gitlab_ci::plan::PlannedJob;
use gitlab_ci::plan::context::Context;
use gitlab_ci::plan::job_variables::ProjectVariables;
use gitlab_ci::source::Sources;
use gitlab_ci::variables::settings;
use gitlab_ci::variables::settings::Setting;
use regex::Regex;

/// References to the variables of features that only a server has: its container registry, Pages, and its dependency proxy.
/// <https://docs.gitlab.com/ci/variables/predefined_variables/>
static OF_A_SERVER: LazyLock<Result<Regex, regex::Error>> =
    LazyLock::new(|| Regex::new(r"\$\{?(CI_(?:REGISTRY|PAGES|DEPENDENCY_PROXY)[A-Z_]*)"));

/// The project variables that no job receives. Without such a note, a missing password would only show as a failed job.
pub(super) fn unavailable_variables(project_variables: &ProjectVariables, context: &Context) -> Vec<String> {
    let keys = |list: &mut dyn Iterator<Item = &Setting>| {
        list.map(|setting| &*setting.variable.key).collect::<Vec<_>>().join(", ")
    };
    let own = project_variables.settings.iter().map(|setting| &setting.variable).chain(&project_variables.pipeline);
    let unsupported = own.filter(|variable| is_unsupported(&variable.key, &variable.value));
    let notes = [
        (
            "protected variables are unavailable because the ref is not protected (set `--protected` if it is)",
            keys(&mut settings::withheld(&project_variables.settings, context.protected)),
        ),
        (
            "settings of GitLab Runner in variables, which are not supported here",
            unsupported.map(|variable| &*variable.key).collect::<Vec<_>>().join(", "),
        ),
        (
            "hidden variables are unavailable because GitLab does not export their values",
            keys(&mut project_variables.settings.iter().filter(|setting| setting.hidden)),
        ),
    ];
    notes.into_iter().filter(|(_, keys)| !keys.is_empty()).map(|(text, keys)| format!("{text}: {keys}")).collect()
}

/// Names the variables of a GitLab server that these jobs use and that have no value here. References to them become empty texts.
pub fn missing_variables<'plan>(jobs: impl Iterator<Item = &'plan PlannedJob>) -> Option<String> {
    let reference = OF_A_SERVER.as_ref().ok()?;
    let missing: BTreeSet<&str> = jobs
        .flat_map(|planned| {
            let found = texts(planned).flat_map(|text| reference.captures_iter(text));
            found
                .filter_map(|captures| captures.get(1))
                .map(|found| found.as_str())
                .filter(|key| planned.variables.get(key).is_none())
        })
        .collect();
    let keys = missing.into_iter().collect::<Vec<_>>().join(", ");
    (!keys.is_empty()).then(|| {
        format!(
            "variables of GitLab's server that jobs use have no value (set them with `--var` or `--variables`): {keys}"
        )
    })
}

/// The texts of a job in which the server or the runner expands variables.
fn texts(planned: &PlannedJob) -> impl Iterator<Item = &str> {
    let job = &planned.job;
    let scripts = [&job.before_script, &job.script, &job.after_script].into_iter().flatten();
    let images = job.image.iter().chain(&job.services).map(|image| &*image.name);
    let variables = planned.variables.iter().map(|(variable, _)| &*variable.value);
    scripts.map(|line| &*line.value).chain(images).chain(variables)
}

/// Which branch the commit is treated as one of.
pub(super) fn detached_head(context: &Context) -> String {
    format!(
        "HEAD is detached: its commit is treated as the last one of branch `{}` (set `--branch` or `--tag`)",
        context.ref_name
    )
}

/// The default branch that was assumed, if the pipeline depends on it.
pub(super) fn assumed_default_branch(context: &Context, sources: &Sources) -> Option<String> {
    let is_used = sources.files().any(|file| file.text.contains("CI_DEFAULT_BRANCH"));
    is_used.then(|| {
        format!(
            "the default branch is assumed to be `{}`, because the repository does not know that of `origin` (set \
             `--default-branch`)",
            context.default_branch
        )
    })
}
