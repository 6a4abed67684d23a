//! Plans, runs and records the pipelines of a run.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bollard::Docker;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::definition::{Ref, ReplayError};
use super::job_location::JobLocation;
use super::listener::{Compiling, Starts, listener};
use super::milestone::Reach;
use super::project::Project;
use super::recorder::Recorder;
use super::variables;
use crate::environment::images::{Image, Images, in_catalog};
use crate::{record, report};
use gitlab_ci::config::environment::Action;
use gitlab_ci::config::when::When;
use gitlab_ci::gitlab_version::GitlabVersion;
use gitlab_ci::plan::context::Source;
use gitlab_ci::plan::job_variables::ProjectVariables;
use gitlab_ci::plan::{Plan, PlannedJob};
use gitlab_ci::render::diagnostics;
use gitlab_ci::variables::settings::Setting;
use gitlab_runner::deferred::{DeferredVariables, Values};
use gitlab_runner::event::JobReport;
use gitlab_runner::pipeline::assemble::{Options, PipelineDirs};
use gitlab_runner::pipeline::schedule::JobSelection;
use gitlab_runner::project::input::Input;
use gitlab_runner::project::prepare::{PrepareError, Prepared, prepare};
use gitlab_runner::project::reference::Reference;
use gitlab_runner::status::Status;

/// Everything that all pipelines of a run share.
#[derive(Clone)]
pub struct Replayer {
    /// The engine that runs their jobs.
    pub docker: Docker,
    /// Obtains the images that jobs run in.
    pub images: Arc<Images>,
    /// The project that is pushed.
    pub project: Project,
    /// The version of GitLab to imitate.
    pub gitlab: Option<GitlabVersion>,
    /// The directory of the project, where caches and artifacts are kept.
    pub kept: std::path::PathBuf,
    /// The project's CI/CD variables. Some values are unknown until the cluster is up.
    pub settings: Vec<Setting>,
    /// Receives these values.
    pub values: watch::Receiver<Option<Values>>,
    /// The directory of the report, and of the job logs.
    pub dir: std::path::PathBuf,
    /// Where jobs run.
    pub location: JobLocation,
    /// Records the pipelines.
    pub recorder: Arc<Recorder>,
    /// Cancels the pipelines.
    pub cancel: CancellationToken,
}

/// An environment that a pipeline deploys to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentJobs {
    pub name: String,
    /// Its slug: the value of the label `ref`.
    pub slug: String,
    /// The job that deploys to it.
    pub job: Arc<str>,
    /// Whether the job is manual.
    pub is_manual: bool,
    pub on_stop: Option<String>,
}

impl Replayer {
    /// Plans the pipeline of a ref.
    ///
    /// # Errors
    /// The errors of the pipeline file, or the reason why there is no pipeline.
    pub fn plan(&self, wanted: Ref) -> Result<Prepared, ReplayError> {
        let dir = match wanted {
            Ref::Branch => &self.project.dir,
            Ref::Tag => &self.project.tagged_dir,
        };
        let input = Input { directory: dir.clone(), gitlab: self.gitlab, ..Input::default() };
        let mut reference = Reference::from_checkout();
        reference.worktree = false;
        reference.source = Source::Push;
        reference.default_branch = Some(self.project.default_branch.clone());
        match wanted {
            Ref::Branch => reference.branch = Some(self.project.branch.clone()),
            Ref::Tag => reference.tag = Some(self.project.tag.clone()),
        }
        let project_variables = ProjectVariables { settings: self.settings.clone(), ..ProjectVariables::default() };
        prepare(&input, project_variables, &reference, &|note| self.recorder.note(note)).map_err(|error| {
            ReplayError::Refused(match error {
                PrepareError::Lint(lint) => diagnostics::text(&lint, None, false).trim_end().to_owned(),
                error => error.to_string(),
            })
        })
    }

    /// Runs the pipeline of a ref, or only the jobs in `only`, manual or not. `title` is its title in the report.
    ///
    /// # Errors
    /// If the pipeline does not pass, or a job in `only` does not pass, even if its failure is allowed.
    pub async fn run(&self, wanted: Ref, title: &str, only: &[Arc<str>]) -> Result<(Plan, String), ReplayError> {
        // Boxed: the future of a pipeline is large.
        Box::pin(self.run_here(wanted, title, only, None)).await
    }

    /// Runs the branch's pipeline. Reaches `compiled` when the jobs that need neither registry nor cluster have ended: they keep the
    /// processors busy, and the next pipeline finds their results in the caches. If an earlier pipeline has stored the caches that the
    /// jobs of this one restore, reaches `compiled` at once: two pipelines in parallel then use the processors better.
    pub(super) async fn push(&self, title: &str, compiled: &Reach<()>) -> Result<(Plan, String), ReplayError> {
        let ran = Box::pin(self.run_here(Ref::Branch, title, &[], Some(compiled))).await;
        // Reach it even if one of these jobs never ran.
        compiled.reach(());
        ran
    }

