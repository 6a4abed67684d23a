//! Creates a plan. `lib/gitlab/ci/pipeline/chain/`, `lib/gitlab/ci/pipeline/seed/`

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;

use super::admission::{Admitted, Reason, Situation, admit, describe, first_rule};
use super::context::Context;
use super::error::{MissingNeed, PlanError, RuleError};
use super::instances::{self, Instance, Instances};
use super::job_variables::{
    Phase, ProjectVariables, VariableBuilder, for_texts, resource_group_variables, variables_in, workflow_variables,
};
use super::predefined::PipelinePhase;
use super::{Plan, PlannedEnvironment, PlannedJob, Skipped};
use crate::changes::Compared;
use crate::config::environment::is_valid_name;
use crate::config::job::Job;
use crate::config::needs::Need;
use crate::config::reader::Text;
use crate::config::root::{Configuration, MAX_NAME_LENGTH};
use crate::config::variables::YamlVariable;
use crate::config::when::When;
use crate::expression::Variables;
use crate::variables::collection::{Collection, Origin};
use crate::variables::expand::ExpansionError;

/// The inputs of a plan, in addition to the file and the [`Context`].
pub struct Project<'project> {
    /// The variables of the project's settings, and of this pipeline only.
    pub project_variables: &'project ProjectVariables,
    /// Whether one of these patterns (the first list) matches one of these paths (the second list). Usually
    /// [`any_matches`](crate::glob::any_matches).
    pub matches: &'project dyn Fn(&[String], &[String]) -> bool,
    /// Whether one of these patterns matches a file of the commit: `rules:exists`. Usually
    /// [`any_exists`](crate::glob::any_exists).
    pub exists: &'project dyn Fn(&[String]) -> bool,
    /// Whether one of these patterns matches a changed file: `rules:changes`. Must return true where GitLab does not
    /// know the changed files.
    pub changed: &'project dyn Fn(&[String]) -> bool,
    /// The files that differ from a ref: `compare_to`.
    pub compare: &'project dyn Fn(&str) -> Compared,
}

impl Variables for Collection {
    fn get(&self, name: &str) -> Option<&str> {
        Collection::get(self, name).map(|variable| &*variable.value)
    }
}

/// Plans the pipeline that GitLab would create.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use gitlab_ci::include::Environment;
/// use gitlab_ci::plan::build::{Project, build};
/// use gitlab_ci::plan::commit::Commit;
/// use gitlab_ci::plan::context::Context;
/// use gitlab_ci::plan::job_variables::ProjectVariables;
/// use gitlab_ci::plan::error::PlanError;
/// use gitlab_ci::{glob, lint};
///
/// let files = BTreeMap::from([(".gitlab-ci.yml", "release: {script: make, rules: [{if: $CI_COMMIT_TAG}]}\n")]);
/// let lint = lint::lint(".gitlab-ci.yml", &Environment::new(&files));
/// let configuration = lint.configuration.ok_or("not a pipeline file")?;
/// let project = Project {
///     project_variables: &ProjectVariables::default(),
///     matches: &glob::any_matches,
///     exists: &|_| false,
///     changed: &|_| true,
///     compare: &|_| Ok(None),
/// };
/// let context = Context::push("main", Commit::default());
/// assert!(matches!(build(&configuration, &context, &project), Err(PlanError::Empty(_))));
/// # Ok::<(), &str>(())
/// ```
///
/// # Errors
/// GitLab would not create the pipeline. The message of the error is GitLab's.
pub fn build(configuration: &Configuration, context: &Context, project: &Project<'_>) -> Result<Plan, PlanError> {
    if let Some(words) = context.skipped_by() {
        return Ok(without_jobs(configuration, context, words));
    }
    let plan_error = |error: RuleError| error.into_plan_error(&"workflow".into());
    let base = |phase| variables_in(phase, context, project.project_variables);
    let top = (&*configuration.variables, Origin::Global);
    let mut rule_variables: &[YamlVariable] = &[];
    if let Some(rules) = &configuration.workflow.rules {
        let known = ExpandedVariables::new(workflow_variables(&base(PipelinePhase::Configuration), &[top]));
        let found = decide(context, project, &known, |situation| first_rule(rules, situation)).map_err(plan_error)?;
        match found {
            None => {
                let first = rules.first().map(|rule| rule.span);
                return Err(PlanError::Workflow(Reason::new("no rule matches", first)));
            }
            Some(rule) if rule.when == Some(When::Never) => {
                let reason = Reason { text: describe(rule), span: Some(rule.span) };
                return Err(PlanError::Workflow(reason));
            }
            Some(rule) => rule_variables = &rule.variables,
        }
    }
    let top = [top, (rule_variables, Origin::Workflow)];
    let base = base(PipelinePhase::Jobs);
    // `lib/gitlab/ci/pipeline/chain/populate_metadata.rb`
    let name = configuration.workflow.name.as_ref().map(|name| {
        let name = for_texts(&workflow_variables(&base, &top))?.expand(&name.value)?;
        Ok(Some(name.trim().to_owned()).filter(|name| !name.is_empty()))
    });
    let name = name.transpose().map_err(|error: ExpansionError| plan_error(error.into()))?.flatten();
    if name.as_ref().is_some_and(|name: &String| name.chars().count() > MAX_NAME_LENGTH) {
        return Err(PlanError::Name);
    }
    let variables = VariableBuilder::new(context, project.project_variables, base, top, name.clone());
    Builder { configuration, context, project, variables }.plan(name)
}

