//! The harness's program: the command line, and nothing else.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand, ValueEnum};
use e2e::doctor::{self, Platform, Verdict};
use e2e::images::{self, CATALOGUE, Image, Images, Way};
use e2e::progress::Progress;
use e2e::report::progress::{Display, HEARTBEAT};
use e2e::report::{self, findings};
use e2e::state::State;
use e2e::up::{Plan, UpError};
use e2e::{command, down, engine, status, up};
use tokio::signal::unix::{SignalKind, signal};

/// Brings up what a pipeline takes for granted, replays it, and proves what was deployed.
///
/// Exit codes: 0 all is well, 1 the cluster is not as it should be (`status`), 2 bad usage, 3 the machine lacks something or
/// something of it failed, 130 interrupted, 143 terminated.
#[derive(Debug, Parser)]
#[command(name = "e2e", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Doctor(Doctor),
    Images(ImagesArguments),
    Up(Up),
    Down(Down),
    Status(StatusArguments),
}

/// Tells what is needed, what there is, and the command that installs what is missing.
#[derive(Debug, clap::Args)]
struct Doctor {
    /// Run those commands (on Debian or Ubuntu, as root)
    #[arg(long)]
    fix: bool,

    /// How the findings are written
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,

    /// The shape of the cluster, with the ports of this machine that it maps
    #[arg(long, default_value = "kind-config.yaml", value_name = "FILE")]
    kind_config: PathBuf,

    /// The cluster that may hold these ports already
    #[arg(long, default_value = CLUSTER, value_parser = cluster_name)]
    name: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Gets the images that the harness and the pipeline need: here already, else pulled, else built.
#[derive(Debug, clap::Args)]
struct ImagesArguments {
    /// Names from the catalogue; all of it if there are none
    #[arg(value_name = "NAME", value_parser = image)]
    names: Vec<&'static Image>,

    /// How the result is written
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,

    #[command(flatten)]
    source: ImageSource,
}

/// Where images come from.
#[derive(Debug, clap::Args)]
struct ImageSource {
    /// Which ways images may come
    #[arg(long = "images", default_value = "auto", value_name = "WAY")]
    way: Way,

    /// The folder with the recipes
    #[arg(long, default_value = "images", value_name = "FOLDER")]
    recipes: PathBuf,

    /// The folder for the logs of builds
    #[arg(long, default_value = "target/e2e/images", value_name = "FOLDER")]
    log_dir: PathBuf,
}

/// Brings up a cluster with a private registry, an Ingress controller and Prometheus, or repairs what is missing of it.
#[derive(Debug, clap::Args)]
struct Up {
    /// What makes the cluster
    #[arg(long, default_value = "kind", value_name = "PROVIDER")]
    cluster: Provider,

    #[command(flatten)]
    which: Which,

    /// The shape of the cluster
    #[arg(long, default_value = "kind-config.yaml", value_name = "FILE")]
    kind_config: PathBuf,

    /// The folder with what the cluster's owner applies
    #[arg(long, default_value = "manifests/cluster", value_name = "FOLDER")]
    manifests: PathBuf,

    /// How the result is written
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,

    /// Say nothing while it is going on
    #[arg(long, short)]
    quiet: bool,

    #[command(flatten)]
    source: ImageSource,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Provider {
    /// A cluster of containers on this machine, made by kind
    Kind,
}

/// A cluster of this machine.
#[derive(Debug, clap::Args)]
struct Which {
    /// The cluster's name, which its containers and its network have too
    #[arg(long, default_value = CLUSTER, value_parser = cluster_name)]
    name: String,

    /// The folder for the files of clusters
    #[arg(long, default_value = "target/e2e/clusters", value_name = "FOLDER")]
    state_dir: PathBuf,
}

/// Takes away a cluster and everything around it. Images stay, to be used again.
#[derive(Debug, clap::Args)]
struct Down {
    #[command(flatten)]
    which: Which,

    /// Take away every cluster that `e2e` has made
    #[arg(long, conflicts_with = "name")]
    all: bool,

