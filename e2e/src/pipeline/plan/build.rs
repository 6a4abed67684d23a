//! A plan, top to bottom. `lib/gitlab/ci/pipeline/chain/`, `lib/gitlab/ci/pipeline/seed/`

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::admission::{Admitted, Reason, Situation, admit, first_rule};
use super::context::Context;
use super::instances::{self, Instance, Instances};
use super::predefined;
use super::{Plan, PlannedEnvironment, PlannedJob, Skipped};
use crate::pipeline::config::job::Job;
use crate::pipeline::config::reader::Text;
use crate::pipeline::config::root::Configuration;
use crate::pipeline::config::variables::YamlVariable;
use crate::pipeline::config::when::When;
use crate::pipeline::expression::Variables;
use crate::pipeline::variables::collection::{Collection, Origin, Variable};
use crate::pipeline::variables::slug::{environment_slug, slugify};

/// Why there is no pipeline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `workflow:rules` say so.
    #[error("The pipeline did not run. Review the workflow:rules configuration for the pipeline.")]
    Workflow(Option<Reason>),
    /// No job is in it.
    #[error("The resulting pipeline would have been empty. Review the rules configuration for the relevant jobs.")]
    Empty(Vec<(Arc<str>, Reason)>),
    /// A job's variables lead in a circle.
    #[error("{job}: circular variable reference detected: {names:?}")]
    Circle {
        /// The job.
        job: Arc<str>,
        /// The variables.
        names: Vec<Arc<str>>,
    },
    /// A job needs one that is not in it.
    #[error(
        "'{job}' job needs '{need}' job, but '{need}' does not exist in the pipeline. This might be because of the only, \
         except, or rules keywords. To need a job that sometimes does not exist in the pipeline, use needs:optional."
    )]
    NeedIsNotThere {
        /// The job that needs it.
        job: Arc<str>,
        /// The job that is not there.
        need: Arc<str>,
    },
}

/// What a plan is made from, beside the file and the ref.
pub struct Project<'project> {
    /// Variables of the project, of groups, and of this pipeline alone.
    pub variables: &'project [Variable],
    /// Whether one of these patterns fits one of these files.
    pub fits: &'project dyn Fn(&[String], &[String]) -> bool,
    /// Whether one of these patterns fits a file of the commit.
    pub exists: &'project dyn Fn(&[String]) -> bool,
    /// The files that differ from a ref.
    pub compare: &'project dyn Fn(&str) -> Option<Vec<String>>,
}

impl Variables for Collection {
    fn get(&self, name: &str) -> Option<&str> {
        Collection::get(self, name).map(|variable| &*variable.value)
    }
}

/// Plans a pipeline.
///
/// # Errors
/// Why GitLab would not create it.
pub fn build(configuration: &Configuration, context: &Context, project: &Project<'_>) -> Result<Plan, Refusal> {
    let base = base_variables(context, project.variables);
    let mut workflow_variables = Vec::new();
    if let Some(rules) = &configuration.workflow.rules {
        let mut variables = base.clone();
        add_yaml(&mut variables, &configuration.variables, Origin::Global);
        let found = with_situation(context, project, &variables, |situation| first_rule(rules, situation));
        match found {
            None => return Err(Refusal::Workflow(None)),
            Some(rule) if rule.when == Some(When::Never) => {
                let reason = Reason { text: super::admission::in_words(rule), span: Some(rule.span) };
                return Err(Refusal::Workflow(Some(reason)));
            }
            Some(rule) => workflow_variables.clone_from(&rule.variables),
        }
    }
    let builder = Builder { configuration, context, project, base, workflow_variables };
    builder.plan()
}

struct Builder<'plan> {
    configuration: &'plan Configuration,
    context: &'plan Context,
    project: &'plan Project<'plan>,
    base: Collection,
    workflow_variables: Vec<YamlVariable>,
}

