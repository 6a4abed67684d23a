//! `e2e run`

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::ValueEnum;
use container_engine::labels;
use e2e::environment::doctor::Platform;
use e2e::environment::up::Plan;
use e2e::environment::{command, up};
use e2e::record::event::Event;
use e2e::record::{Record, Verdict};
use e2e::report::live::{Live, Mode};
use e2e::report::{self, findings};
use e2e::scenario::recorder::Recorder;
use e2e::scenario::{self, ClusterSource, JobExecutor, PodJobs, ReplayError, Scenario, ScenarioError};
use gitlab_ci::gitlab_version::GitlabVersion;
use gitlab_runner::config::RunnerConfig;
use private_dir::PrivateDir;
use tokio_util::sync::CancellationToken;

use super::images::ImageSource;
use super::target_args::TargetArgs;
use super::{
    CHECK_ACCESS, CliError, EXIT_ENVIRONMENT, EXIT_FAILED, EXIT_USAGE, Format, Outcome, connect, print, require_answer,
    width, write,
};

/// Runs everything: a push, its pipeline, the deployment, and all checks, for a branch and for a tag
///
/// By default, uses the cluster of `e2e up`, or creates one with kind. Exit codes: 0 everything passed,
/// 1 a pipeline or a check failed, 2 the command line or a file is wrong, 3 a prerequisite is missing or the cluster does not answer.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArguments {
    /// The directory of the project
    #[arg(short = 'C', long = "directory", default_value = ".", value_name = "DIR")]
    directory: PathBuf,

    /// The branch to push [default: a new one at the checked-out commit]
    #[arg(long, value_name = "BRANCH")]
    branch: Option<String>,

    /// The tag to push [default: a new one at the checked-out commit]
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,

    /// The version of GitLab to imitate, from 17.11 to 19.x [default: 18.11; newer keywords are then warnings instead of errors]
    #[arg(long, value_name = "VERSION")]
    gitlab: Option<GitlabVersion>,

    #[command(flatten)]
    target_args: TargetArgs,

    /// The directory of manifests that the cluster owner applies
    #[arg(long, default_value = "manifests/cluster", value_name = "DIR")]
    manifests: PathBuf,

    /// Where jobs run
    #[arg(long, default_value = "docker", value_name = "EXECUTOR")]
    executor: ExecutorChoice,

    /// The directory with config.toml and the manifests of the runner, for --executor kubernetes
    #[arg(long, default_value = "manifests/runner", value_name = "DIR")]
    runner: PathBuf,

    #[command(flatten)]
    source: ImageSource,

    /// The directory of the report [default: target/e2e/ID]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,

    /// Do not remove the deployed environments at the end, nor the cluster if this run has created it
    #[arg(long)]
    keep: bool,

    /// The format of the events
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,

    /// Print nothing before the end
    #[arg(long, short)]
    quiet: bool,
}

/// The executors that can run the jobs of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExecutorChoice {
    /// In containers
    Docker,
    /// In pods of the cluster
    Kubernetes,
}

/// Runs the scenario, and writes the report.
pub(crate) async fn run(arguments: RunArguments, cancel: CancellationToken) -> Outcome {
    let executor = executor(arguments.executor, arguments.runner)?;
    let docker = connect().await?;
    let id = labels::RunId::new("").id;
    let report = match arguments.report {
        Some(dir) => PrivateDir::open_chosen(&dir)?,
        None => {
            PrivateDir::open_shared(&std::path::absolute(&arguments.directory)?, Path::new("target/e2e").join(&id))?
        }
    };
    let dir = report.path().to_owned();
    let cluster_source = if arguments.target_args.is_existing() {
        let target = arguments.target_args.target().await?;
        // Without a kubeconfig, jobs in pods deploy with the account of their pods.
        let can_deploy = target.deployer_kubeconfig.is_some() || arguments.executor == ExecutorChoice::Kubernetes;
        if target.registry.is_none() || !can_deploy {
            let message = "the pipeline pushes and deploys: it needs --registry and --deployer-kubeconfig";
            return Err(CliError::Usage(message.to_owned()));
        }
        ClusterSource::Existing(Box::new(target))
    } else {
        let (cluster_args, kind_config) = arguments.target_args.kind()?;
        command::set_cluster(&cluster_args.name);
        let (manifests, state) = (arguments.manifests, cluster_args.state()?);
        ClusterSource::Kind(Box::new(Plan { cluster: cluster_args.name.clone(), kind_config, manifests, state }))
    };
    if let ClusterSource::Existing(target) = &cluster_source {
        require_answer(&target.connection, &target.client, CHECK_ACCESS).await?;
    }
    let mode = match (arguments.format, arguments.quiet) {
        (Format::Json, _) => Mode::Json,
        (Format::Table, true) => Mode::Quiet,
        (Format::Table, false) => Mode::People,
    };
    let view = Arc::new(Live::new(mode));
    let shown = Arc::clone(&view);
    let recorder = Arc::new(Recorder::new(&id, Box::new(move |event| shown.show(event))));
    recorder.note(&format!("the pipelines are planned as by GitLab {}", arguments.gitlab.unwrap_or_default()));
    let image_events = Arc::clone(&recorder);
    let images = Arc::new(arguments.source.images(&docker, move |event: &Event<'_>| image_events.record(event)));
    let scenario = Scenario {
        docker,
        images,
        source: std::path::absolute(&arguments.directory)?,
        branch: arguments.branch,
        tag: arguments.tag,
        gitlab: arguments.gitlab,
        cluster: cluster_source,
        executor,
        keep: arguments.keep,
        dir: dir.clone(),
        cancel,
    };
    let (record, stop) = Box::pin(view.watch(scenario::run(&scenario, &recorder))).await;
    let written = view.finish().await;
    if let Some(ScenarioError::Up(up::UpError::Lacking(findings))) = &stop {
        return Err(CliError::Prerequisites(findings::table(findings, &Platform::this(), width(io::stderr()))));
    }
    report::run::write::write(&record, &report)?;
    if mode != Mode::Json {
        write(&report::run::terminal::text(&record))?;
        print(&format!("e2e: the report is {}", dir.join("report.html").display()));
    }
    written?;
    Ok(exit_code(&record, stop.as_ref()))
}

fn executor(choice: ExecutorChoice, manifests: PathBuf) -> Result<JobExecutor, CliError> {
    match choice {
        ExecutorChoice::Docker => Ok(JobExecutor::Docker),
        ExecutorChoice::Kubernetes => {
            let config = RunnerConfig::read(&manifests.join("config.toml"))
                .map_err(|error| CliError::Usage(error.to_string()))?;
            config.warnings.iter().for_each(|warning| print(warning));
            Ok(JobExecutor::Kubernetes(Box::new(PodJobs { config, manifests })))
        }
    }
}

fn exit_code(record: &Record, stop: Option<&ScenarioError>) -> ExitCode {
    match (record.verdict, stop) {
        (Verdict::Passed, _) => ExitCode::SUCCESS,
        (_, Some(ScenarioError::Up(_))) => ExitCode::from(EXIT_ENVIRONMENT),
        (
            _,
            Some(ScenarioError::Project(_) | ScenarioError::Taken(..) | ScenarioError::Replay(ReplayError::Refused(_))),
        ) => ExitCode::from(EXIT_USAGE),
        _ => ExitCode::from(EXIT_FAILED),
    }
}