    /// How the result is written
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,
}

/// Tells what stands, and the commands by which it is reached.
#[derive(Debug, clap::Args)]
struct StatusArguments {
    #[command(flatten)]
    which: Which,

    /// The shape of the cluster
    #[arg(long, default_value = "kind-config.yaml", value_name = "FILE")]
    kind_config: PathBuf,

    /// How the result is written
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,
}

/// The cluster that is meant when none is named.
const CLUSTER: &str = "gitlab-ci-k8s-demo";

/// What kind, the engine and Kubernetes all take as a name. kind: `^[a-z0-9.-]+$`; a node's name is it and fourteen characters
/// more, and a host name has at most 63.
fn cluster_name(name: &str) -> Result<String, String> {
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let ends = name.starts_with('-') || name.ends_with('-');
    if name.is_empty() || name.len() > 48 || ends || !name.bytes().all(is_good) {
        return Err("a name has 1 to 48 of a-z, 0-9 and -, and no - at its ends".to_owned());
    }
    Ok(name.to_owned())
}

fn image(name: &str) -> Result<&'static Image, String> {
    images::find(name).map_err(|nearest| {
        let names = CATALOGUE.iter().map(|image| image.name).collect::<Vec<_>>().join(", ");
        format!("there is no image of that name, did you mean `{nearest}`? There are {names}")
    })
}

const EXIT_NOT_WHOLE: u8 = 1;
const EXIT_ENVIRONMENT: u8 = 3;
/// 128 and the number of SIGINT, as shells have it.
const EXIT_INTERRUPTED: u8 = 130;
/// The same of SIGTERM.
const EXIT_TERMINATED: u8 = 143;

type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    // Fails only where there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Before anything is started that a signal would leave behind.
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tell(&format!("e2e: signals cannot be taken: {error}"));
            return ExitCode::from(EXIT_ENVIRONMENT);
        }
    };
    let hint = match &command {
        Command::Up(_) => "\ne2e: what was made so far stays: `e2e up` goes on, `e2e down` takes it away",
        _ => "",
    };
    let run = async {
        match command {
            Command::Doctor(arguments) => run_doctor(arguments).await,
            Command::Images(arguments) => run_images(arguments).await,
            Command::Up(arguments) => Box::pin(run_up(arguments)).await,
            Command::Down(arguments) => run_down(arguments).await,
            Command::Status(arguments) => run_status(arguments).await,
        }
    };
    tokio::select! {
        ended = run => ended.unwrap_or_else(|error| {
            tell(&format!("e2e: {}", chain(&*error)));
            ExitCode::from(EXIT_ENVIRONMENT)
        }),
        // What was started dies with its future.
        _ = tokio::signal::ctrl_c() => {
            tell(&format!("e2e: interrupted{hint}"));
            ExitCode::from(EXIT_INTERRUPTED)
        }
        _ = terminate.recv() => {
            tell(&format!("e2e: terminated{hint}"));
            ExitCode::from(EXIT_TERMINATED)
        }
    }
}

async fn run_doctor(arguments: Doctor) -> Outcome {
    let Doctor { fix, format, kind_config, name } = arguments;
    let platform = Platform::this();
    let mut found = doctor::examine(&platform, &kind_config, &name).await;
    if fix {
        // What is installed may be what the next examination needs: an engine, then what it can do.
        let mut done = Vec::new();
        while let Some(command) =
            doctor::commands(&found, &platform).into_iter().find(|command| !done.contains(command))
        {
            tell(&format!("+ {}", command.replace('\n', "\n  ")));
            doctor::fix(&command).await?;
            done.push(command);
            found = doctor::examine(&platform, &kind_config, &name).await;
        }
    }
    let text = match format {
        Format::Table => findings::table(&found, &platform, width(io::stdout())),
        Format::Json => findings::json(&found, platform.name())?,
    };
    write(&text)?;
    Ok(match doctor::verdict(&found) {
        Verdict::Good | Verdict::Warning => ExitCode::SUCCESS,
        Verdict::Missing => ExitCode::from(EXIT_ENVIRONMENT),
    })
}

