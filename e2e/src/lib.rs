//! The harness: creates the environment that a pipeline requires, runs the pipeline, and verifies the deployed service.
//!
//! Each module imports only those below it:
//!
//! - [`scenario`]: a run, from a push to a running service. Only the command line uses it.
//! - [`report`]: everything that is formatted. No other module formats.
//! - [`course`]: the exercises of the course, and how to verify them.
//! - [`lessons`]: the failures of the course, as data.
//! - [`checks`]: whether a deployed environment works.
//! - [`environment`]: the machine, its images, the cluster, the registry.
//! - [`record`]: what happened in a run, as data.
//!
//! `main.rs` is the command line. The library exists for it and for the tests.

pub mod checks;
pub mod course;
pub mod environment;
pub mod lessons;
pub mod record;
pub mod report;
pub mod scenario;
