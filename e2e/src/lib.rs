//! The harness: brings up the environment that a pipeline needs, runs the pipeline, and verifies the deployment.
//!
//! # Layout
//!
//! Modules use only modules further down in this list:
//!
//! - [`scenario`]: the steps of a run, in order. [`report`]: all output, for people and for programs.
//! - [`checks`]: verify a deployed environment. [`lessons`]: the article's failures and their remedies.
//! - [`environment`]: prerequisites, images, cluster and registry.
//! - [`record`]: the data of a run, from which reports are rendered.
//!
//! `main.rs` is only the command line.

pub mod checks;
pub mod environment;
pub mod lessons;
pub mod record;
pub mod report;
pub mod scenario;
