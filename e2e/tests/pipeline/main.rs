//! The real `e2e lint`, `e2e plan` and `e2e pipeline`, on repositories made for the purpose.

#[path = "../support/mod.rs"]
mod support;

mod end;
mod lint;
mod plan;
mod repository;
mod run;

/// Where the pipelines of [`run`] run.
const EXECUTOR: &str = "shell";
