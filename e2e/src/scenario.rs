//! The story: one push becomes a running service, and every claim about it is proved. Top to bottom; the only place that knows
//! the order of things.
//!
//! - [`project`]: what is pushed. [`variables`]: what GitLab's settings would have. [`replay`]: a pipeline; `heard`: what
//!   goes on in it.
//! - `existing`: what must stay on a cluster that exists. `proofs`: what is proved of an environment. [`snapshot`]: what is left of
//!   one. `tagged`: what is told of the tag beside the branch.
//! - [`recorder`]: what goes on. [`overhead`], [`versions`], [`unreached`] and `commands`: what the report says beside it.

mod commands;
mod existing;
mod heard;
pub mod overhead;
pub mod project;
mod proofs;
pub mod recorder;
pub mod replay;
pub mod snapshot;
mod tagged;
pub mod unreached;
pub mod variables;
pub mod versions;

use std::path::PathBuf;
use std::sync::Arc;

use bollard::Docker;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::project::{Project, ProjectError};
use self::proofs::{again, checked, stopped};
use self::recorder::Recorder;
use self::replay::{Environment, Ref, ReplayError, Replayer, environments, images_of};
use self::tagged::Tagged;
use crate::checks::extra_pod::sweep;
use crate::checks::subject::Subject;
use crate::images::Images;
use crate::pipeline::run::late::Values;
use crate::pipeline::run::workspace::Workspace;
use crate::progress::Progress;
use crate::record::{Failure, Record, Verdict};
use crate::registry::run as registry;
use crate::target::{BASE_DOMAIN, Target, image_in};
use crate::up::{self, Plan, UpError};
use crate::{cluster, down};

/// What is to be told.
pub struct Story {
    /// The engine of jobs, and of kind's nodes.
    pub docker: Docker,
    /// Where images come from.
    pub images: Arc<Images>,
    /// The repository.
    pub source: PathBuf,
    /// The branch that is pushed; a new one if none is named.
    pub branch: Option<String>,
    /// The tag that is pushed; a new one if none is named.
    pub tag: Option<String>,
    /// Where.
    pub ground: Ground,
    /// Whether everything stays when it is over.
    pub keep: bool,
    /// The folder of the run.
    pub folder: PathBuf,
    /// Ends it early.
    pub cancel: CancellationToken,
}

/// Where a story is told.
pub enum Ground {
    /// A cluster that kind makes, unless it stands.
    Kind(Box<Plan>),
    /// One that exists.
    Existing(Box<Target>),
}

