//! A run, from a push to a running service and its removal. Only this module defines the order of the steps.
//!
//! Two parts run in parallel: `branch.rs` and `tag.rs`. Each reads from top to bottom, and waits for the other
//! at a milestone.

mod branch;
mod commands;
mod definition;
mod environment_checks;
mod existing;
pub mod job_location;
pub mod lesson;
mod listener;
mod milestone;
pub mod pending_checks;
pub mod project;
pub mod recorder;
pub mod replay;
pub mod snapshot;
mod tag;
pub mod temporary;
pub mod variables;
pub mod versions;

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

use self::branch::Branch;
pub use self::definition::{ClusterSource, JobExecutor, PodJobs, Ref, ReplayError, Scenario, ScenarioError};
use self::job_location::{ClusterState, JobCluster, JobLocation};
use self::milestone::milestone;
use self::project::Project;
use self::recorder::Recorder;
use self::replay::{EnvironmentJobs, Replayer, environments, images_of};
use self::tag::Tag;
use self::variables::RegistryVariables;
use crate::checks::environment::Environment;
use crate::checks::extra_pod::sweep;
use crate::checks::target::{BASE_DOMAIN, image_in};
use crate::environment::{cluster, down, up};
use crate::record::event::Event;
use crate::record::{self, Record, Verdict};
use gitlab_runner::deferred::Values;
use gitlab_runner::workspace::Workspace;

/// Runs the scenario. Returns the record of the run, and its first error, if there is one.
pub async fn run(scenario: &Scenario, recorder: &Arc<Recorder>) -> (Record, Option<ScenarioError>) {
    let mut cleanup = Cleanup::default();
    let result = Box::pin(play(scenario, recorder, &mut cleanup)).await;
    recorder.end_open();
    let images = versions::image_versions(&scenario.docker, &scenario.images).await;
    recorder.change(|record| record.versions.extend(images));
    let cleaned = clean_up(scenario, recorder, cleanup).await;
    let verdict = match (&result, &cleaned) {
        (Err(ScenarioError::Interrupted | ScenarioError::Replay(ReplayError::Interrupted)), _) => Verdict::Interrupted,
        (Ok(()), Ok(())) => Verdict::Passed,
        _ => Verdict::Failed,
    };
    recorder.change(|record| {
        let error = result.as_ref().err().or(cleaned.as_ref().err());
        record.broken = error.filter(|_| verdict == Verdict::Failed).map(ToString::to_string);
    });
    (recorder.finish(verdict), result.err().or(cleaned.err()))
}

/// The resources that a run removes at its end.
#[derive(Default)]
struct Cleanup {
    /// Whether this run created the cluster.
    cluster: bool,
    /// The lock on the cluster.
    lease: Option<up::ClusterLease>,
    /// The environments that were deployed.
    environments: Vec<Environment>,
}

async fn play(scenario: &Scenario, recorder: &Arc<Recorder>, cleanup: &mut Cleanup) -> Result<(), ScenarioError> {
    // The clones are removed with the workspace. If this run is killed, a later run removes it.
    let workspace = Workspace::new(&std::env::temp_dir()).map_err(|error| ScenarioError::broken(&error))?;
    let project = clone_project(scenario, recorder, &workspace).await?;
    let (values, known) = watch::channel(None);
    let (state, is_up) = watch::channel(ClusterState::Starting);
    let mut replayer = replayer(scenario, recorder, project, (known, is_up));

    // Errors in the pipeline file are reported before anything is created.
    let branch_plan = replayer.plan(Ref::Branch)?.plan;
    let review = first_environment(&branch_plan, "branch", false)?;
    let tag_plan = replayer.plan(Ref::Tag)?.plan;
    let live = first_environment(&tag_plan, "tag", true)?;
    if !scenario.gives_kubeconfig() {
        let names = BTreeSet::from([&*review.name, &*live.name]);
        replayer.settings.extend(variables::deployer_account(names.into_iter()));
    }
    expect_steps(recorder, &replayer, &review, &live);

    match &scenario.cluster {
        ClusterSource::Existing(target) => {
            existing::nothing_replaced(target, &replayer.project, &[&review, &live]).await?;
        }
        ClusterSource::Kind(plan) => {
            let notify = |event: &Event<'_>| recorder.record(event);
            let begun = up::begin(&scenario.docker, &scenario.images, plan, &notify);
            let begun = scenario.cancellable(begun).await??;
            (cleanup.cluster, cleanup.lease) = (begun.is_new, Some(begun));
        }
    }

    let cancel_tag = scenario.cancel.child_token();
    let (compiled, is_compiled) = milestone();
    let (deployed, is_deployed) = milestone();
    let (tag_observed, tag_is_observed) = milestone();
    let Cleanup { cluster, lease, environments } = cleanup;
    let branch = Branch {
        scenario,
        recorder,
        replayer: &replayer,
        images: [&branch_plan, &tag_plan].into_iter().flat_map(images_of).collect(),
        review: &review,
        live: &live,
        is_new_cluster: *cluster,
        lease: lease.as_ref(),
        values,
        state,
        compiled,
        deployed,
        cancel_tag: cancel_tag.clone(),
        tag_is_observed,
    };
    let tag = Tag {
        scenario,
        recorder,
        replayer: replayer.until(cancel_tag),
        live: &live,
        is_compiled,
        is_deployed,
        observed: tag_observed,
    };
    let (branch, tag) = tokio::join!(branch.run(environments), tag.run());
    let failed = [branch?, tag?].concat();
    if failed.is_empty() { Ok(()) } else { Err(ScenarioError::Checks(format!("checks failed: {}", failed.join(", ")))) }
}

