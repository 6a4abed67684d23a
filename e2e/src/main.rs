//! The harness's program: the command line, and nothing else.

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::{
    EXIT_ENVIRONMENT, EXIT_INTERRUPTED, EXIT_TERMINATED, check, cluster, doctor, error_chain, images, lesson, pipeline,
    run, tell,
};

/// Brings up what a pipeline takes for granted, replays it, and proves what was deployed.
///
/// Exit codes: 0 all is well, 1 something is not as it should be (a cluster, a pipeline, a check), 2 bad usage or a bad
/// file, 3 the machine lacks something or something of it failed, 130 interrupted, 143 terminated.
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
        // Over at once, and nothing is left behind: a signal ends them as it ends any program.
        Command::Lint(arguments) => ended(pipeline::run_lint(&arguments)),
        Command::Plan(arguments) => ended(pipeline::run_plan(&arguments)),
        command => watch(command),
    }
}

fn ended(outcome: cli::Outcome) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        tell(&format!("e2e: {}", error_chain(&*error)));
        ExitCode::from(EXIT_ENVIRONMENT)
    })
}

/// Runs a command until it has ended, or somebody ends it.
#[tokio::main(flavor = "current_thread")]
async fn watch(command: Command) -> ExitCode {
    // Fails only where there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Before anything is started that a signal would leave behind.
    let mut terminate = match Terminate::new() {
        Ok(terminate) => terminate,
        Err(error) => {
            tell(&format!("e2e: signals cannot be taken: {error}"));
            return ExitCode::from(EXIT_ENVIRONMENT);
        }
    };
    let hint = match &command {
        Command::Pipeline(_) | Command::Lesson(_) => ": jobs are stopped",
        Command::Check(_) => ": the pods of checks are taken away",
        Command::Run(_) => ": jobs are stopped, and what was made is taken away",
        Command::Up(_) => "\ne2e: what was made so far stays: `e2e up` goes on, `e2e down` takes it away",
        _ => "",
    };
    // A pipeline ends by itself once it is told to: its containers are to go.
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
        tell(&format!("e2e: {told}{hint}"));
        // What was started dies with its future. Who asks twice does not want to wait.
        if !ends_itself || code.is_some() {
            return signal;
        }
        code = Some(signal);
        cancel.cancel();
    }
}

/// The signals that ask a program to end: SIGTERM, and SIGHUP, which comes when a terminal is closed.
struct Terminate {
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Terminate {
    fn new() -> std::io::Result<Self> {
        // Who says `nohup` wants it to outlive the terminal.
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

/// Whether this program was started with SIGHUP ignored. `proc(5)`, `SigIgn` of `status`: the bit of signal 1 is the lowest.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
