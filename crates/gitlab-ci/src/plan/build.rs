//! A plan, top to bottom. `lib/gitlab/ci/pipeline/chain/`, `lib/gitlab/ci/pipeline/seed/`

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::admission::{Admitted, Reason, Situation, admit, first_rule, in_words};
use super::context::Context;
use super::instances::{self, Instance, Instances};
use super::knowledge::{Given, Knowledge, Moment, base_variables, for_texts, of_resource_group, of_workflow};
use super::refusal::{MissingNeed, Refusal, Undecided};
use super::{Plan, PlannedEnvironment, PlannedJob, Skipped};
use crate::changes::Compared;
use crate::config::job::Job;
use crate::config::needs::Need;
use crate::config::reader::Text;
use crate::config::root::Configuration;
use crate::config::variables::YamlVariable;
use crate::config::when::When;
use crate::expression::Variables;
use crate::variables::collection::Collection;
use crate::variables::collection::Origin;
use crate::variables::expand::ExpansionError;

/// What a plan is made from, beside the file and the ref.
pub struct Project<'project> {
    /// Variables of the project's settings, and of this pipeline alone.
    pub given: &'project Given,
    /// Whether one of these patterns fits one of these files.
    pub fits: &'project dyn Fn(&[String], &[String]) -> bool,
    /// Whether one of these patterns fits a file of the commit.
    pub exists: &'project dyn Fn(&[String]) -> bool,
    /// Whether one of these patterns fits a file that has changed. Where GitLab would not know, all have.
    pub changed: &'project dyn Fn(&[String]) -> bool,
    /// The files that differ from a ref.
    pub compare: &'project dyn Fn(&str) -> Compared,
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
    if let Some(words) = context.skipped_by() {
        return Ok(without_jobs(configuration, context, words));
    }
    let refused = |error: Undecided| error.of(&"workflow".into());
    let base = base_variables(context, project.given);
    let top = (&*configuration.variables, Origin::Global);
    let mut of_rule: &[YamlVariable] = &[];
    if let Some(rules) = &configuration.workflow.rules {
        let known = Known::new(of_workflow(&base, &[top]));
        let found = decide(context, project, &known, |situation| first_rule(rules, situation)).map_err(refused)?;
        match found {
            None => return Err(Refusal::Workflow(None)),
            Some(rule) if rule.when == Some(When::Never) => {
                let reason = Reason { text: in_words(rule), span: Some(rule.span) };
                return Err(Refusal::Workflow(Some(reason)));
            }
            Some(rule) => of_rule = &rule.variables,
        }
    }
    let top = [top, (of_rule, Origin::Workflow)];
    // `lib/gitlab/ci/pipeline/chain/populate_metadata.rb`
    let name = configuration.workflow.name.as_ref().map(|name| {
        let name = for_texts(&of_workflow(&base, &top))?.expand(&name.value)?;
        Ok(Some(name.trim().to_owned()).filter(|name| !name.is_empty()))
    });
    let name = name.transpose().map_err(|error: ExpansionError| refused(error.into()))?.flatten();
    let knowledge = Knowledge::new(context, project.given, base, top, name.clone());
    Builder { configuration, context, project, knowledge }.plan(name)
}

struct Builder<'plan> {
    configuration: &'plan Configuration,
    context: &'plan Context,
    project: &'plan Project<'plan>,
    knowledge: Knowledge<'plan>,
}

/// Variables, and what texts get of them once one asks.
struct Known {
    written: Collection,
    for_texts: OnceCell<Result<Collection, ExpansionError>>,
}

impl Known {
    fn new(written: Collection) -> Self {
        Self { written, for_texts: OnceCell::new() }
    }

    fn for_texts(&self) -> Result<&Collection, ExpansionError> {
        self.for_texts.get_or_init(|| for_texts(&self.written)).as_ref().map_err(Clone::clone)
    }
}

/// A job that is in the pipeline, before it is known who else is.
struct Candidate {
    job: PlannedJob,
    instance: Instance,
    /// What its rule says that it needs.
    needs: Option<Vec<Need>>,
}