struct Builder<'plan> {
    configuration: &'plan Configuration,
    context: &'plan Context,
    project: &'plan Project<'plan>,
    variables: VariableBuilder<'plan>,
}

/// The variables of a job or of `workflow`: as written, and with expanded values, which are computed on demand.
struct ExpandedVariables {
    written: Collection,
    for_texts: OnceCell<Result<Collection, ExpansionError>>,
}

impl ExpandedVariables {
    fn new(written: Collection) -> Self {
        Self { written, for_texts: OnceCell::new() }
    }

    fn for_texts(&self) -> Result<&Collection, ExpansionError> {
        self.for_texts.get_or_init(|| for_texts(&self.written)).as_ref().map_err(Clone::clone)
    }
}

/// A job of the pipeline, before its needs are resolved.
struct Candidate {
    job: PlannedJob,
    instance: Instance,
    /// The needs of the matching rule.
    needs: Option<Vec<Need>>,
}

impl Builder<'_> {
    fn plan(&self, name: Option<String>) -> Result<Plan, PlanError> {
        let mut candidates = Vec::new();
        let mut skipped = Vec::new();
        // A job may have the name of another job's instance. The later one replaces the former.
        let mut all: IndexMap<Arc<str>, (Arc<Job>, Instance)> = IndexMap::new();
        for job in self.configuration.jobs.values() {
            if job.has_no_instance() {
                let reason =
                    Reason { text: "its matrix has no combination of values".to_owned(), span: Some(job.span) };
                skipped.push(Skipped { job: Arc::clone(&job.name), name: Arc::clone(&job.name), reason });
            }
            let job = Arc::new(job.clone());
            let instances = instances::expand(&job).into_iter();
            all.extend(instances.map(|instance| (Arc::clone(&instance.name), (Arc::clone(&job), instance))));
        }
        for (job, instance) in all.into_values() {
            let plan_error = |error: RuleError| error.into_plan_error(&instance.name);
            let simple = self.variables.simple(&job, &instance);
            match self.admit(&job, &simple).map_err(plan_error)? {
                Ok((admitted, known)) => {
                    let candidate = self.create(&job, &instance, simple, &known, admitted);
                    let candidate = candidate.map_err(|error| plan_error(error.into()))?;
                    candidates.push(candidate);
                }
                Err(reason) => skipped.push(Skipped { job: Arc::clone(&job.name), name: instance.name, reason }),
            }
        }
        // GitLab does not create a pipeline with jobs in `.pre` and `.post` only.
        // `lib/gitlab/ci/pipeline/chain/populate.rb`
        if !candidates.iter().any(|candidate| !matches!(&*candidate.job.job.stage.value, ".pre" | ".post")) {
            return Err(PlanError::Empty(skipped.into_iter().map(|skipped| (skipped.name, skipped.reason)).collect()));
        }
        let mut instances = Instances::new();
        for Candidate { job, .. } in &candidates {
            instances.entry(Arc::clone(&job.job.name)).or_default().push(Arc::clone(&job.name));
            if job.name != job.job.name {
                instances.insert(Arc::clone(&job.name), vec![Arc::clone(&job.name)]);
            }
        }
        let without_instances = self.configuration.jobs.values().filter(|job| job.has_no_instance());
        let mut absent: Instances = without_instances.map(|job| (Arc::clone(&job.name), Vec::new())).collect();
        for Skipped { job, name, .. } in skipped.iter().filter(|it| it.name != it.job) {
            absent.entry(Arc::clone(job)).or_default().push(Arc::clone(name));
        }
        let order: HashMap<&str, usize> =
            self.configuration.stages.iter().enumerate().map(|(index, stage)| (&**stage, index)).collect();
        candidates.sort_by_key(|candidate| order.get(&*candidate.job.job.stage.value).copied());
        let used: HashSet<Arc<str>> =
            candidates.iter().map(|candidate| Arc::clone(&candidate.job.job.stage.value)).collect();
        let stages = self.configuration.stages.iter().filter(|stage| used.contains(*stage)).cloned().collect();
        let mut missing = Vec::new();
        let mut jobs = Vec::new();
        for candidate in candidates {
            match resolve_needs(candidate, (&instances, &absent), &skipped) {
                Ok(job) => jobs.push(job),
                Err(needs) => missing.extend(needs),
            }
        }
        if !missing.is_empty() {
            return Err(PlanError::Needs(missing));
        }
        Ok(Plan { context: self.context.clone(), name, stages, jobs, skipped })
    }

    /// Decides whether a job is in the pipeline. Returns the variables of its rules as well.
    fn admit(
        &self,
        job: &Job,
        simple: &Collection,
    ) -> Result<Result<(Admitted, ExpandedVariables), Reason>, RuleError> {
        let (variables, _) = self.variables.with_environment(simple.clone(), job.environment.as_ref(), Phase::Seed)?;
        let known = ExpandedVariables::new(variables);
        let has_workflow = self.configuration.workflow.has_rules;
        let admitted = decide(self.context, self.project, &known, |situation| admit(job, situation, has_workflow))?;
        Ok(admitted.map(|admitted| (admitted, known)))
    }

    fn create(
        &self,
        job: &Arc<Job>,
        instance: &Instance,
        mut simple: Collection,
        seed: &ExpandedVariables,
        admitted: Admitted,
    ) -> Result<Candidate, ExpansionError> {
        // `variable_expansion_errors` of `lib/gitlab/ci/pipeline/seed/build.rb`
        seed.written.expand_all_fully()?;
        self.variables.created(&mut simple, &admitted.variables, admitted.when);
        let group = job.resource_group.as_ref().map(|group| (&group.value, simple.clone()));
        let (variables, name) = self.variables.with_environment(simple, job.environment.as_ref(), Phase::Created)?;
        let known = ExpandedVariables::new(variables);
        // `lib/gitlab/ci/pipeline/seed/processable/resource_group.rb`
        let resource_group =
            group.map(|(group, simple)| for_texts(&resource_group_variables(simple, name.as_ref()))?.expand(group));
        let written = job.environment.as_ref().and_then(|environment| environment.name.as_ref());
        let failure = written.and_then(|written| {
            let name = name.as_ref().map_or("", |name| &name.name);
            (!is_valid_name(name)).then(|| environment_failure(&written.value, name))
        });
        let environment = job.environment.as_ref().zip(name).map(|(environment, name)| {
            Ok(PlannedEnvironment {
                name: name.name,
                slug: name.slug,
                tier: name.tier,
                url: environment.url.as_ref().map(|url| known.for_texts()?.expand(&url.value)).transpose()?,
                action: environment.action,
                on_stop: environment.on_stop.as_ref().map(|job| job.value.to_string()),
            })
        });
        let image = job.image.as_ref().map(|image| known.for_texts()?.expand_existing(&image.name));
        let job = PlannedJob {
            name: Arc::clone(&instance.name),
            when: admitted.when,
            start_in: admitted.start_in.map(|delay| delay.value),
            allow_failure: admitted.allow_failure,
            needs: None,
            environment: environment.transpose()?,
            image: image.transpose()?,
            // GitLab silently runs a job without its group if the key is invalid.
            resource_group: resource_group.transpose()?.filter(|key| is_valid_name(key)),
            node: instance.node,
            variables: known.written,
            reason: admitted.reason,
            failure,
            job: Arc::clone(job),
        };
        Ok(Candidate { job, instance: instance.clone(), needs: admitted.needs })
    }
}

