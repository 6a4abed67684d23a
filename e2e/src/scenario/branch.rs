//! The branch's part of a run: its pipeline, its environment, and everything that is verified there.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::definition::{ClusterSource, JobExecutor, Ref, Scenario, ScenarioError};
use super::job_location::ClusterState;
use super::milestone::{Milestone, Reach, milestone};
use super::recorder::Recorder;
use super::replay::{EnvironmentJobs, Replayer};
use super::snapshot::{self, Snapshot};
use super::{commands, environment_checks, variables, versions};
use crate::checks::connection::Connection;
use crate::checks::environment::Environment;
use crate::checks::http::Http;
use crate::checks::load::{Load, Tally};
use crate::checks::target::Target;
use crate::environment::cluster::owner;
use crate::environment::images::Image;
use crate::environment::registry::run as registry;
use crate::environment::up;
use crate::record::event::Event;
use gitlab_runner::deferred::Values;

/// The step that deploys the same commit once more.
pub(super) const AGAIN: &str = "The same commit again";

/// The name of the step that stops an environment.
pub(super) fn stop_step(jobs: &EnvironmentJobs) -> String {
    format!("{} is stopped", jobs.name)
}

/// The inputs of the part.
pub(super) struct Branch<'run> {
    pub(super) scenario: &'run Scenario,
    pub(super) recorder: &'run Arc<Recorder>,
    pub(super) replayer: &'run Replayer,
    /// The images that the jobs of both pipelines run in.
    pub(super) images: Vec<&'static Image>,
    pub(super) review: &'run EnvironmentJobs,
    pub(super) live: &'run EnvironmentJobs,
    /// Whether this run creates the cluster.
    pub(super) is_new_cluster: bool,
    /// The lock on the cluster, if kind creates it.
    pub(super) lease: Option<&'run up::ClusterLease>,
    /// Receives the values of the CI/CD variables that are unknown until the cluster is up.
    pub(super) values: watch::Sender<Option<Values>>,
    /// Receives whether the cluster is up, for jobs that run in it.
    pub(super) state: watch::Sender<ClusterState>,
    /// Reached when the pipeline's jobs that need neither registry nor cluster have ended.
    pub(super) compiled: Reach<()>,
    /// Reached when the branch is deployed; its value is the environment that the tag is deployed to.
    pub(super) deployed: Reach<Environment>,
    /// Cancels the tag's part if the branch is not deployed.
    pub(super) cancel_tag: CancellationToken,
    /// Reached when no check observes the tag's environment any more.
    pub(super) tag_is_observed: Milestone<()>,
}

impl Branch<'_> {
    /// Runs the part, and returns the checks that failed. Adds the environments that were deployed to `environments`.
    pub(super) async fn run(self, environments: &mut Vec<Environment>) -> Result<Vec<String>, ScenarioError> {
        let (on_review, on_live) = self.deploy(environments).await.inspect_err(|_| self.cancel_tag.cancel())?;
        self.deployed.reach(on_live.clone());

        let (observed, is_observed) = milestone();
        let check = environment_checks::check(self.scenario, self.recorder, &on_review, observed);
        let change = async {
            // A milestone is missed if its part has failed. That part reports the reason.
            let Some(()) = is_observed.reached().await else { return Ok(Vec::new()) };
            again(self.recorder, self.replayer, &on_review, self.review).await?;
            // While the environments are compared, nothing else may change the tag's environment.
            let Some(()) = self.tag_is_observed.reached().await else { return Ok(Vec::new()) };
            stopped(self.recorder, self.replayer, &on_review, self.review, &on_live).await
        };
        let (failed, changed) = tokio::join!(check, change);
        Ok([failed?, changed?].concat())
    }

    /// Waits until the cluster is up and the branch's pipeline has passed. Returns the environments of the branch and of the tag.
    async fn deploy(&self, environments: &mut Vec<Environment>) -> Result<(Environment, Environment), ScenarioError> {
        // Job images are obtained while the cluster comes up. A failure surfaces when a job needs the image.
        let obtain_images = self.scenario.cancellable(self.scenario.images.obtain(&self.images));
        let (target, pushed, _) = tokio::join!(self.ready(), self.push(), obtain_images);
        let (on_review, on_live) = self.environments(&target?).await;
        environments.extend([on_review.clone(), on_live.clone()]);
        pushed.map(|()| (on_review, on_live))
    }

    /// Ensures that registry and cluster are up. Jobs that need them start then.
    async fn ready(&self) -> Result<Target, ScenarioError> {
        let name = if self.is_new_cluster { "Cluster, registry and add-ons" } else { "Cluster and registry" };
        let result = self.recorder.step(name, self.bring_up()).await;
        let (values, state) = match &result {
            Ok(target) => {
                let has_kubeconfig = self.scenario.gives_kubeconfig();
                let values = variables::from_target(target, &self.replayer.project.path, has_kubeconfig);
                (Ok(values), ClusterState::Up(target.client.clone()))
            }
            Err(error) => (Err(error.to_string().into()), ClusterState::Failed),
        };
        // If the pipeline has already ended, nothing receives them.
        let _ = self.values.send(Some(values));
        let _ = self.state.send(state);
        result
    }

    async fn bring_up(&self) -> Result<(Target, String), ScenarioError> {
        let (plan, lease) = match (&self.scenario.cluster, self.lease) {
            (ClusterSource::Existing(target), _) => return Ok(((**target).clone(), "existing cluster".to_owned())),
            (ClusterSource::Kind(plan), Some(lease)) => (plan, lease),
            (ClusterSource::Kind(_), None) => {
                return Err(ScenarioError::Broken("the cluster was not created: there is no lease for it".to_owned()));
            }
        };
        let Scenario { docker, images, .. } = self.scenario;
        let notify = |event: &Event<'_>| self.recorder.record(event);
        self.scenario.cancellable(Box::pin(up::finish(docker, images, plan, lease, &notify))).await??;
        if let JobExecutor::Kubernetes(jobs) = &self.scenario.executor {
            let connection = Connection::from_file(&plan.state.kubeconfig(), None).await;
            let client =
                connection.and_then(|connection| connection.client()).map_err(|error| ScenarioError::broken(&error))?;
            let applied = owner::apply_job_manifests(&client, lease.run(), &jobs.manifests).await;
            applied.map_err(|error| ScenarioError::broken(&error))?;
        }
        let registry = registry::running(docker, lease.run(), &plan.state).await;
        let target = Target::from_kind(&plan.state, &plan.cluster, &plan.kind_config, registry.as_ref()).await;
        let target = target.map_err(|error| ScenarioError::broken(&error))?;
        Ok((target, format!("cluster {} is up", plan.cluster)))
    }

    /// Pushes the branch, and runs its pipeline.
    async fn push(&self) -> Result<(), ScenarioError> {
        let step = format!("A push to branch {}", self.replayer.project.branch);
        let push = async {
            let (_, verdict) = self.replayer.push("push", &self.compiled).await?;
            Ok::<_, ScenarioError>(((), verdict))
        };
        self.recorder.step(&step, push).await
    }

    /// The environments that the branch and the tag are deployed to.
    async fn environments(&self, target: &Target) -> (Environment, Environment) {
        let Self { scenario, recorder, replayer, review, live, .. } = self;
        recorder.change(|record| commands::add(record, scenario, target, review, live));
        let versions = versions::collect(scenario, target).await;
        recorder.change(|record| record.versions = versions);
        let on_review = target.environment(&review.slug, Some(&replayer.project.commit.sha));
        let mut on_live = target.environment(&live.slug, Some(&replayer.project.tagged.sha));
        on_live.others.insert(review.slug.clone(), on_review.host.clone());
        (on_review, on_live)
    }
}