/// Why a story does not go on.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The machine lacks something, or something of it failed.
    #[error(transparent)]
    Up(#[from] UpError),
    /// What was asked for is not there.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// A pipeline.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// On a cluster or in a registry that exists there is something already where the pipeline would put its own; and what helps.
    #[error("{0}: the story would replace it; {1}")]
    Taken(String, &'static str),
    /// Checks.
    #[error("{0}")]
    Checks(String),
    /// Anything else.
    #[error("{0}")]
    Broken(String),
    /// The tag's, when the branch's pipeline did not pass.
    #[error("the branch's pipeline did not pass")]
    Overtaken,
    /// Somebody ended it.
    #[error("interrupted")]
    Interrupted,
}

impl Stop {
    fn broken(error: &dyn std::fmt::Display) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Tells it, and returns what is known of it when it is over, and why it did not come to its end.
pub async fn run(story: &Story, recorder: &Arc<Recorder>) -> (Record, Option<Stop>) {
    let mut made = Made::default();
    let told = Box::pin(tell(story, recorder, &mut made)).await;
    recorder.end_open();
    let images = versions::of_images(&story.docker, &story.images).await;
    recorder.change(|record| record.versions.extend(images));
    let tidied = tidy(story, recorder, made).await;
    let verdict = match (&told, &tidied) {
        (Err(Stop::Interrupted | Stop::Replay(ReplayError::Interrupted)), _) => Verdict::Interrupted,
        (Ok(()), Ok(())) => Verdict::Passed,
        _ => Verdict::Failed,
    };
    recorder.change(|record| {
        let why = told.as_ref().err().or(tidied.as_ref().err());
        record.broken = why.filter(|_| verdict == Verdict::Failed).map(ToString::to_string);
    });
    (recorder.finish(verdict), told.err().or(tidied.err()))
}

/// What there is to take away.
#[derive(Default)]
struct Made {
    /// Whether this run has brought the cluster up.
    cluster: bool,
    /// The right to work on it.
    begun: Option<up::Begun>,
    /// The environments that were deployed.
    environments: Vec<Subject>,
}

async fn tell(story: &Story, recorder: &Arc<Recorder>, made: &mut Made) -> Result<(), Stop> {
    // What is pushed goes with the story, also with one that is killed.
    let workspace = Workspace::new(&std::env::temp_dir()).map_err(|error| Stop::broken(&error))?;
    let clones = workspace.folder().join("repository");
    let (branch, tag) = (story.branch.as_deref(), story.tag.as_deref());
    let project = Project::clone(&story.source, branch, tag, &clones).await?;
    recorder.change(|record| {
        record.project = crate::record::Project {
            path: project.path.clone(),
            commit: project.commit.sha.clone(),
            title: project.commit.message.lines().next().unwrap_or_default().to_owned(),
            uncommitted: project.uncommitted,
        };
    });
    if project.uncommitted > 0 {
        recorder
            .note(&format!("{} files have changes that are not committed: they are not pushed", project.uncommitted));
    }

    let (known, values) = watch::channel(None);
    let replayer = replayer(story, recorder, project, values);
    // What is wrong with the file is told before anything is made.
    let planned = replayer.plan(Ref::Branch)?.plan;
    let dev = first(&planned, "branch", false)?;
    let tagged_plan = replayer.plan(Ref::Tag)?.plan;
    let live = first(&tagged_plan, "tag", true)?;

    expect(recorder, &replayer, &dev, &live);
    if let Ground::Existing(target) = &story.ground {
        existing::nothing_replaced(target, &replayer.project, &[&dev, &live]).await?;
    }

    // Jobs that need neither registry nor cluster do not wait for them.
    if let Ground::Kind(plan) = &story.ground {
        let begun = cancellable(story, up::begin(&story.docker, &story.images, plan, &hearer(recorder))).await??;
        (made.cluster, made.begun) = (begun.is_new, Some(begun));
    }
    let Made { cluster, begun, environments } = made;
    let begun = begun.as_ref();
    let tag_may_begin = Arc::new(Notify::new());
    let ready = async {
        let name = if *cluster { "Cluster, registry and add-ons" } else { "Cluster and registry" };
        let result = recorder.step(name, bring_up(story, recorder, begun)).await;
        // Nobody listens when the pipeline has ended before.
        let _ = known.send(Some(values_of(&result, &replayer.project)));
        result
    };
    let push = format!("A push to branch {}", replayer.project.branch);
    let pushed = recorder.step(&push, async {
        let (_, verdict) = replayer.push("push", &tag_may_begin).await?;
        Ok::<_, Stop>(((), verdict))
    });
    // Those of jobs that wait for the cluster are built while it comes up. Whether one is to be had, its job will tell.
    let images: Vec<_> = [&planned, &tagged_plan].into_iter().flat_map(images_of).collect();
    let fetched = async { cancellable(story, story.images.obtain(&images)).await.is_ok() };

    // A tag needs nothing of the environments of branches, until the end of one must leave its own alone.
    let of_tag = Tagged { story, recorder, replayer: replayer.until(story.cancel.child_token()), live: &live };
    let (passed, has_passed) = oneshot::channel();
    let (tag_has_learnt, tag_is_learnt) = oneshot::channel();
    let of_branch = async {
        let (target, pushed, _) = tokio::join!(ready, pushed, fetched);
        let deployed = async {
            let target = target?;
            recorder.change(|record| commands::add(record, story, &target, &dev, &live));
            let versions = versions::of(story, &target).await;
            recorder.change(|record| record.versions = versions);
            let on_dev = target.subject(&dev.slug, Some(&replayer.project.commit.sha));
            let mut on_live = target.subject(&live.slug, Some(&replayer.project.tagged.sha));
            on_live.others.insert(dev.slug.clone(), on_dev.host.clone());
            environments.extend([on_dev.clone(), on_live.clone()]);
            pushed.map(|()| (on_dev, on_live))
        };
        let (on_dev, on_live) = deployed.await.inspect_err(|_| of_tag.replayer.cancel.cancel())?;
        // Nobody waits for it when the tag's pipeline has failed.
        let _ = passed.send(on_live.clone());
        // While pods that checks have made for themselves end, the story goes on. Where it does not, whoever dropped the other end
        // tells why.
        let (has_learnt, branch_is_learnt) = oneshot::channel();
        let rest = async {
            let Ok(()) = branch_is_learnt.await else { return Ok(Vec::new()) };
            again(recorder, &replayer, &on_dev, &dev).await?;
            let Ok(()) = tag_is_learnt.await else { return Ok(Vec::new()) };
            stopped(recorder, &replayer, &on_dev, &dev, &on_live).await
        };
        let (checked, rest) = tokio::join!(checked(story, recorder, &on_dev, has_learnt), rest);
        Ok::<_, Stop>([checked?, rest?].concat())
    };
    let (of_branch, of_tag) = tokio::join!(of_branch, of_tag.tell(&tag_may_begin, has_passed, tag_has_learnt));
    let failed = [of_branch?, of_tag?].concat();
    if failed.is_empty() { Ok(()) } else { Err(Stop::Checks(format!("checks failed: {}", failed.join(", ")))) }
}

/// What is to come once the branch's environment is deployed.
fn expect(recorder: &Recorder, replayer: &Replayer, dev: &Environment, live: &Environment) {
    let play = live.is_manual.then(|| tagged::play_step(live));
    let steps =
        [proofs::checks_step(&dev.slug), proofs::AGAIN.to_owned(), tagged::step(replayer)].into_iter().chain(play);
    for step in steps.chain([proofs::checks_step(&live.slug), proofs::stop_step(dev)]) {
        recorder.expect(&step);
    }
    for environment in [dev, live] {
        recorder.expect_checks(&environment.slug);
    }
}

/// The environment that the pipeline of a ref deploys to.
fn first(plan: &crate::pipeline::plan::Plan, kind: &str, manual_too: bool) -> Result<Environment, Stop> {
    let mut all = environments(plan);
    all.retain(|environment| manual_too || !environment.is_manual);
    let found = (!all.is_empty()).then(|| all.swap_remove(0));
    found.ok_or_else(|| {
        Stop::Broken(format!("the pipeline of a {kind} deploys to no environment: no job has `environment`"))
    })
}

fn replayer(
    story: &Story,
    recorder: &Arc<Recorder>,
    project: Project,
    values: watch::Receiver<Option<Values>>,
) -> Replayer {
    let (domain, namespace, registry, networks) = match &story.ground {
        Ground::Kind(plan) => {
            let (host, networks) = (crate::registry::HOST, vec![plan.cluster.clone()]);
            (BASE_DOMAIN, cluster::owner::NAMESPACE, Some((host, image_in(host, &project.path))), networks)
        }
        Ground::Existing(target) => {
            let registry = target.registry.as_ref();
            let registry = registry.map(|registry| (&*registry.host, registry.image_of(&project.path)));
            (&*target.base_domain, &*target.namespace, registry, target.networks.clone())
        }
    };
    let registry = registry.as_ref().map(|(host, image)| (*host, &**image));
    let settings = variables::placeholders(domain, namespace, registry);
    Replayer {
        docker: story.docker.clone(),
        images: Arc::clone(&story.images),
        kept: story.source.clone(),
        folder: story.folder.clone(),
        recorder: Arc::clone(recorder),
        cancel: story.cancel.clone(),
        project,
        settings,
        values,
        networks,
    }
}

/// Registry and cluster, made or found.
async fn bring_up(
    story: &Story,
    recorder: &Arc<Recorder>,
    begun: Option<&up::Begun>,
) -> Result<(Target, String), Stop> {
    let (plan, begun) = match (&story.ground, begun) {
        (Ground::Existing(target), _) => return Ok(((**target).clone(), "it exists".to_owned())),
        (Ground::Kind(plan), Some(begun)) => (plan, begun),
        (Ground::Kind(_), None) => return Err(Stop::Broken("the cluster was never begun".to_owned())),
    };
    let tell = hearer(recorder);
    cancellable(story, Box::pin(up::finish(&story.docker, &story.images, plan, begun, &tell))).await??;
    let run = begun.run();
    let registry = registry::running(&story.docker, run, &plan.state).await;
    let target = Target::of_kind(&plan.state, &plan.cluster, &plan.kind_config, registry.as_ref()).await;
    let target = target.map_err(|error| Stop::broken(&error))?;
    Ok((target, format!("cluster {} stands", plan.cluster)))
}

fn hearer(recorder: &Arc<Recorder>) -> impl Fn(Progress) + Send + Sync + use<> {
    let recorder = Arc::clone(recorder);
    move |progress| recorder.progress(&progress)
}

fn values_of(target: &Result<Target, Stop>, project: &Project) -> Values {
    match target {
        Ok(target) => Ok(variables::of(target, &project.path)),
        Err(why) => Err(why.to_string().into()),
    }
}

fn seen(failure: &Failure) -> Stop {
    Stop::Checks(format!("expected {}, saw {}", failure.expected, failure.seen))
}

/// Takes away what this run has made.
async fn tidy(story: &Story, recorder: &Arc<Recorder>, made: Made) -> Result<(), Stop> {
    // The right to work on the cluster is given back: taking it away asks for it again.
    drop(made.begun);
    if story.cancel.is_cancelled() {
        // Checks take their pods away themselves, unless somebody ends them.
        for subject in &made.environments {
            let _ = sweep(subject).await;
        }
    }
    if story.keep {
        return Ok(());
    }
    match &story.ground {
        Ground::Kind(plan) if made.cluster => {
            recorder
                .step("Everything is taken down", async {
                    let removing = Box::pin(down::down(&story.docker, &plan.cluster, &plan.state));
                    let removed = recorder.part(recorder::TAKEDOWN, "cluster", removing).await;
                    removed.map_err(|error| Stop::broken(&error))?;
                    Ok(((), "nothing is left".to_owned()))
                })
                .await
        }
        _ if made.environments.is_empty() => Ok(()),
        _ => {
            recorder
                .step("What was deployed is taken away", async {
                    for subject in &made.environments {
                        let removed = recorder.part(recorder::TAKEDOWN, &subject.reference, snapshot::remove(subject));
                        removed.await.map_err(|failure| seen(&failure))?;
                    }
                    Ok(((), "the cluster is left as it was".to_owned()))
                })
                .await
        }
    }
}

async fn cancellable<T>(story: &Story, work: impl Future<Output = T>) -> Result<T, Stop> {
    tokio::select! {
        biased;
        () = story.cancel.cancelled() => Err(Stop::Interrupted),
        done = work => Ok(done),
    }
}