/// Why GitLab creates a job as failed whose environment would have the invalid name `name`. `app/presenters/commit_status_presenter.rb`
fn environment_failure(written: &str, name: &str) -> String {
    let has_ref = ["CI_COMMIT_REF_NAME", "CI_COMMIT_BRANCH", "CI_COMMIT_TAG"].iter().any(|key| written.contains(key));
    let remedy = if has_ref { "; use $CI_COMMIT_REF_SLUG in it" } else { "" };
    format!(
        "This job could not be executed because it would create an environment with an invalid parameter: the name {name:?} must have \
         1 to 255 letters, digits, spaces and -_/${{}}. and may not start or end with /{remedy}"
    )
}

/// # Errors
/// The needed jobs that are not in the pipeline.
fn resolve_needs(
    candidate: Candidate,
    instances: (&Instances, &Instances),
    skipped: &[Skipped],
) -> Result<PlannedJob, Vec<MissingNeed>> {
    let Candidate { mut job, instance, needs } = candidate;
    let own = job.job.needs.as_ref();
    // The needs of the job must be in the pipeline even if the needs of a rule replace them, which need not be: `needs_errors` of
    // `lib/gitlab/ci/pipeline/seed/build.rb`
    let own = own.map(|needs| instances::needed(needs, instances, &instance.variables)).transpose();
    let needs = own.map(|own| needs.map(|needs| instances::needed_by_rule(needs, instances.0)).or(own));
    let missing = |need: &Text| MissingNeed {
        job: Arc::clone(&instance.name),
        need: Arc::clone(&need.value),
        span: need.span,
        // `need` is the name of a job of which no instance is in the pipeline, or of one instance.
        reason: skipped
            .iter()
            .find(|it| it.job == need.value || it.name == need.value)
            .map(|skipped| skipped.reason.clone()),
    };
    job.needs = needs.map_err(|needs| needs.iter().map(missing).collect::<Vec<_>>())?;
    Ok(job)
}