/// Deploys the same commit again: the manifests are unchanged, but all pods must be replaced.
pub(super) async fn again(
    recorder: &Recorder,
    replayer: &Replayer,
    environment: &Environment,
    jobs: &EnvironmentJobs,
) -> Result<(), ScenarioError> {
    recorder
        .step(AGAIN, async {
            let before = pods(environment).await?;
            let load = environment.ingress.map(Http::new).transpose().map_err(|error| ScenarioError::broken(&error))?;
            let load = load.map(|http| Load::begin(&http, &environment.host));
            let title = format!("{} again", jobs.job);
            let ran = replayer.run(Ref::Branch, &title, &[Arc::clone(&jobs.job)]).await;
            let tally = match load {
                Some(load) => Some(load.end().await),
                None => None,
            };
            ran?;
            let after = pods(environment).await?;
            let kept: Vec<_> = before.intersection(&after).cloned().collect();
            if !kept.is_empty() || after.is_empty() {
                return Err(ScenarioError::Checks(format!("pods were not replaced: {}", kept.join(", "))));
            }
            match tally {
                Some(tally) if tally.failed > 0 => {
                    let first = tally.failures.first().cloned().unwrap_or_default();
                    Err(ScenarioError::Checks(format!(
                        "{} of {} requests failed: {first}",
                        tally.failed, tally.requests
                    )))
                }
                Some(Tally { requests: 0, .. }) => {
                    Err(ScenarioError::Checks("no request was answered while the pods were replaced".to_owned()))
                }
                Some(tally) => Ok(((), format!("new pods, {} requests meanwhile, none failed", tally.requests))),
                None => Ok(((), "new pods".to_owned())),
            }
        })
        .await
}

/// The names of an environment's pods that are not terminating.
async fn pods(environment: &Environment) -> Result<BTreeSet<String>, ScenarioError> {
    let pods = environment.pods().await.map_err(|failure| ScenarioError::from(&failure))?;
    Ok(pods.iter().map(ResourceExt::name_any).collect())
}

/// Stops the environment, and checks that nothing of it is left and that the other one is unchanged.
pub(super) async fn stopped(
    recorder: &Recorder,
    replayer: &Replayer,
    environment: &Environment,
    jobs: &EnvironmentJobs,
    other: &Environment,
) -> Result<Vec<String>, ScenarioError> {
    let name = stop_step(jobs);
    let Some(job) = &jobs.on_stop else {
        recorder.skip(&name, &format!("no job stops it: {} has no on_stop", jobs.job));
        return Ok(Vec::new());
    };
    // Rules may exclude the job from the pipeline of the branch.
    if replayer.plan(Ref::Branch)?.plan.jobs.iter().all(|planned| *planned.name != **job) {
        let branch = &replayer.project.branch;
        recorder.skip(&name, &format!("{job} is not in the pipeline of branch {branch}"));
        return Ok(Vec::new());
    }
    recorder
        .step(&name, async {
            let before = Snapshot::take(other).await.map_err(|failure| ScenarioError::from(&failure))?;
            replayer.run(Ref::Branch, &format!("play {job}"), &[Arc::from(&**job)]).await?;
            let reference = &environment.reference;
            recorder.record(&Event::CheckBegan { environment: reference, name: snapshot::STOP });
            let check = snapshot::stopped(environment, other, &before, recorder.origin()).await;
            recorder.record(&Event::CheckEnded(&check));
            match check.failure {
                None => Ok((Vec::new(), check.evidence.join("; "))),
                Some(failure) => Err(ScenarioError::Checks(failure.sentence())),
            }
        })
        .await
        .or_else(|stop| match stop {
            ScenarioError::Checks(_) => Ok(vec![format!("{} of {}", snapshot::STOP, environment.reference)]),
            stop => Err(stop),
        })
}
