//! `e2e plan`

use gitlab_ci::render;
use std::process::ExitCode;

use clap::ValueEnum;
use gitlab_ci::plan;
use gitlab_runner::project::input::{Input, without_secrets};
use gitlab_runner::project::reference::Reference;

use super::planned::{create_plan, print_missing_variables};
use crate::cli::{CliError, Outcome, write};

/// Shows which jobs would run for a ref, and why
#[derive(Debug, clap::Args)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    input: Input,

    #[command(flatten)]
    reference: Reference,

    /// The format of the result
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: PlanFormat,

    /// Show the variables of a job instead, and where each comes from
    #[arg(long, value_name = "JOB")]
    show_variables: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PlanFormat {
    /// For users.
    Table,
    /// For programs.
    Json,
    /// For Markdown pages.
    Mermaid,
}

/// Creates the plan and prints it.
pub(crate) fn run_plan(arguments: &PlanArguments) -> Outcome {
    let PlanArguments { input, reference, format, show_variables } = arguments;
    let prepared = create_plan(input, reference)?;
    let (plan, sources) = (&prepared.plan, &prepared.lint.sources);
    let text = if let Some(name) = show_variables {
        let job = find(plan, name)?;
        print_missing_variables(std::iter::once(job));
        let mask = |value: &str| without_secrets(&prepared.project_variables, value);
        match format {
            PlanFormat::Json => render::plan::variables_json(plan, job, &mask)?,
            PlanFormat::Table | PlanFormat::Mermaid => render::plan::variables(plan, job, &mask),
        }
    } else {
        print_missing_variables(plan.jobs.iter());
        match format {
            PlanFormat::Table => render::plan::text(plan, sources),
            PlanFormat::Json => render::plan::json(plan, sources)?,
            PlanFormat::Mermaid => render::plan::mermaid(plan),
        }
    };
    write(&without_secrets(&prepared.project_variables, &text))?;
    Ok(ExitCode::SUCCESS)
}

fn find<'plan>(plan: &'plan plan::Plan, name: &str) -> Result<&'plan plan::PlannedJob, CliError> {
    plan.jobs.iter().find(|job| &*job.name == name).ok_or_else(|| {
        let names = plan.jobs.iter().map(|job| &*job.name).collect::<Vec<_>>().join(", ");
        CliError::Usage(format!("there is no job `{name}` in this pipeline; the jobs are {names}"))
    })
}
