#![doc = include_str!("../README.md")]
//!
//! ## Modules
//!
//! In the order of their dependencies:
//!
//! - [`suggest`]: the name that a user may have meant.
//! - [`source`], [`diagnostic`]: texts and positions in them, errors and warnings.
//! - [`files`], [`changes`]: the files of a project, and those that differ from another ref.
//! - [`duration`], [`glob`], [`expression`]: the small languages in pipeline files.
//! - [`yaml`]: from text to a tree of nodes, `extends` and `!reference`.
//! - [`variables`]: the precedence and the expansion of CI/CD variables.
//! - [`inputs`], [`mod@include`]: `spec:inputs`, and a file with all its includes as one tree.
//! - [`config`]: from the tree to typed keywords.
//! - [`lint`]: all of that in GitLab's order.
//! - [`plan`]: which jobs a pipeline contains for a ref, and why.
//! - [`render`]: diagnostics and plans as text and as JSON.

#![warn(missing_docs, clippy::missing_errors_doc)]

pub mod changes;
pub mod config;
pub mod diagnostic;
pub mod duration;
pub mod expression;
pub mod files;
pub mod gitlab_version;
pub mod glob;
pub mod include;
pub mod inputs;
pub mod lint;
mod numerals;
pub mod plan;
pub mod render;
pub mod source;
pub mod suggest;
pub mod variables;
pub mod yaml;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

#[cfg(test)]
mod bombs;
#[cfg(test)]
mod properties;