/// Plans a commit whose message skips the pipeline. GitLab creates a pipeline without jobs.
fn without_jobs(configuration: &Configuration, context: &Context, words: &str) -> Plan {
    let reason = Reason { text: format!("the commit message contains {words}"), span: None };
    let skipped = configuration.jobs.values().map(|job| Skipped {
        job: Arc::clone(&job.name),
        name: Arc::clone(&job.name),
        reason: reason.clone(),
    });
    Plan { context: context.clone(), name: None, stages: Vec::new(), jobs: Vec::new(), skipped: skipped.collect() }
}

/// Evaluates rules or policies. Their patterns may contain variables.
///
/// # Errors
/// A pattern becomes too large, or a rule compares with an unknown ref.
fn decide<T>(
    context: &Context,
    project: &Project<'_>,
    known: &ExpandedVariables,
    decide: impl FnOnce(&Situation<'_>) -> T,
) -> Result<T, RuleError> {
    let failure = OnceCell::new();
    // Unknown variables stay as written. `lib/gitlab/ci/build/rules/rule/clause/changes.rb`
    let expanded = |text: &str| {
        let expanded = known.for_texts().and_then(|variables| variables.expand_existing(text));
        expanded.unwrap_or_else(|error| {
            // The first error is returned.
            let _ = failure.set(RuleError::from(error));
            text.to_owned()
        })
    };
    let compared = |name: &Text| {
        (project.compare)(&expanded(&name.value)).unwrap_or_else(|error| {
            let _ = failure.set(RuleError::Rule(name.span, error));
            None
        })
    };
    let situation = Situation {
        context,
        variables: &known.written,
        expanded: &|patterns| patterns.iter().map(|pattern| expanded(&pattern.value)).collect(),
        matches: project.matches,
        exists: project.exists,
        changed: project.changed,
        compare: &compared,
    };
    let decided = decide(&situation);
    failure.into_inner().map_or(Ok(decided), Err)
}