async fn clone_project(
    scenario: &Scenario,
    recorder: &Recorder,
    workspace: &Workspace,
) -> Result<Project, ScenarioError> {
    let clones = workspace.dir().join("repository");
    let (branch, tag) = (scenario.branch.as_deref(), scenario.tag.as_deref());
    let project = Project::clone(&scenario.source, branch, tag, &clones).await?;
    recorder.change(|record| {
        record.project = record::Project {
            path: project.path.clone(),
            commit: project.commit.sha.clone(),
            title: project.commit.message.lines().next().unwrap_or_default().to_owned(),
            uncommitted: project.uncommitted,
        };
    });
    if project.uncommitted > 0 {
        let files = match project.uncommitted {
            1 => "1 file has".to_owned(),
            count => format!("{count} files have"),
        };
        recorder.note(&format!("{files} uncommitted changes, which are not pushed"));
    }
    Ok(project)
}

/// Announces the steps and checks that follow the deployment of the branch, so that the report lists those that the run never reaches.
fn expect_steps(recorder: &Recorder, replayer: &Replayer, review: &EnvironmentJobs, live: &EnvironmentJobs) {
    let play = live.is_manual.then(|| tag::play_step(live));
    let steps = [environment_checks::step(&review.slug), branch::AGAIN.to_owned(), tag::step(replayer)];
    let last = [environment_checks::step(&live.slug), branch::stop_step(review)];
    for step in steps.into_iter().chain(play).chain(last) {
        recorder.expect(&step);
    }
    for environment in [review, live] {
        recorder.expect_checks(&environment.slug);
    }
}

/// The environment that the pipeline of a ref deploys to.
fn first_environment(
    plan: &gitlab_ci::plan::Plan,
    kind: &str,
    manual_too: bool,
) -> Result<EnvironmentJobs, ScenarioError> {
    let environment = environments(plan).into_iter().find(|environment| manual_too || !environment.is_manual);
    environment.ok_or_else(|| {
        let which = if manual_too { "job" } else { "job that starts automatically" };
        ScenarioError::Broken(format!(
            "the pipeline of a {kind} deploys to no environment: no {which} starts an `environment`"
        ))
    })
}

fn replayer(
    scenario: &Scenario,
    recorder: &Arc<Recorder>,
    project: Project,
    (values, state): (watch::Receiver<Option<Values>>, watch::Receiver<ClusterState>),
) -> Replayer {
    let (domain, namespace, registry, networks) = match &scenario.cluster {
        ClusterSource::Kind(plan) => {
            let host = crate::environment::registry::HOST;
            let (host, image) = (host.to_owned(), image_in(host, &project.path));
            let registry = RegistryVariables { host, image, is_insecure: true };
            (BASE_DOMAIN, cluster::owner::NAMESPACE, Some(registry), vec![plan.cluster.clone()])
        }
        ClusterSource::Existing(target) => {
            let registry = RegistryVariables::from_target(target, &project.path);
            (&*target.base_domain, &*target.namespace, registry, target.networks.clone())
        }
    };
    let settings = variables::placeholders(domain, namespace, registry.as_ref(), scenario.gives_kubeconfig());
    let location = match &scenario.executor {
        JobExecutor::Docker => JobLocation::Engine(networks),
        JobExecutor::Kubernetes(jobs) => {
            let kind = match &scenario.cluster {
                ClusterSource::Kind(plan) => Some(plan.cluster.clone()),
                ClusterSource::Existing(_) => None,
            };
            JobLocation::Cluster(Box::new(JobCluster { config: jobs.config.clone(), kind, state }))
        }
    };
    Replayer {
        docker: scenario.docker.clone(),
        images: Arc::clone(&scenario.images),
        kept: scenario.source.clone(),
        dir: scenario.dir.clone(),
        recorder: Arc::clone(recorder),
        cancel: scenario.cancel.clone(),
        gitlab: scenario.gitlab,
        project,
        settings,
        values,
        location,
    }
}

/// Removes everything that this run has created. With `--keep`, removes only the pods of interrupted checks.
async fn clean_up(scenario: &Scenario, recorder: &Arc<Recorder>, cleanup: Cleanup) -> Result<(), ScenarioError> {
    // Release the lock of the cluster, because `down` takes it again.
    drop(cleanup.lease);
    if scenario.cancel.is_cancelled() {
        // A check that was interrupted has not removed its pod.
        for environment in &cleanup.environments {
            let _ = sweep(environment).await;
        }
    }
    if scenario.keep {
        return Ok(());
    }
    match &scenario.cluster {
        ClusterSource::Kind(plan) if cleanup.cluster => {
            recorder
                .step("The cluster is removed", async {
                    let removing = Box::pin(down::down(&scenario.docker, &plan.cluster, &plan.state));
                    let removed = recorder.part(record::TAKEDOWN, "cluster", removing).await;
                    removed.map_err(|error| ScenarioError::broken(&error))?;
                    Ok(((), "nothing is left".to_owned()))
                })
                .await
        }
        _ if cleanup.environments.is_empty() => Ok(()),
        _ => {
            recorder
                .step("The deployed environments are removed", async {
                    for environment in &cleanup.environments {
                        let removed =
                            recorder.part(record::TAKEDOWN, &environment.reference, snapshot::remove(environment));
                        removed.await.map_err(|failure| ScenarioError::from(&failure))?;
                    }
                    Ok(((), "the rest of the cluster is unchanged".to_owned()))
                })
                .await
        }
    }
}
