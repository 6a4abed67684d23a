//! What needs a container engine. Without one these tests fail; `make doctor DOCTOR_FLAGS=--fix` gets one.

#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../pipeline/repository.rs"]
mod repository;
#[path = "../pipeline/run.rs"]
mod run;

mod images;
mod job;
mod jobs;
mod pulls;
mod services;

/// Where the pipelines of [`run`] run.
const EXECUTOR: &str = "docker";
