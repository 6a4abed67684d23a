//! The variables that the rules, the texts and the runner of a job can read. `lib/gitlab/ci/variables/builder.rb`

use super::context::Context;
use super::instances::Instance;
use super::predefined::{self, PipelinePhase};
use super::tier;
use crate::config::environment::Environment;
use crate::config::inherit::Inherit;
use crate::config::job::Job;
use crate::config::variables::YamlVariable;
use crate::config::when::When;
use crate::variables::collection::{Collection, Origin, Variable};
use crate::variables::expand::ExpansionError;
use crate::variables::settings;
use crate::variables::settings::Setting;
use crate::variables::slug::environment_slug;

/// The variables that come neither from the file nor from GitLab itself.
#[derive(Clone, Debug, Default)]
pub struct ProjectVariables {
    /// The variables of the project's settings.
    pub settings: Vec<Setting>,
    /// The variables of this pipeline only.
    pub pipeline: Vec<Variable>,
}

/// Returns the variables that `include` and `workflow` can read: those that GitLab computes, and those of the settings and the pipeline.
pub fn base_variables(context: &Context, project_variables: &ProjectVariables) -> Collection {
    variables_in(PipelinePhase::Configuration, context, project_variables)
}

/// Returns the variables that do not come from the file and do not depend on a job.
pub(super) fn variables_in(
    phase: PipelinePhase,
    context: &Context,
    project_variables: &ProjectVariables,
) -> Collection {
    let mut variables = Collection::default();
    add_predefined(&mut variables, predefined::pipeline_variables(context, phase), Origin::Predefined);
    add_predefined(&mut variables, predefined::user_variables(context), Origin::User);
    variables.extend(settings::unscoped(&project_variables.settings, context.protected).cloned());
    variables.extend(project_variables.pipeline.iter().cloned());
    variables
}

/// Returns the variables that `workflow` can read. GitLab leaves out those of jobs.
/// `lib/gitlab/ci/build/context/global.rb`
pub(super) fn workflow_variables(base: &Collection, yaml: &[(&[YamlVariable], Origin)]) -> Collection {
    let is_of_job = |variable: &Variable| variable.key.starts_with("CI_JOB") || variable.key.starts_with("CI_BUILD");
    let mut variables = Collection::default();
    for (winner, hidden) in base.iter() {
        variables.extend(hidden.iter().rev().chain([winner]).filter(|variable| !is_of_job(variable)).cloned());
    }
    for (list, origin) in yaml {
        add_yaml(&mut variables, list.iter(), *origin);
    }
    variables
}

/// Builds the variables of the jobs of a pipeline.
pub(super) struct VariableBuilder<'plan> {
    context: &'plan Context,
    project_variables: &'plan ProjectVariables,
    /// The variables of the top level and of the matching workflow rule.
    top: [(&'plan [YamlVariable], Origin); 2],
    base: Collection,
    /// `base` and all variables of the top level, which most jobs inherit.
    inherited: Collection,
    /// The name of the pipeline. Jobs can read it once they are created.
    name: Option<String>,
}

/// The phase in which the variables of a job are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Rules are evaluated, before the job is created.
    Seed,
    /// Texts are expanded, and the runner executes the job.
    Created,
}

/// The name of a job's environment, with the values derived from it.
pub(super) struct EnvironmentName {
    pub(super) name: String,
    pub(super) slug: String,
    pub(super) tier: String,
}