/// A job that is in the pipeline, before it is known who else is.
struct Candidate {
    job: Arc<Job>,
    instance: Instance,
    admitted: Admitted,
    variables: Collection,
}

impl Builder<'_> {
    fn plan(&self) -> Result<Plan, Refusal> {
        let mut candidates = Vec::new();
        let mut skipped = Vec::new();
        for job in self.configuration.jobs.values() {
            let job = Arc::new(job.clone());
            for instance in instances::of(&job) {
                let variables = self.variables(&job, &instance);
                let has_workflow = self.configuration.workflow.rules.is_some();
                let admitted = with_situation(self.context, self.project, &variables, |situation| {
                    admit(&job, situation, has_workflow)
                });
                match admitted {
                    Ok(admitted) => {
                        let mut variables = variables;
                        add_yaml(&mut variables, &admitted.variables, Origin::Rule);
                        candidates.push(Candidate { job: Arc::clone(&job), instance, admitted, variables });
                    }
                    Err(reason) => skipped.push(Skipped { name: instance.name, reason }),
                }
            }
        }
        // A pipeline of nothing but `.pre` and `.post` is none. `lib/gitlab/ci/pipeline/chain/populate.rb`
        if !candidates.iter().any(|candidate| !matches!(&*candidate.job.stage.value, ".pre" | ".post")) {
            return Err(Refusal::Empty(skipped.into_iter().map(|skipped| (skipped.name, skipped.reason)).collect()));
        }
        let mut instances = Instances::new();
        for candidate in &candidates {
            instances.entry(Arc::clone(&candidate.job.name)).or_default().push(Arc::clone(&candidate.instance.name));
        }
        let order: HashMap<&str, usize> =
            self.configuration.stages.iter().enumerate().map(|(index, stage)| (&**stage, index)).collect();
        candidates.sort_by_key(|candidate| order.get(&*candidate.job.stage.value).copied());
        let used: HashSet<Arc<str>> =
            candidates.iter().map(|candidate| Arc::clone(&candidate.job.stage.value)).collect();
        let stages = self.configuration.stages.iter().filter(|stage| used.contains(*stage)).cloned().collect();
        let jobs = candidates.into_iter().map(|candidate| planned(candidate, &instances)).collect::<Result<_, _>>()?;
        let name = self.configuration.workflow.name.as_ref().map(|name| self.base.expand(&name.value));
        Ok(Plan { context: self.context.clone(), name, stages, jobs, skipped })
    }

    /// What a job's rules see: everything that is known before it is created.
    fn variables(&self, job: &Job, instance: &Instance) -> Collection {
        let mut variables = self.base.clone();
        let inherited = |list: &[YamlVariable]| {
            list.iter().filter(|variable| job.inherit_variables.has(&variable.key)).cloned().collect::<Vec<_>>()
        };
        add_yaml(&mut variables, &inherited(&self.configuration.variables), Origin::Global);
        add_yaml(&mut variables, &inherited(&self.workflow_variables), Origin::Workflow);
        add_yaml(&mut variables, &job.variables, Origin::Job);
        for (key, value) in &instance.variables {
            variables.add(Variable::new(key, value, Origin::Matrix));
        }
        let group = self.group_name(&instance.name);
        let mut predefined = vec![
            ("CI_JOB_NAME", instance.name.to_string()),
            ("CI_JOB_NAME_SLUG", slugify(&instance.name)),
            ("CI_JOB_GROUP_NAME", group),
            ("CI_JOB_STAGE", job.stage.value.to_string()),
            ("CI_NODE_TOTAL", instance.node.map_or(1, |(_, total)| total).to_string()),
        ];
        if let Some((index, _)) = instance.node {
            predefined.push(("CI_NODE_INDEX", index.to_string()));
        }
        for (key, value) in predefined {
            variables.add(Variable::new(key, &value, Origin::Predefined));
        }
        variables
    }

    fn group_name(&self, instance: &str) -> String {
        let jobs = &self.configuration.jobs;
        let is_instance_of = |name: &Arc<str>| {
            instance.strip_prefix(&**name).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ':']))
        };
        jobs.keys()
            .filter(|name| is_instance_of(name))
            .map(|name| &**name)
            .max_by_key(|name| name.len())
            .unwrap_or(instance)
            .to_owned()
    }
}

