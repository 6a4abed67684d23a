//! `e2e pipeline`

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use e2e::environment::cluster::job_images::JobImages;
use e2e::environment::images;
use e2e::environment::images::{ImagePolicy, Images};
use e2e::record::event::Event as HarnessEvent;
use e2e::report;
use e2e::report::live::{Live, Mode};
use gitlab_ci::plan::Plan;
use gitlab_runner::config::{ExecutorName, RunnerConfig};
use gitlab_runner::event::Event;
use gitlab_runner::executor::ImageSource;
use gitlab_runner::pipeline::Outcome as PipelineOutcome;
use gitlab_runner::pipeline::assemble::{Options, PipelineDirs};
use gitlab_runner::pipeline::schedule::JobSelection;
use gitlab_runner::project::input::Input;
use gitlab_runner::project::reference::Reference;
use gitlab_runner::status::Status;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio_util::sync::CancellationToken;

use super::executors::{self, ExecutorArgs};
use super::planned::{create_plan, print_missing_variables};
use crate::cli::report_config_map::{ReportConfigMap, Stage};
use crate::cli::{CliError, EXIT_FAILED, Format, Outcome, connect, print, write};

/// Runs the pipeline of a ref as GitLab and GitLab Runner do
///
/// Exit codes: 0 the pipeline passed, 1 it did not, 2 the command line or a file is wrong, 3 a prerequisite is missing.
#[derive(Debug, clap::Args)]
pub(crate) struct PipelineArguments {
    #[command(flatten)]
    input: Input,

    #[command(flatten)]
    reference: Reference,

    #[command(flatten)]
    executor: ExecutorArgs,

    /// The settings of the runner, in the format of GitLab Runner's config.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Run only this job; repeatable
    #[arg(long = "job", value_name = "NAME")]
    jobs: Vec<String>,

    /// Start this manual job, or start this delayed job at once; repeatable
    #[arg(long = "manual", value_name = "NAME")]
    manual: Vec<String>,

    /// Run later stages even if a job has failed
    #[arg(long)]
    keep_going: bool,

    /// Maximum number of concurrent jobs [default: `concurrent` of --config, else the number of cores, at least 4]
    #[arg(long, value_name = "N")]
    concurrency: Option<std::num::NonZeroUsize>,

    /// The directory of the job logs [default: target/e2e/pipelines/ID of the project]
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,

    /// The maximum size of a job's artifacts in MiB, compressed: a setting of GitLab's administrator
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..1 << 20), value_name = "MIB")]
    max_artifacts_size: u64,

    /// How images of the catalog may be obtained
    #[arg(long = "images", default_value = "auto", value_name = "POLICY")]
    policy: ImagePolicy,

    /// The directory with the recipes of the catalog's images; if it is missing, images are only pulled
    #[arg(long, default_value = "images", value_name = "DIR")]
    recipes: PathBuf,

    /// Also write the result to this `ConfigMap`, in the namespace of the pod or else of the context; only with the kubernetes executor
    #[arg(long, value_name = "NAME")]
    report_configmap: Option<String>,

    /// The format of the events
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,

    /// Print nothing before the end
    #[arg(long, short)]
    quiet: bool,
}

/// Plans and runs a pipeline, and prints the result. `cancel` stops its jobs and removes their resources.
pub(crate) async fn run_pipeline(arguments: &PipelineArguments, cancel: CancellationToken) -> Outcome {
    let mut config_map = None;
    match (Box::pin(run(arguments, cancel, &mut config_map)).await, config_map) {
        (Err(error), Some(unfinished)) => Err(unfinished.fail(error).await),
        (result, _) => result,
    }
}