impl<'plan> VariableBuilder<'plan> {
    pub(super) fn new(
        context: &'plan Context,
        project_variables: &'plan ProjectVariables,
        mut base: Collection,
        top: [(&'plan [YamlVariable], Origin); 2],
        name: Option<String>,
    ) -> Self {
        base.share();
        let mut inherited = base.clone();
        for (list, origin) in top {
            add_yaml(&mut inherited, list.iter(), origin);
        }
        inherited.share();
        Self { context, project_variables, top, base, inherited, name }
    }

    /// Returns the variables of a job without those of its environment. `simple_variables` of
    /// `app/models/concerns/ci/contextable.rb`
    pub(super) fn simple(&self, job: &Job, instance: &Instance) -> Collection {
        let mut variables = if job.inherit_variables == Inherit::All(true) {
            self.inherited.clone()
        } else {
            let mut variables = self.base.clone();
            for (list, origin) in self.top {
                let list = list.iter().filter(|variable| job.inherit_variables.has(&variable.key));
                add_yaml(&mut variables, list, origin);
            }
            variables
        };
        add_yaml(&mut variables, job.variables.iter(), Origin::Job);
        variables.extend(instance.variables.iter().map(|(key, value)| Variable::new(key, value, Origin::Matrix)));
        add_predefined(&mut variables, predefined::job_variables(job, instance), Origin::Predefined);
        add_manual(&mut variables, job.when);
        variables
    }

    /// Adds the variables that are known once a rule has matched.
    pub(super) fn created(&self, simple: &mut Collection, rule: &[YamlVariable], when: When) {
        add_yaml(simple, rule.iter(), Origin::Rule);
        add_manual(simple, Some(when));
        if let Some(name) = &self.name {
            simple.add(Variable::new("CI_PIPELINE_NAME", name, Origin::Predefined));
        }
    }

    /// Adds the variables of the job's environment, if it has one, and returns its name.
    ///
    /// # Errors
    /// A value becomes too large.
    pub(super) fn with_environment(
        &self,
        simple: Collection,
        environment: Option<&Environment>,
        phase: Phase,
    ) -> Result<(Collection, Option<EnvironmentName>), ExpansionError> {
        let Some((environment, written)) = environment.and_then(|it| Some((it, it.name.as_ref()?))) else {
            return Ok((simple, None));
        };
        let name = if written.value.contains(['$', '%']) {
            for_texts(&simple)?.expand(&written.value)?
        } else {
            written.value.to_string()
        };
        if name.trim().is_empty() {
            return Ok((simple, None));
        }
        let given_tier = environment.tier.as_ref().map(|tier| tier.value.to_string());
        let tier = given_tier.unwrap_or_else(|| tier::guess_tier(&name).to_owned());
        let slug = environment_slug(&name);
        // `expanded_deployment_tier` of `app/models/concerns/ci/deployable.rb`; the variable has the text as written.
        let expanded_tier = if tier.contains(['$', '%']) { for_texts(&simple)?.expand(&tier)? } else { tier.clone() };
        let mut variables = simple;
        let list = tier::environment_variables(&name, environment.action, &tier);
        add_predefined(&mut variables, list, Origin::Predefined);
        variables.extend(settings::scoped_to(&self.project_variables.settings, &name, self.context.protected).cloned());
        // Not expanded, like other values. The URL may contain the slug.
        let url = environment.url.as_ref().map(|url| ("CI_ENVIRONMENT_URL", url.value.to_string()));
        match phase {
            Phase::Seed => add_predefined(&mut variables, url, Origin::Predefined),
            Phase::Created => {
                let slug = ("CI_ENVIRONMENT_SLUG", slug.clone());
                add_predefined(&mut variables, std::iter::once(slug).chain(url), Origin::Environment);
            }
        }
        Ok((variables, Some(EnvironmentName { name, slug, tier: expanded_tier })))
    }
}

/// Expands the values of variables for use in texts. If variables form a cycle, all values stay as written.
/// `sort_and_expand_all`
///
/// # Errors
/// A value becomes too large.
pub(super) fn for_texts(variables: &Collection) -> Result<Collection, ExpansionError> {
    match variables.expand_all_fully() {
        Err(ExpansionError::Circular(_)) => Ok(variables.clone()),
        expanded => expanded,
    }
}

/// Returns the variables for the key of a resource group. Of the environment, only the name and the slug are available.
pub(super) fn resource_group_variables(mut simple: Collection, name: Option<&EnvironmentName>) -> Collection {
    if let Some(name) = name {
        let list = [("CI_ENVIRONMENT_NAME", name.name.clone()), ("CI_ENVIRONMENT_SLUG", name.slug.clone())];
        add_predefined(&mut simple, list, Origin::Environment);
    }
    simple
}

fn add_predefined(variables: &mut Collection, list: impl IntoIterator<Item = (&'static str, String)>, origin: Origin) {
    variables.extend(list.into_iter().map(|(key, value)| Variable::new(key, &value, origin)));
}

fn add_yaml<'list>(variables: &mut Collection, list: impl Iterator<Item = &'list YamlVariable>, origin: Origin) {
    variables.extend(list.map(|variable| Variable {
        key: variable.key.clone(),
        value: variable.value.clone(),
        raw: !variable.expand,
        ..Variable::new("", "", origin)
    }));
}

fn add_manual(variables: &mut Collection, when: Option<When>) {
    let is_there = |variables: &Collection| {
        variables.all("CI_JOB_MANUAL").iter().any(|variable| variable.origin == Origin::Predefined)
    };
    if matches!(when, Some(When::Manual | When::Delayed)) && !is_there(variables) {
        variables.add(Variable::new("CI_JOB_MANUAL", "true", Origin::Predefined));
    }
}