fn planned(candidate: Candidate, instances: &Instances) -> Result<PlannedJob, Refusal> {
    let Candidate { job, instance, admitted, mut variables } = candidate;
    if let Some(names) = variables.circle() {
        return Err(Refusal::Circle { job: instance.name, names });
    }
    let needs = admitted.needs.as_ref().or(job.needs.as_ref());
    let needs = needs.map(|needs| instances::needed(needs, instances, &instance.variables)).transpose();
    let needs = needs.map_err(|need| Refusal::NeedIsNotThere { job: Arc::clone(&instance.name), need })?;
    let environment = job.environment.as_ref().and_then(|environment| {
        let name = variables.expand(&environment.name.as_ref()?.value);
        let slug = environment_slug(&name);
        let tell = |key: &str, value: &str, variables: &mut Collection| {
            variables.add(Variable::new(key, value, Origin::Environment));
        };
        tell("CI_ENVIRONMENT_NAME", &name, &mut variables);
        tell("CI_ENVIRONMENT_SLUG", &slug, &mut variables);
        let url = environment.url.as_ref().map(|url| variables.expand(&url.value));
        if let Some(url) = &url {
            tell("CI_ENVIRONMENT_URL", url, &mut variables);
        }
        let on_stop = environment.on_stop.as_ref().map(|job| job.value.to_string());
        Some(PlannedEnvironment { name, slug, url, action: environment.action, on_stop })
    });
    if matches!(admitted.when, When::Manual | When::Delayed) {
        variables.add(Variable::new("CI_JOB_MANUAL", "true", Origin::Predefined));
    }
    Ok(PlannedJob {
        name: instance.name,
        when: admitted.when,
        allow_failure: admitted.allow_failure,
        needs,
        environment,
        image: job.image.as_ref().map(|image| variables.expand(&image.name)),
        resource_group: job.resource_group.as_ref().map(|group| variables.expand(&group.value)),
        node: instance.node,
        variables,
        reason: admitted.reason,
        job,
    })
}

/// Everything that does not come from the file: what GitLab computes, and `given` variables of projects and pipelines.
pub fn base_variables(context: &Context, given: &[Variable]) -> Collection {
    let mut variables = Collection::default();
    for (key, value) in predefined::of_pipeline(context) {
        variables.add(Variable::new(key, &value, Origin::Predefined));
    }
    for (key, value) in predefined::of_user(context) {
        variables.add(Variable::new(key, &value, Origin::User));
    }
    for variable in given {
        variables.add(variable.clone());
    }
    variables
}

fn add_yaml(variables: &mut Collection, list: &[YamlVariable], origin: Origin) {
    for variable in list {
        let raw = !variable.expand;
        variables.add(Variable { raw, ..Variable::new(&variable.key, &variable.value, origin) });
    }
}

fn with_situation<T>(
    context: &Context,
    project: &Project<'_>,
    variables: &Collection,
    decide: impl FnOnce(&Situation<'_>) -> T,
) -> T {
    // Unknown variables stay as they are written.
    let expanded = |patterns: &[Text]| -> Vec<String> {
        patterns.iter().map(|pattern| variables.expand_existing(&pattern.value)).collect()
    };
    let situation = Situation {
        context,
        variables,
        fits: &|patterns, files| (project.fits)(&expanded(patterns), files),
        exists: &|patterns| (project.exists)(&expanded(patterns)),
        compare: &|name| (project.compare)(&variables.expand(name)),
    };
    decide(&situation)
}
