//! The harness: brings up what the pipeline takes for granted, replays the pipeline, and proves what was deployed.
//!
//! # Layout
//!
//! - [`doctor`]: what this machine must have, what it has, and the command that installs the difference.
//! - [`images`]: the images that are needed, and how each comes here: here already, else pulled, else built.
//! - [`report`]: what a person or a program reads. The only place that formats.
//! - [`command`]: programs that are run, each in a process group of its own.
//!
//! `main.rs` is the command line and nothing else.

pub mod command;
pub mod doctor;
pub mod images;
pub mod report;
