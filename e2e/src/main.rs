//! The harness's program: the command line, and nothing else.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use e2e::doctor::{self, Platform, Verdict};
use e2e::report::findings;

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

const EXIT_ENVIRONMENT: u8 = 3;
/// 128 and the number of SIGINT, as shells have it.
const EXIT_INTERRUPTED: u8 = 130;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let run = async {
        match command {
            Command::Doctor(arguments) => run_doctor(arguments).await,
        }
    };
    tokio::select! {
        ended = run => ended.unwrap_or_else(|error| {
            tell(&format!("e2e: {error}"));
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

/// The story goes to standard error, the result to standard output.
fn tell(text: &str) {
    // Nothing can be done about a standard error that is closed.
    let _ = writeln!(io::stderr(), "{text}");
}
