//! The harness's program: the command line, and nothing else.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use e2e::doctor::{self, Platform, Verdict};
use e2e::images::{self, CATALOGUE, Image, Images, Way};
use e2e::report::{self, findings};

/// Brings up what a pipeline takes for granted, replays it, and proves what was deployed.
///
/// Exit codes: 0 all is well, 2 bad usage, 3 the machine lacks something, 130 interrupted.
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

    /// The file that maps ports of this machine
    #[arg(long, default_value = "kind-config.yaml", value_name = "FILE")]
    kind_config: PathBuf,
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

    /// Which ways they may come
    #[arg(long = "images", default_value = "auto", value_name = "WAY")]
    way: Way,

    /// How the result is written
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,

    /// The folder with the recipes
    #[arg(long, default_value = "images", value_name = "FOLDER")]
    recipes: PathBuf,

    /// The folder for the logs of builds
    #[arg(long, default_value = "target/e2e/images", value_name = "FOLDER")]
    log_dir: PathBuf,
}

fn image(name: &str) -> Result<&'static Image, String> {
    images::find(name).map_err(|nearest| {
        let names = CATALOGUE.iter().map(|image| image.name).collect::<Vec<_>>().join(", ");
        format!("there is no image of that name, did you mean `{nearest}`? There are {names}")
    })
}

const EXIT_ENVIRONMENT: u8 = 3;
/// 128 and the number of SIGINT, as shells have it.
const EXIT_INTERRUPTED: u8 = 130;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let run = async {
        match command {
            Command::Doctor(arguments) => run_doctor(arguments).await,
            Command::Images(arguments) => run_images(arguments).await,
        }
    };
    tokio::select! {
        ended = run => ended.unwrap_or_else(|error| {
            tell(&format!("e2e: {}", chain(&*error)));
            ExitCode::from(EXIT_ENVIRONMENT)
        }),
        // What was started dies with its future.
        _ = tokio::signal::ctrl_c() => ExitCode::from(EXIT_INTERRUPTED),
    }
}

async fn run_doctor(arguments: Doctor) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let Doctor { fix, format, kind_config } = arguments;
    let platform = Platform::this();
    let mut found = doctor::examine(&platform, &kind_config).await;
    if fix {
        // What is installed may be what the next examination needs: an engine, then what it can do.
        let mut done = Vec::new();
        while let Some(command) =
            doctor::commands(&found, &platform).into_iter().find(|command| !done.contains(command))
        {
            tell(&format!("+ {}", command.replace('\n', "\n  ")));
            doctor::fix(&command).await?;
            done.push(command);
            found = doctor::examine(&platform, &kind_config).await;
        }
    }
    let text = match format {
        Format::Table => findings::table(&found, &platform, None),
        Format::Json => findings::json(&found, platform.name())?,
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(match doctor::verdict(&found) {
        Verdict::Good | Verdict::Warning => ExitCode::SUCCESS,
        Verdict::Missing => ExitCode::from(EXIT_ENVIRONMENT),
    })
}

async fn run_images(arguments: ImagesArguments) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let ImagesArguments { names, way, format, recipes, log_dir } = arguments;
    let docker = bollard::Docker::connect_with_defaults()?;
    docker.ping().await.map_err(|error| format!("no container engine answers: {error} (see `e2e doctor`)"))?;
    let images = Images::new(docker, way, &recipes, &log_dir, |progress| tell(&report::images::line(&progress)));
    let wanted = if names.is_empty() { CATALOGUE.iter().collect() } else { names };
    let obtained = images.obtain(&wanted).await?;
    let text = match format {
        Format::Table => report::images::table(&obtained),
        Format::Json => serde_json::to_string_pretty(&obtained)? + "\n",
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
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

/// The story goes to standard error, the result to standard output.
fn tell(text: &str) {
    // Nothing can be done about a standard error that is closed.
    let _ = writeln!(io::stderr(), "{text}");
}