    /// The same replayer with another cancellation token.
    #[must_use]
    pub fn until(&self, cancel: CancellationToken) -> Self {
        Self { cancel, ..self.clone() }
    }

    async fn run_here(
        &self,
        wanted: Ref,
        title: &str,
        only: &[Arc<str>],
        compiled: Option<&Reach<()>>,
    ) -> Result<(Plan, String), ReplayError> {
        let prepared = self.plan(wanted)?;
        let not_run = |error: &dyn std::fmt::Display| ReplayError::NotRun(error.to_string());
        let config = self.location.config(wanted);
        let dirs = PipelineDirs::new(&self.kept, config).map_err(|error| not_run(&error))?;
        let id = dirs.dir().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let lane = format!("pipeline {id}");
        let starts: Arc<Mutex<Starts>> = Arc::default();
        let start = self.recorder.seconds();
        let compiling = compiled.map(|compiled| Compiling::new(&prepared.plan, compiled.clone()));
        let executor = tokio::select! {
            () = self.cancel.cancelled() => return Err(ReplayError::Interrupted),
            executor = self.location.executor(&dirs, &self.docker, &self.images) => executor,
        };
        let executor = executor.ok_or_else(|| not_run(&"the cluster that its jobs run in did not come up"))?;
        executor.sweep_gone().await.map_err(|error| not_run(&error))?;
        let options = Options {
            concurrency: None,
            logs: Some(self.dir.join("logs").join(&id)),
            artifacts_limit: None,
            has_worktree: false,
            deferred: Some(DeferredVariables {
                source: "the registry and the cluster".to_owned(),
                is_needed: Box::new(variables::needs_target),
                values: self.values.clone(),
            }),
            notify: listener(Arc::clone(&self.recorder), lane, Arc::clone(&starts), compiling),
            cancel: self.cancel.clone(),
        };
        let pipeline = dirs.pipeline(prepared, executor, options).map_err(|error| not_run(&error))?;
        if let Some(compiled) = compiled
            && pipeline.has_caches().await
        {
            compiled.reach(());
        }
        if let Some(missing) = only.iter().find(|name| pipeline.plan.jobs.iter().all(|job| job.name != **name)) {
            let context = &pipeline.plan.context.ref_name;
            return Err(ReplayError::Refused(format!("there is no job {missing} in the pipeline of {context}")));
        }
        let only: HashSet<Arc<str>> = only.iter().cloned().collect();
        let choice = JobSelection { manual: only.clone(), only: only.clone(), keep_going: false };
        let outcome = pipeline.run(&choice).await;
        // Each job has already removed its own resources, but after that, the engine or the cluster may have created another one that the
        // job had requested.
        let swept = pipeline.executor.sweep().await;
        let starts = starts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let jobs = outcome.jobs.iter().map(|job| job_record(job, &pipeline.plan, &starts, &self.dir)).collect();
        self.recorder.pipeline(record::Pipeline {
            id: pipeline.id,
            title: title.to_owned(),
            ref_name: pipeline.plan.context.ref_name.clone(),
            is_tag: wanted == Ref::Tag,
            status: word(outcome.status),
            start,
            duration: outcome.duration.as_secs_f64(),
            stages: pipeline.plan.stages.iter().map(ToString::to_string).collect(),
            jobs,
        });
        swept.map_err(|error| ReplayError::NotRun(format!("cannot remove all resources of the pipeline: {error}")))?;
        if self.cancel.is_cancelled() {
            return Err(ReplayError::Interrupted);
        }
        let verdict = report::pipeline::verdict(&pipeline.plan, pipeline.id, &outcome);
        // A job in `only` must pass, even with `allow_failure`.
        let has_failed = |job: &JobReport| only.contains(&job.job) && !job.is_retried && job.status != Status::Success;
        if let Some(job) = outcome.jobs.iter().find(|job| has_failed(job)) {
            return Err(ReplayError::NotPassed(format!("{} did not pass: {}; {verdict}", job.job, job.reason)));
        }
        match outcome.status {
            Status::Success | Status::Skipped => Ok((pipeline.plan, verdict)),
            _ => Err(ReplayError::NotPassed(verdict)),
        }
    }
}

/// The environments that the jobs of a plan deploy to.
pub fn environments(plan: &Plan) -> Vec<EnvironmentJobs> {
    let deploying = plan.jobs.iter().filter_map(|job| {
        let environment = job.environment.as_ref().filter(|it| it.action == Action::Start)?;
        Some(EnvironmentJobs {
            name: environment.name.clone(),
            slug: environment.slug.clone(),
            job: Arc::clone(&job.name),
            is_manual: job.when == When::Manual,
            on_stop: environment.on_stop.clone(),
        })
    });
    deploying.collect()
}

/// The images of the catalog that the jobs of a plan run in.
pub fn images_of(plan: &Plan) -> Vec<&'static Image> {
    let names = plan.jobs.iter().flat_map(|planned| {
        let images = planned.job.image.iter().chain(&planned.job.services);
        images.filter_map(|image| planned.expand_with(&image.name, &[]))
    });
    names.filter_map(|name| in_catalog(&name)).collect()
}

