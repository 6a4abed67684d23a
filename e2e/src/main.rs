//! The command line.

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::cli::signals::Interruption;
use crate::cli::{
    EXIT_ENVIRONMENT, SUPERVISE, check, cluster, course, doctor, images, lesson, pipeline, print, report, run, setup,
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
    Setup(setup::SetupArguments),
    Lint(pipeline::LintArguments),
    Plan(pipeline::PlanArguments),
    Pipeline(Box<pipeline::PipelineArguments>),
    Check(Box<check::CheckArguments>),
    Report(report::ReportArguments),
    Run(Box<run::RunArguments>),
    Lesson(Box<lesson::LessonArguments>),
    Course(course::CourseArguments),
}

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if std::env::args_os().nth(1).is_some_and(|argument| argument == SUPERVISE) {
        return gitlab_runner::executor::supervise::supervise(std::env::args_os().skip(2)).into();
    }
    match Arguments::parse().command {
        // These commands are short and create no resources, so a signal may end them at any point.
        Command::Lint(arguments) => ended(pipeline::run_lint(&arguments)),
        Command::Plan(arguments) => ended(pipeline::run_plan(&arguments)),
        Command::Report(arguments) => ended(report::run(&arguments)),
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
    let hint = match &command {
        Command::Pipeline(_) | Command::Lesson(_) => ": stopping the jobs",
        Command::Check(arguments) if arguments.deploys() => ": removing the temporary namespace",
        Command::Check(_) => ": removing the pods of the checks",
        Command::Run(_) => ": stopping the jobs and removing what was created",
        Command::Up(_) => "\ne2e: what was created so far stays: `e2e up` continues, `e2e down` removes it",
        _ => "",
    };
    let mut interruption = match Interruption::watch(hint) {
        Ok(interruption) => interruption,
        Err(error) => {
            print(&format!("e2e: cannot handle signals: {error}"));
            return ExitCode::from(EXIT_ENVIRONMENT);
        }
    };
    // These commands end by themselves when they are canceled, and remove what they created.
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
            Command::Setup(arguments) => setup::run(arguments).await,
            Command::Lint(arguments) => pipeline::run_lint(&arguments),
            Command::Plan(arguments) => pipeline::run_plan(&arguments),
            Command::Report(arguments) => report::run(&arguments),
            Command::Run(arguments) => Box::pin(run::run(*arguments, cancel.clone())).await,
            Command::Lesson(arguments) => Box::pin(lesson::run(*arguments, cancel.clone())).await,
            Command::Course(arguments) => Box::pin(course::run(arguments)).await,
            Command::Check(arguments) => Box::pin(check::run(*arguments, cancel.clone())).await,
            Command::Pipeline(arguments) => Box::pin(pipeline::run_pipeline(&arguments, cancel.clone())).await,
        }
    };
    let mut run = std::pin::pin!(run);
    tokio::select! {
        ended = &mut run => self::ended(ended),
        code = interruption.received() => {
            if ends_itself {
                cancel.cancel();
                // Its result is printed, but the signal decides the exit code.
                self::ended(run.await);
            }
            // The other commands end when their future is dropped.
            ExitCode::from(code)
        }
    }
}
