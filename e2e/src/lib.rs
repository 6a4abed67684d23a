//! The harness: brings up what the pipeline takes for granted, replays the pipeline, and proves what was deployed.
//!
//! # Layout
//!
//! From what knows most to what knows least:
//!
//! - [`scenario`]: the story, the only place that knows the order of things. [`record`]: what is known of it when it is over.
//! - [`lessons`]: the article's failures, and their remedies.
//! - [`up`], [`down`], [`status`]: the life of a cluster, each told top to bottom.
//! - [`pipeline`]: `.gitlab-ci.yml` as GitLab reads it: what is wrong with it, and what would run.
//! - [`replay`]: a ref of a repository, ready to be run.
//! - [`doctor`]: what this machine must have, what it has, and the command that installs the difference.
//! - [`checks`]: whether what was deployed is as it should be.
//! - [`cluster`]: kind, and what is put into a cluster. [`registry`]: the private registry beside it.
//! - [`images`]: the images that are needed, and how each comes here: here already, else pulled, else built.
//! - [`package_sources`]: where this machine gets Debian, Go and Python packages from.
//! - [`report`]: what a person or a program reads. The only place that formats.
//! - [`chain`], [`engine`], [`command`], [`orphans`], [`state`], [`labels`], [`kind_config`], [`progress`]: what the others stand on.
//!
//! `main.rs` is the command line and nothing else.

pub mod checks;
pub mod environment;
pub mod lessons;
pub mod record;
pub mod report;
pub mod scenario;
