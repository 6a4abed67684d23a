//! The harness: creates the environment that a pipeline requires, runs the pipeline, and verifies the deployed service.
//!
//! Each module imports only those below it:
//!
//! - [`scenario`]: a run, from a push to a running service. Only the command line uses it.
//! - [`report`]: all formatting.
//! - [`course`]: the exercises of the course, and how to verify them.
//! - [`lessons`]: the five failures of the article's pipeline, as data.
//! - [`checks`]: the checks of a deployed environment.
//! - [`environment`]: the machine, its images, the cluster, the registry.
//! - [`record`]: the record of a run, as data.
//!
//! `main.rs` is the command line. Only it and the tests use this library.

pub mod checks;
pub mod course;
pub mod environment;
pub mod lessons;
pub mod record;
pub mod report;
pub mod scenario;