impl Builder<'_> {
    fn plan(&self, name: Option<String>) -> Result<Plan, Refusal> {
        let mut candidates = Vec::new();
        let mut skipped = Vec::new();
        for job in self.configuration.jobs.values() {
            let job = Arc::new(job.clone());
            for instance in instances::of(&job) {
                let refused = |error: Undecided| error.of(&instance.name);
                let simple = self.knowledge.simple(&job, &instance);
                match self.admit(&job, &simple).map_err(refused)? {
                    Ok((admitted, known)) => {
                        let candidate = self.create(&job, &instance, simple, &known, admitted);
                        let candidate = candidate.map_err(|error| refused(error.into()))?;
                        candidates.push(candidate);
                    }
                    Err(reason) => skipped.push(Skipped { job: Arc::clone(&job.name), name: instance.name, reason }),
                }
            }
        }
        // A pipeline of nothing but `.pre` and `.post` is none. `lib/gitlab/ci/pipeline/chain/populate.rb`
        if !candidates.iter().any(|candidate| !matches!(&*candidate.job.job.stage.value, ".pre" | ".post")) {
            return Err(Refusal::Empty(skipped.into_iter().map(|skipped| (skipped.name, skipped.reason)).collect()));
        }
        let mut instances = Instances::new();
        for Candidate { job, .. } in &candidates {
            instances.entry(Arc::clone(&job.job.name)).or_default().push(Arc::clone(&job.name));
            if job.name != job.job.name {
                instances.insert(Arc::clone(&job.name), vec![Arc::clone(&job.name)]);
            }
        }
        let mut absent = Instances::new();
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
            match with_needs(candidate, (&instances, &absent), &skipped) {
                Ok(job) => jobs.push(job),
                Err(needs) => missing.extend(needs),
            }
        }
        if !missing.is_empty() {
            return Err(Refusal::Needs(missing));
        }
        Ok(Plan { context: self.context.clone(), name, stages, jobs, skipped })
    }

    /// Whether a job is in the pipeline, and what its rules know.
    fn admit(&self, job: &Job, simple: &Collection) -> Result<Result<(Admitted, Known), Reason>, Undecided> {
        let (variables, _) = self.knowledge.placed(simple.clone(), job.environment.as_ref(), Moment::Seed)?;
        let known = Known::new(variables);
        let has_workflow = self.configuration.workflow.rules.is_some();
        let admitted = decide(self.context, self.project, &known, |situation| admit(job, situation, has_workflow))?;
        Ok(admitted.map(|admitted| (admitted, known)))
    }

    fn create(
        &self,
        job: &Arc<Job>,
        instance: &Instance,
        mut simple: Collection,
        seed: &Known,
        admitted: Admitted,
    ) -> Result<Candidate, ExpansionError> {
        // `variable_expansion_errors` of `lib/gitlab/ci/pipeline/seed/build.rb`
        seed.written.expand_all_fully()?;
        self.knowledge.created(&mut simple, &admitted.variables, admitted.when);
        let group = job.resource_group.as_ref().map(|group| (&group.value, simple.clone()));
        let (variables, place) = self.knowledge.placed(simple, job.environment.as_ref(), Moment::Created)?;
        let known = Known::new(variables);
        // `lib/gitlab/ci/pipeline/seed/processable/resource_group.rb`
        let resource_group =
            group.map(|(group, simple)| for_texts(&of_resource_group(simple, place.as_ref()))?.expand(group));
        let environment = job.environment.as_ref().zip(place).map(|(environment, place)| {
            Ok(PlannedEnvironment {
                name: place.name,
                slug: place.slug,
                tier: place.tier,
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
            resource_group: resource_group.transpose()?,
            node: instance.node,
            variables: known.written,
            reason: admitted.reason,
            job: Arc::clone(job),
        };
        Ok(Candidate { job, instance: instance.clone(), needs: admitted.needs })
    }
}

/// # Errors
/// All that it needs and that is not in the pipeline.
fn with_needs(
    candidate: Candidate,
    instances: (&Instances, &Instances),
    skipped: &[Skipped],
) -> Result<PlannedJob, Vec<MissingNeed>> {
    let Candidate { mut job, instance, needs } = candidate;
    let own = job.job.needs.as_ref();
    // An empty list of a rule takes needs away; stages decide about a job that has none, as before.
    // `build_attributes` of `lib/gitlab/ci/build/rules.rb`: `scheduling_type: (:dag if needs_job.present?)`
    let needs = needs.as_ref().filter(|needs| own.is_some() || !needs.is_empty()).or(own);
    let needs = needs.map(|needs| instances::needed(needs, instances, &instance.variables)).transpose();
    let missing = |need: &Text| MissingNeed {
        job: Arc::clone(&instance.name),
        need: Arc::clone(&need.value),
        span: need.span,
        // Of a job that is several they all have gone, or it is one of them.
        reason: skipped
            .iter()
            .find(|it| it.job == need.value || it.name == need.value)
            .map(|skipped| skipped.reason.clone()),
    };
    job.needs = needs.map_err(|needs| needs.iter().map(missing).collect::<Vec<_>>())?;
    Ok(job)
}

/// What GitLab makes of a commit that says so: a pipeline in which nothing is.
fn without_jobs(configuration: &Configuration, context: &Context, words: &str) -> Plan {
    let reason = Reason { text: format!("the commit's message says {words}"), span: None };
    let skipped = configuration.jobs.values().map(|job| Skipped {
        job: Arc::clone(&job.name),
        name: Arc::clone(&job.name),
        reason: reason.clone(),
    });
    Plan { context: context.clone(), name: None, stages: Vec::new(), jobs: Vec::new(), skipped: skipped.collect() }
}

/// Decides by rules or policies, which may have variables in their patterns.
///
/// # Errors
/// When one of them becomes too large, or compares with a ref that there is not.
fn decide<T>(
    context: &Context,
    project: &Project<'_>,
    known: &Known,
    decide: impl FnOnce(&Situation<'_>) -> T,
) -> Result<T, Undecided> {
    let failure = OnceCell::new();
    // Unknown variables stay as they are written. `lib/gitlab/ci/build/rules/rule/clause/changes.rb`
    let expanded = |text: &str| {
        let expanded = known.for_texts().and_then(|variables| variables.expand_existing(text));
        expanded.unwrap_or_else(|error| {
            // The first one is told.
            let _ = failure.set(Undecided::from(error));
            text.to_owned()
        })
    };
    let compared = |name: &Text| {
        (project.compare)(&expanded(&name.value)).unwrap_or_else(|error| {
            let _ = failure.set(Undecided::Rule(name.span, error));
            None
        })
    };
    let situation = Situation {
        context,
        variables: &known.written,
        expanded: &|patterns| patterns.iter().map(|pattern| expanded(&pattern.value)).collect(),
        fits: project.fits,
        exists: project.exists,
        changed: project.changed,
        compare: &compared,
    };
    let decided = decide(&situation);
    failure.into_inner().map_or(Ok(decided), Err)
}
