//! The commands `e2e lint`, `e2e plan` and `e2e pipeline`. `gitlab_runner::project` defines most of their arguments.
//!
//! - [`lint`], [`plan`], [`run`]: the commands. [`planned`]: creates the plan for the last two. [`executors`]: connects a pipeline to the
//!   place where its jobs run.

mod executors;
mod lint;
mod plan;
mod planned;
mod run;

pub(crate) use lint::{LintArguments, run_lint};
pub(crate) use plan::{PlanArguments, run_plan};
pub(crate) use run::{PipelineArguments, run_pipeline};
