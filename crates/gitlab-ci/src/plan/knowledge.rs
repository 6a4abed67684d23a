//! What a job's rules, its texts and its runner know. `lib/gitlab/ci/variables/builder.rb`

use super::context::Context;
use super::instances::Instance;
use super::predefined;
use crate::config::environment::Environment;
use crate::config::inherit::Inherit;
use crate::config::job::Job;
use crate::config::variables::YamlVariable;
use crate::config::when::When;
use crate::variables::collection::Collection;
use crate::variables::collection::Origin;
use crate::variables::collection::Variable;
use crate::variables::expand::ExpansionError;
use crate::variables::settings;
use crate::variables::settings::Setting;
use crate::variables::slug::environment_slug;

/// Variables that come neither from the file nor from GitLab.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Those of the project's settings.
    pub settings: Vec<Setting>,
    /// This pipeline's own.
    pub pipeline: Vec<Variable>,
}

/// Everything that does not come from the file: what GitLab computes, and what is given to jobs without an environment.
pub fn base_variables(context: &Context, given: &Given) -> Collection {
    let mut variables = Collection::default();
    add_predefined(&mut variables, predefined::of_pipeline(context), Origin::Predefined);
    add_predefined(&mut variables, predefined::of_user(context), Origin::User);
    variables.extend(settings::of_every_job(&given.settings, context.protected).cloned());
    variables.extend(given.pipeline.iter().cloned());
    variables
}

/// What `workflow` knows: GitLab leaves out what only jobs have. `lib/gitlab/ci/build/context/global.rb`
pub(super) fn of_workflow(base: &Collection, yaml: &[(&[YamlVariable], Origin)]) -> Collection {
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

/// What all jobs of a pipeline know together.
pub(super) struct Knowledge<'plan> {
    context: &'plan Context,
    given: &'plan Given,
    /// The lists of the top level and of the workflow's rule.
    top: [(&'plan [YamlVariable], Origin); 2],
    base: Collection,
    /// With everything of the top level, as most jobs have it.
    inherited: Collection,
    /// The pipeline's name, which jobs are told once they are created.
    name: Option<String>,
}

/// When a job's variables are asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// By its rules: before it is created.
    Seed,
    /// By its texts and its runner.
    Created,
}

/// A job's environment, as far as variables need it.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) slug: String,
    pub(super) tier: String,
}

impl<'plan> Knowledge<'plan> {
    pub(super) fn new(
        context: &'plan Context,
        given: &'plan Given,
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
        Self { context, given, top, base, inherited, name }
    }

    /// What a job knows but for its environment. `simple_variables` of `app/models/concerns/ci/contextable.rb`
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
        add_predefined(&mut variables, predefined::of_job(job, instance), Origin::Predefined);
        add_manual(&mut variables, job.when);
        variables
    }

    /// The same once its rule is known.
    pub(super) fn created(&self, simple: &mut Collection, rule: &[YamlVariable], when: When) {
        add_yaml(simple, rule.iter(), Origin::Rule);
        add_manual(simple, Some(when));
        if let Some(name) = &self.name {
            simple.add(Variable::new("CI_PIPELINE_NAME", name, Origin::Predefined));
        }
    }

    /// With its environment, if it has one: what that is called, and what is only for it.
    ///
    /// # Errors
    /// When a value becomes too large.
    pub(super) fn placed(
        &self,
        simple: Collection,
        environment: Option<&Environment>,
        moment: Moment,
    ) -> Result<(Collection, Option<Place>), ExpansionError> {
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
        let tier = given_tier.unwrap_or_else(|| predefined::guess_tier(&name).to_owned());
        let slug = environment_slug(&name);
        let mut variables = simple;
        let list = predefined::of_environment(&name, environment.action, &tier);
        add_predefined(&mut variables, list, Origin::Predefined);
        variables.extend(settings::of_environment(&self.given.settings, &name, self.context.protected).cloned());
        // Unexpanded, as others are: it may have the slug in it.
        let url = environment.url.as_ref().map(|url| ("CI_ENVIRONMENT_URL", url.value.to_string()));
        match moment {
            Moment::Seed => add_predefined(&mut variables, url, Origin::Predefined),
            Moment::Created => {
                let slug = ("CI_ENVIRONMENT_SLUG", slug.clone());
                add_predefined(&mut variables, std::iter::once(slug).chain(url), Origin::Environment);
            }
        }
        Ok((variables, Some(Place { name, slug, tier })))
    }
}

/// Variables as texts get them; those of a circle as they are written. `sort_and_expand_all`
///
/// # Errors
/// When a value becomes too large.
pub(super) fn for_texts(variables: &Collection) -> Result<Collection, ExpansionError> {
    match variables.expand_all_fully() {
        Err(ExpansionError::Circular(_)) => Ok(variables.clone()),
        expanded => expanded,
    }
}

/// What the key of a resource group may have in it: of the environment only how it is called.
pub(super) fn of_resource_group(mut simple: Collection, place: Option<&Place>) -> Collection {
    if let Some(place) = place {
        let list = [("CI_ENVIRONMENT_NAME", place.name.clone()), ("CI_ENVIRONMENT_SLUG", place.slug.clone())];
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
