//! `e2e lint`, `e2e plan`, `e2e pipeline`: what is asked for, and how the answer is written.
//!
//! - [`input`]: the file, what it includes, and variables from outside. [`reference`]: what the pipeline is for.
//! - [`prepare`]: both together, up to a plan: for every command that needs one.
//! - [`lint`], [`plan`], [`run`]: the commands.

mod input;
mod lint;
mod plan;
mod prepare;
mod reference;
mod run;

pub(crate) use lint::{LintArguments, run_lint};
pub(crate) use plan::{PlanArguments, run_plan};
pub(crate) use run::{PipelineArguments, run_pipeline};
