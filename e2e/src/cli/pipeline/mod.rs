//! `e2e lint`, `e2e plan`, `e2e pipeline`: how the answer is written. What is asked for is `gitlab_runner::project`'s.
//!
//! - [`lint`], [`plan`], [`run`]: the commands. [`planned`]: up to a plan, for those that need one.

mod lint;
mod plan;
mod planned;
mod run;

pub(crate) use lint::{LintArguments, run_lint};
pub(crate) use plan::{PlanArguments, run_plan};
pub(crate) use run::{PipelineArguments, run_pipeline};
