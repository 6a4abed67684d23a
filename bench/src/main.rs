//! Comparative measurements. `cargo run --release -p bench -- --help` lists them.

mod access_log;
mod app;
mod comparison;
mod cores;
mod error;
mod http;
mod machine;
mod metrics_text;
mod page;
mod pipeline;
mod pods;
mod program;
mod repository;
mod sample;
mod server_process;
mod table;
mod tools;
mod up;
mod wrk;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Context, Error};

/// Measures speed and size, in comparison with other programs.
///
/// Exit codes: 0 measured, 1 a measurement failed, 2 bad usage, 3 a tool is missing, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    App(app::Arguments),
    Up(up::Arguments),
    Pipeline(pipeline::Arguments),
    Pods(pods::Arguments),
}

fn main() -> ExitCode {
    let Arguments { what } = Arguments::parse();
    match run(what) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Ignore the error, because standard error may be closed.
            let _ = writeln!(io::stderr(), "bench: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(what: What) -> Result<(), Error> {
    // Use one thread, because child processes inherit its core, and other threads would compete with the measured programs.
    let runtime = runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let report = runtime.block_on(async {
        let measured = async {
            match what {
                What::App(arguments) => app::run(&arguments).await,
                What::Up(arguments) => up::run(&arguments).await,
                // The child processes are in the terminal's process group, so Ctrl-C ends them too.
                What::Pipeline(arguments) => pipeline::run(&arguments),
                What::Pods(arguments) => pods::run(&arguments),
            }
        };
        // A signal drops the measurement here, which kills the processes that it has started.
        tokio::select! {
            biased;
            interrupted = interrupted() => Err(interrupted),
            measured = measured => measured,
        }
    })?;
    io::stdout().write_all(report.as_bytes()).context("cannot write the report")
}

/// Returns when SIGINT or SIGTERM arrives.
async fn interrupted() -> Error {
    let signals =
        signal(SignalKind::interrupt()).and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
    match signals.context("cannot wait for signals") {
        Ok((mut interrupt, mut terminate)) => tokio::select! {
            _ = interrupt.recv() => Error::Interrupted("SIGINT"),
            _ = terminate.recv() => Error::Interrupted("SIGTERM"),
        },
        Err(error) => error,
    }
}

/// Prints progress to standard error. Standard output has only the report.
fn progress(text: &str) {
    let _ = writeln!(io::stderr(), "bench: {text}");
}
