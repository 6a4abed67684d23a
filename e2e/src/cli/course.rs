//! `e2e course`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use e2e::checks::environment::Environment;
use e2e::course::project::{self, Project, ProjectError};
use e2e::course::{EXERCISES, Exercise, Verdict, Verifier, selection};
use e2e::report;

use super::target_args::TargetArgs;
use super::{CliError, EXIT_FAILED, Outcome, print, write};

/// Verifies the exercises of the course, and creates the project in which a student solves them
#[derive(Debug, clap::Args)]
pub(crate) struct CourseArguments {
    #[command(subcommand)]
    command: CourseCommand,
}

#[derive(Debug, clap::Subcommand)]
enum CourseCommand {
    /// List the exercises
    List,
    Verify(Box<VerifyArguments>),
    Reset(ResetArguments),
}

/// Report whether exercises are done, with a hint for each that is not
///
/// Runs scripts of the project's jobs, and its service, on this machine. Exit codes: 0 all of them are done, 1 one is not, 2 there is no
/// such exercise or no project, 3 the cluster does not answer.
#[derive(Debug, clap::Args)]
struct VerifyArguments {
    /// A page such as `4`, or an exercise such as `4.2`; repeatable
    #[arg(value_name = "PAGE[.EXERCISE]", required = true, value_parser = select)]
    exercises: Vec<Selected>,

    /// The student's project
    #[arg(short = 'C', long = "directory", default_value = project::DIR, value_name = "DIR")]
    directory: PathBuf,

    /// The slug of the environment, for the exercises that need the cluster
    #[arg(long = "ref", default_value = "dev", value_name = "REF")]
    reference: String,

    #[command(flatten)]
    target_args: TargetArgs,
}

/// Create the student's project again, as it was at first
///
/// The previous project is moved, and not deleted.
#[derive(Debug, clap::Args)]
struct ResetArguments {
    /// The student's project
    #[arg(short = 'C', long = "directory", default_value = project::DIR, value_name = "DIR")]
    directory: PathBuf,
}

/// The exercises that one argument selects.
#[derive(Clone, Debug)]
struct Selected(Vec<&'static Exercise>);

fn select(text: &str) -> Result<Selected, String> {
    selection::select(EXERCISES, text).map(Selected)
}

pub(crate) async fn run(arguments: CourseArguments) -> Outcome {
    match arguments.command {
        CourseCommand::List => {
            write(&report::course::list(EXERCISES))?;
            Ok(ExitCode::SUCCESS)
        }
        CourseCommand::Reset(ResetArguments { directory }) => reset(&directory),
        CourseCommand::Verify(arguments) => verify(*arguments).await,
    }
}

fn reset(dir: &Path) -> Outcome {
    let source = std::env::current_dir()?;
    if let Some(previous) = Project::reset(&source, dir).map_err(cli_error)? {
        write(&format!("Your previous project is in {}.\n", previous.display()))?;
    }
    write(&format!("{} is a new clone, with the branch feature/greeting and the tag v1.0.0.\n", dir.display()))?;
    Ok(ExitCode::SUCCESS)
}

async fn verify(arguments: VerifyArguments) -> Outcome {
    let VerifyArguments { exercises, directory, reference, target_args } = arguments;
    let project = Project::open(&directory).map_err(cli_error)?;
    let exercises: Vec<&Exercise> = exercises.into_iter().flat_map(|selected| selected.0).collect();
    let mut environment = None;
    if exercises.iter().any(|exercise| exercise.needs_cluster()) {
        environment = Some(self::environment(&target_args, &reference).await);
    }
    let mut done = 0;
    for exercise in &exercises {
        let verdict: Verdict = match (exercise.verifier, &environment) {
            (Verifier::Project(verify), _) => verify(&project),
            (Verifier::Service(verify), _) => {
                print("building the service of the project …");
                verify(&project).await
            }
            (Verifier::Cluster(verify), Some(Ok(environment))) => verify(&project, environment).await,
            (Verifier::Cluster(_), _) => continue,
        };
        done += usize::from(verdict.is_ok());
        write(&report::course::verdict(exercise, &verdict))?;
    }
    // The exercises that need no cluster have been verified first.
    if let Some(Err(error)) = environment {
        return Err(error);
    }
    write(&report::course::summary(done, exercises.len()))?;
    Ok(if done == exercises.len() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}

async fn environment(target_args: &TargetArgs, reference: &str) -> Result<Environment, CliError> {
    Ok(target_args.answering_target().await?.environment(reference, None))
}

fn cli_error(error: ProjectError) -> CliError {
    match error {
        ProjectError::Missing(_) | ProjectError::Foreign(_) => CliError::Usage(error.to_string()),
        error => error.into(),
    }
}