async fn run_images(arguments: ImagesArguments) -> Outcome {
    let ImagesArguments { names, format, source } = arguments;
    let docker = connect().await?;
    let images = source.images(&docker, |progress| tell(&report::images::line(&progress)));
    let wanted = if names.is_empty() { CATALOGUE.to_vec() } else { names };
    let obtained = images.obtain(&wanted).await?;
    write(&match format {
        Format::Table => report::images::table(&obtained),
        Format::Json => serde_json::to_string_pretty(&obtained)? + "\n",
    })?;
    Ok(ExitCode::SUCCESS)
}

impl ImageSource {
    fn images(&self, docker: &bollard::Docker, tell: impl Fn(images::Progress) + Send + Sync + 'static) -> Images {
        Images::new(docker.clone(), self.way, &self.recipes, &self.log_dir, tell)
    }
}

async fn run_up(arguments: Up) -> Outcome {
    let Up { cluster: Provider::Kind, which, kind_config, manifests, format, quiet, source } = arguments;
    let docker = connect().await?;
    command::mark(&which.name);
    let display = Arc::new(Display::new(quiet));
    let images = source.images(&docker, {
        let display = Arc::clone(&display);
        move |progress| display.show(&Progress::Image(progress))
    });
    let state = which.state()?;
    let plan = Plan { cluster: which.name.clone(), kind_config, manifests, state: state.clone() };
    let shown = Arc::clone(&display);
    let show = move |progress| shown.show(&progress);
    let mut up = std::pin::pin!(up::up(&docker, &images, &plan, &show));
    let result = loop {
        tokio::select! {
            result = &mut up => break result,
            () = tokio::time::sleep(HEARTBEAT) => display.heartbeat(),
        }
    };
    match result {
        Ok(()) => {}
        Err(UpError::Lacking(findings)) => {
            tell(&findings::table(&findings, &Platform::this(), width(io::stderr())));
            return Ok(ExitCode::from(EXIT_ENVIRONMENT));
        }
        Err(error) => return Err(error.into()),
    }
    write_status(&docker, &which.name, &plan.kind_config, &state, format).await
}

async fn run_down(arguments: Down) -> Outcome {
    let Down { which, all, format } = arguments;
    let docker = connect().await?;
    let names = if all {
        down::clusters(&docker, &which.state_dir).await?.into_iter().collect()
    } else {
        vec![which.name.clone()]
    };
    let mut removed = Vec::new();
    for name in names {
        removed.push(down::down(&docker, &name, &State::new(&which.state_dir, &name)?).await?);
    }
    write(&match format {
        Format::Table if removed.is_empty() => "There is nothing to take away.\n".to_owned(),
        Format::Table => removed.iter().map(report::status::removed).collect(),
        Format::Json => serde_json::to_string_pretty(&removed)? + "\n",
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn run_status(arguments: StatusArguments) -> Outcome {
    let StatusArguments { which, kind_config, format } = arguments;
    write_status(&connect().await?, &which.name, &kind_config, &which.state()?, format).await
}

async fn write_status(
    docker: &bollard::Docker,
    name: &str,
    kind_config: &std::path::Path,
    state: &State,
    format: Format,
) -> Outcome {
    let status = status::status(docker, name, kind_config, state).await?;
    write(&match format {
        Format::Table => report::status::text(&status),
        Format::Json => serde_json::to_string_pretty(&status)? + "\n",
    })?;
    Ok(if status.is_whole() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_NOT_WHOLE) })
}

impl Which {
    fn state(&self) -> Result<State, e2e::state::StateError> {
        State::new(&self.state_dir, &self.name)
    }
}

async fn connect() -> Result<bollard::Docker, String> {
    engine::connect().await.map_err(|error| format!("{} (`e2e doctor` tells what to do)", chain(&error)))
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The columns of a terminal; nothing of anything else.
fn width(output: impl AsFd) -> Option<u16> {
    rustix::termios::tcgetwinsize(output).ok().map(|size| size.ws_col).filter(|columns| *columns > 0)
}

fn write(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())
}

/// The story goes to standard error, the result to standard output.
fn tell(text: &str) {
    // Nothing can be done about a standard error that is closed.
    let _ = writeln!(io::stderr(), "{text}");
}