/// `config_map` is the one that has no result yet.
async fn run(
    arguments: &PipelineArguments,
    cancel: CancellationToken,
    config_map: &mut Option<ReportConfigMap>,
) -> Outcome {
    let PipelineArguments { input, reference, .. } = arguments;
    let config = arguments.config.as_deref().map(RunnerConfig::read).transpose();
    let config = config.map_err(|error| CliError::Usage(error.to_string()))?.unwrap_or_default();
    config.warnings.iter().for_each(|warning| print(warning));
    let prepared = create_plan(input, reference)?;
    let choice = choice(arguments, &prepared.plan).map_err(CliError::Usage)?;
    let mode = match (arguments.format, arguments.quiet) {
        (Format::Json, _) => Mode::Json,
        (Format::Table, true) => Mode::Quiet,
        (Format::Table, false) => Mode::People,
    };
    let selected = || prepared.plan.jobs.iter().filter(|job| choice.only.is_empty() || choice.only.contains(&job.name));
    print_missing_variables(selected());
    let view = Arc::new(Live::with_names(mode, selected().map(|job| &*job.name)));
    let name = arguments.executor.choice(&config)?;
    if arguments.report_configmap.is_some() && name != ExecutorName::Kubernetes {
        let message = "--report-configmap needs the cluster of --executor kubernetes; no other executor uses one";
        return Err(CliError::Usage(message.to_owned()));
    }
    let context = config.kubernetes.context.clone();
    let namespace = config.kubernetes.namespace.clone();
    let dirs = PipelineDirs::new(prepared.repository.dir(), config)?;
    let executor = match name {
        ExecutorName::Shell => executors::shell(&dirs),
        ExecutorName::Docker => {
            let engine = connect().await?;
            let images = images(arguments, &engine, dirs.dir(), &view);
            dirs.docker(engine, images.map(|images| images as Arc<dyn ImageSource>))
        }
        ExecutorName::Kubernetes => {
            let cluster = arguments.executor.cluster(context.as_deref(), namespace.as_deref()).await?;
            if let Some(name) = &arguments.report_configmap {
                *config_map = Some(ReportConfigMap::begin(&cluster.client, name).await?);
            }
            let mut source = None;
            if let Some(name) = cluster.managed.clone() {
                let engine = connect().await?;
                let images = images(arguments, &engine, dirs.dir(), &view);
                source = images.map(|images| JobImages::new(images, engine, cluster.client.clone(), &name));
            }
            let source = source.map(|source| Arc::new(source) as Arc<dyn ImageSource>);
            dirs.kubernetes(cluster.client, &cluster.namespace, source)
        }
    };
    let notify = Arc::clone(&view);
    let options = Options {
        concurrency: arguments.concurrency.map(std::num::NonZeroUsize::get),
        logs: arguments.log_dir.clone(),
        artifacts_limit: Some(arguments.max_artifacts_size << 20),
        has_worktree: reference.worktree,
        deferred: None,
        notify: Arc::new(move |event: Event| notify.show(&event)),
        cancel,
    };
    let pipeline = dirs.pipeline(prepared, executor, options)?;
    allow_files(pipeline.settings.concurrency);
    let (outcome, swept_gone) = tokio::join!(view.watch(pipeline.run(&choice)), pipeline.executor.sweep_gone());
    let written = view.finish().await;
    if let Err(error) = swept_gone {
        print(&format!("e2e: {error}; the next pipeline tries again"));
    }
    // Each job has already removed its own resources, but after that, the engine or the cluster may have created another one that the job
    // had requested.
    let swept = pipeline.executor.sweep().await;
    let text = report::pipeline::text(&pipeline.plan, pipeline.id, &outcome);
    // Each reader gets the result, whatever happens to the other ones.
    let stored = match config_map.take() {
        Some(config_map) => config_map.end(stage(&outcome), &[("report.txt", &text)]).await,
        None => Ok(()),
    };
    if mode != Mode::Json {
        write(&text)?;
    }
    swept.map_err(|error| CliError::environment(format!("cannot remove all resources of the pipeline: {error}")))?;
    stored?;
    written?;
    Ok(exit_code(&outcome))
}

/// The maximum number of open files per job: its log, both ends of its output, its script, and directories during a copy.
const MAX_FILES_PER_JOB: u64 = 16;

/// Raises the limit of open files to the number that `jobs` concurrent jobs need, but not above the hard limit.
fn allow_files(jobs: usize) {
    let needed = u64::try_from(jobs).unwrap_or(u64::MAX).saturating_add(8).saturating_mul(MAX_FILES_PER_JOB);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < needed) {
        let current = Some(maximum.map_or(needed, |maximum| maximum.min(needed)));
        // If this fails, a job that cannot open a file reports it.
        let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum });
    }
}

/// A pipeline that waits for a manual job has not passed.
fn exit_code(outcome: &PipelineOutcome) -> ExitCode {
    match outcome.status {
        Status::Success | Status::Skipped => ExitCode::SUCCESS,
        _ => ExitCode::from(EXIT_FAILED),
    }
}

fn stage(outcome: &PipelineOutcome) -> Stage {
    match outcome.status {
        Status::Success | Status::Skipped => Stage::Passed,
        Status::Canceled => Stage::Interrupted,
        _ => Stage::Failed,
    }
}

/// The jobs to run. The error for an unknown name lists the jobs of the plan.
fn choice(arguments: &PipelineArguments, plan: &Plan) -> Result<JobSelection, String> {
    let find = |names: &[String]| -> Result<HashSet<Arc<str>>, String> {
        let mut found = HashSet::new();
        for name in names {
            // The name of a job with `parallel` selects all of its instances.
            let jobs = plan.jobs.iter().filter(|job| *job.name == **name || *job.job.name == **name);
            let jobs: Vec<_> = jobs.map(|job| Arc::clone(&job.name)).collect();
            if jobs.is_empty() {
                return Err(unknown(name, plan));
            }
            found.extend(jobs);
        }
        Ok(found)
    };
    Ok(JobSelection {
        only: find(&arguments.jobs)?,
        manual: find(&arguments.manual)?,
        keep_going: arguments.keep_going,
    })
}

fn unknown(name: &str, plan: &Plan) -> String {
    if let Some(skipped) = plan.skipped.iter().find(|job| *job.name == *name) {
        return format!("the job `{name}` is not in this pipeline: {}", skipped.reason.text);
    }
    let names = plan.jobs.iter().map(|job| &*job.name).collect::<Vec<_>>().join(", ");
    format!("there is no job `{name}` in this pipeline; the jobs are {names}")
}

/// The images of the catalog, if there are recipes.
fn images(
    arguments: &PipelineArguments,
    engine: &bollard::Docker,
    dir: &Path,
    view: &Arc<Live>,
) -> Option<Arc<Images>> {
    let view = Arc::clone(view);
    let notify = move |event: &HarnessEvent<'_>| {
        let HarnessEvent::Image { name, progress } = *event else { return };
        if let Some(text) = report::images::news(name, progress) {
            view.show(&Event::Note { job: None, text });
        }
    };
    let recipes = &arguments.recipes;
    recipes.is_dir().then(|| {
        Arc::new(Images::new(
            engine.clone(),
            arguments.policy,
            images::KubernetesVersion::default(),
            recipes,
            &dir.join("images"),
            notify,
        ))
    })
}