/// The status as in GitLab's API.
fn word(status: Status) -> String {
    serde_json::to_value(status).ok().and_then(|value| Some(value.as_str()?.to_owned())).unwrap_or_default()
}

fn job_record(report: &JobReport, plan: &Plan, starts: &Starts, dir: &Path) -> record::Job {
    let planned: Option<&PlannedJob> = plan.jobs.iter().find(|job| job.name == report.job);
    let needs = planned.and_then(|job| job.needs.as_ref());
    let has_failed = report.status == Status::Failed;
    // Relative to the report, which may be moved with its logs.
    let log = report.log.as_deref().map(|path| path.strip_prefix(dir).unwrap_or(path));
    record::Job {
        name: report.job.to_string(),
        stage: report.stage.to_string(),
        status: word(report.status),
        allow_failure: report.allow_failure,
        start: starts.jobs.get(&report.job).copied(),
        duration: report.duration.as_secs_f64(),
        attempts: report.attempt,
        steps: starts.steps_of(&report.job),
        needs: needs.map(|needs| needs.iter().map(|need| need.name.to_string()).collect()),
        environment: planned.and_then(|job| job.environment.as_ref()).map(|it| it.name.clone()),
        environment_url: report.environment_url.clone(),
        reason: report.reason.clone(),
        log: log.map(|path| path.display().to_string()),
        last_lines: if has_failed { report.last_lines.clone() } else { Vec::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gitlab_ci::testing::{branch, plan_for, tag};

    const OWN: &str = include_str!("../../../.gitlab-ci.yml");

    /// The facts that a run reads from a pipeline: its environments, the jobs that stop them, and the jobs that need neither registry nor
    /// cluster.
    fn facts(text: &str) -> (Vec<(String, bool)>, Vec<String>, Vec<String>) {
        let (push, tagged) =
            (plan_for(text, &branch("feature/x"), &[]).unwrap(), plan_for(text, &tag("v1.0.0"), &[]).unwrap());
        let deployed = environments(&push).into_iter().chain(environments(&tagged));
        let stops = environments(&push).into_iter().filter_map(|environment| environment.on_stop).collect();
        let free = push.jobs.iter().filter(|job| !variables::needs_target(job)).map(|job| job.name.to_string());
        (deployed.map(|environment| (environment.slug, environment.is_manual)).collect(), stops, free.collect())
    }

    /// Asserts that the branch and the tag each deploy to one environment, and that the branch's can be stopped. Returns the jobs that need
    /// neither registry nor cluster.
    fn assert_is_scenario(text: &str) -> Vec<String> {
        let (deployed, stops, free) = facts(text);
        let is_scenario = matches!(&deployed[..], [(review, false), (live, true)]
            if review.starts_with("review-feature-x-") && live == "live");
        assert!(is_scenario, "{deployed:?}");
        assert_eq!(stops.len(), 1, "{stops:?}");
        free
    }

    #[test]
    fn the_repositorys_own_pipeline() {
        assert!(!assert_is_scenario(OWN).is_empty());
    }

    /// `e2e run --branch main`: `dev` is deployed and checked, and is not stopped.
    #[test]
    fn the_default_branch_has_an_environment_that_no_job_stops() {
        let deployed = environments(&plan_for(OWN, &branch("main"), &[]).unwrap());
        let facts: Vec<_> =
            deployed.iter().map(|it| (&*it.job, &*it.slug, it.is_manual, it.on_stop.as_deref())).collect();
        assert_eq!(facts, [("deploy_dev", "dev", false, None)]);
    }

    /// The same pipeline with other job names and one more stage: a run depends on neither.
    #[test]
    fn other_names_and_another_stage() {
        let mut text =
            OWN.replacen("stages: [", "stages: [scan, ", 1) + "\nscan:\n  stage: scan\n  script: [cargo audit]\n";
        let both = [plan_for(OWN, &branch("feature/x"), &[]).unwrap(), plan_for(OWN, &tag("v1.0.0"), &[]).unwrap()];
        let names: std::collections::BTreeSet<_> =
            both.iter().flat_map(|plan| plan.jobs.iter().map(|job| job.name.to_string())).collect();
        for name in &names {
            text = gitlab_ci::testing::rename_job(&text, name, &format!("{name} it"));
        }
        let free = assert_is_scenario(&text);
        assert_eq!(free.len(), assert_is_scenario(OWN).len() + 1, "{free:?}");
        assert!(free.iter().all(|name| name == "scan" || name.ends_with(" it")), "{free:?}");
    }

    #[test]
    fn the_images_that_its_jobs_run_in() {
        let mut names: Vec<_> =
            images_of(&plan_for(OWN, &branch("feature/x"), &[]).unwrap()).iter().map(|image| image.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names, ["dind", "docker", "kubectl", "rust"]);
    }
}
