//! The command line.

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::{
    EXIT_ENVIRONMENT, EXIT_INTERRUPTED, EXIT_TERMINATED, check, cluster, doctor, images, lesson, pipeline, print, run,
};

/// Creates a cluster and a registry, runs the pipeline of a repository, and verifies what was deployed
///
/// Exit codes: 0 success, 1 a cluster, a pipeline or a check did not pass, 2 the command line or a file is wrong,
/// 3 a prerequisite is missing or the machine failed, 130 interrupted, 143 terminated.
#[derive(Debug, Parser)]
#[command(name = "e2e", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Doctor(doctor::Doctor),
    Images(images::ImagesArguments),
    Up(cluster::Up),
    Down(cluster::Down),
    Status(cluster::StatusArguments),
    Lint(pipeline::LintArguments),
    Plan(pipeline::PlanArguments),
    Pipeline(Box<pipeline::PipelineArguments>),
    Check(Box<check::CheckArguments>),
    Run(Box<run::RunArguments>),
    Lesson(Box<lesson::LessonArguments>),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        // These commands are short and create no resources, so a signal may end them at any point.
        Command::Lint(arguments) => ended(pipeline::run_lint(&arguments)),
        Command::Plan(arguments) => ended(pipeline::run_plan(&arguments)),
        command => watch(command),
    }
}

fn ended(outcome: cli::Outcome) -> ExitCode {
    outcome.unwrap_or_else(|error| error.report())
}

/// Runs a command until it ends or the user interrupts it.
#[tokio::main(flavor = "current_thread")]
async fn watch(command: Command) -> ExitCode {
    // Fails only if a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Handle signals before the command creates resources that a signal would leave behind.
    let mut terminate = match Terminate::new() {
        Ok(terminate) => terminate,
        Err(error) => {
            print(&format!("e2e: cannot handle signals: {error}"));
            return ExitCode::from(EXIT_ENVIRONMENT);
        }
    };
    let hint = match &command {
        Command::Pipeline(_) | Command::Lesson(_) => ": stopping the jobs",
        Command::Check(_) => ": removing the pods of the checks",
        Command::Run(_) => ": stopping the jobs and removing what was created",
        Command::Up(_) => "\ne2e: what was created so far stays: `e2e up` continues, `e2e down` removes it",
        _ => "",
    };
    // These commands end by themselves when they are cancelled, and remove what they created.
    let (cancel, ends_itself) = (
        CancellationToken::new(),
        matches!(command, Command::Pipeline(_) | Command::Run(_) | Command::Check(_) | Command::Lesson(_)),
    );
    let run = async {
        match command {
            Command::Doctor(arguments) => doctor::run(arguments).await,
            Command::Images(arguments) => images::run(arguments).await,
            Command::Up(arguments) => Box::pin(cluster::run_up(arguments)).await,
            Command::Down(arguments) => cluster::run_down(arguments).await,
            Command::Status(arguments) => cluster::run_status(arguments).await,
            Command::Lint(arguments) => pipeline::run_lint(&arguments),
            Command::Plan(arguments) => pipeline::run_plan(&arguments),
            Command::Run(arguments) => Box::pin(run::run(*arguments, cancel.clone())).await,
            Command::Lesson(arguments) => Box::pin(lesson::run(*arguments, cancel.clone())).await,
            Command::Check(arguments) => Box::pin(check::run(*arguments, cancel.clone())).await,
            Command::Pipeline(arguments) => Box::pin(pipeline::run_pipeline(&arguments, cancel.clone())).await,
        }
    };
    let mut run = std::pin::pin!(run);
    let mut code = None;
    loop {
        let (signal, told) = tokio::select! {
            ended = &mut run => {
                let ended = self::ended(ended);
                return code.unwrap_or(ended);
            }
            _ = tokio::signal::ctrl_c() => (ExitCode::from(EXIT_INTERRUPTED), "interrupted"),
            () = terminate.recv() => (ExitCode::from(EXIT_TERMINATED), "terminated"),
        };
        print(&format!("e2e: {told}{hint}"));
        // The command ends when its future is dropped. A second signal ends it without cleanup.
        if !ends_itself || code.is_some() {
            return signal;
        }
        code = Some(signal);
        cancel.cancel();
    }
}

/// The signals that end a program: SIGTERM, and SIGHUP, which the kernel sends when the terminal is closed.
struct Terminate {
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Terminate {
    fn new() -> std::io::Result<Self> {
        // Under `nohup` the program must survive SIGHUP.
        let hangup = if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { terminate: signal(SignalKind::terminate())?, hangup })
    }

    async fn recv(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Whether SIGHUP was ignored when this program started. `proc(5)`, `SigIgn` of `status`: bit 0 is signal 1.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
