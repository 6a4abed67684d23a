//! `e2e run`

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use container_engine::labels;
use e2e::checks::target;
use e2e::environment::command;
use e2e::environment::doctor::Platform;
use e2e::environment::up;
use e2e::environment::up::Plan;
use e2e::record::{Record, Verdict};
use e2e::report::live::{Live, Mode};
use e2e::report::{self, findings};
use e2e::scenario::recorder::Recorder;
use e2e::scenario::{self, ClusterSource, ReplayError, Scenario, ScenarioError};
use tokio_util::sync::CancellationToken;

use super::images::ImageSource;
use super::place::Place;
use super::{CliError, EXIT_ENVIRONMENT, EXIT_FAILED, EXIT_USAGE, Format, Outcome, connect, print, width, write};

/// Tells the whole story: a push, its pipeline, a running service, and every claim about it proved.
///
/// Without a kubeconfig kind makes a cluster, unless the one of `e2e up` stands. Exit codes: 0 all of it is so,
/// 1 a pipeline or a check failed, 2 bad usage or a bad file, 3 the machine lacks something.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArguments {
    /// The project's folder
    #[arg(short = 'C', long = "directory", default_value = ".", value_name = "DIR")]
    directory: PathBuf,

    /// The branch that is pushed; a new one at the commit that is checked out if not given
    #[arg(long, value_name = "BRANCH")]
    branch: Option<String>,

    /// The tag that is pushed; a new one at the commit that is checked out if not given
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,

    #[command(flatten)]
    place: Place,

    /// The folder with what the cluster's owner applies
    #[arg(long, default_value = "manifests/cluster", value_name = "FOLDER")]
    manifests: PathBuf,

    #[command(flatten)]
    source: ImageSource,

    /// Where the report goes; `target/e2e/ID` if not given
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,

    /// Leave everything as it is when it is over
    #[arg(long)]
    keep: bool,

    /// How what happens is written
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,

    /// Say nothing before the end
    #[arg(long, short)]
    quiet: bool,
}

/// Tells it, and writes the report.
pub(crate) async fn run(arguments: RunArguments, cancel: CancellationToken) -> Outcome {
    let docker = connect().await?;
    let id = labels::RunId::new("").id;
    let folder = arguments.report.unwrap_or_else(|| arguments.directory.join("target/e2e").join(&id));
    std::fs::create_dir_all(&folder)?;
    let folder = std::path::absolute(folder)?;
    let ground = if arguments.place.is_existing() {
        let target = arguments.place.target().await?;
        if target.registry.is_none() || target.deployer_kubeconfig.is_none() {
            let message = "the pipeline pushes and deploys: it needs --registry and --deployer-kubeconfig";
            return Err(CliError::Usage(message.to_owned()));
        }
        ClusterSource::Existing(Box::new(target))
    } else {
        let (which, kind_config) = arguments.place.kind();
        command::mark(&which.name);
        let (manifests, state) = (arguments.manifests, which.state()?);
        ClusterSource::Kind(Box::new(Plan { cluster: which.name.clone(), kind_config, manifests, state }))
    };
    if let ClusterSource::Existing(target) = &ground
        && !target::answers(&target.client).await
    {
        return Err(CliError::environment("the cluster does not answer"));
    }
    let mode = match (arguments.format, arguments.quiet) {
        (Format::Json, _) => Mode::Json,
        (Format::Table, true) => Mode::Quiet,
        (Format::Table, false) => Mode::People,
    };
    let view = Arc::new(Live::new(mode));
    let shown = Arc::clone(&view);
    let recorder = Arc::new(Recorder::new(&id, Box::new(move |event| shown.show(event))));
    let hearing = Arc::clone(&recorder);
    let images = Arc::new(arguments.source.images(&docker, move |progress| hearing.image(&progress)));
    let scenario = Scenario {
        docker,
        images,
        source: std::path::absolute(&arguments.directory)?,
        branch: arguments.branch,
        tag: arguments.tag,
        cluster: ground,
        keep: arguments.keep,
        folder: folder.clone(),
        cancel,
    };
    let (record, stop) = Box::pin(view.watch(scenario::run(&scenario, &recorder))).await;
    if let Some(ScenarioError::Up(up::UpError::Lacking(findings))) = &stop {
        return Err(CliError::Prerequisites(findings::table(findings, &Platform::this(), width(io::stderr()))));
    }
    report::run::write::write(&record, &folder)?;
    if mode != Mode::Json {
        write(&report::run::terminal::text(&record))?;
        print(&format!("e2e: the report is {}", folder.join("report.html").display()));
    }
    Ok(exit_code(&record, stop.as_ref()))
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
