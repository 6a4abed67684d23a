//! `.gitlab-ci.yml` as GitLab reads it.
//!
//! - [`source`] and [`diagnostic`]: texts, places in them, and what is wrong there.
//! - [`document`]: from text to one tree.
//! - [`expression`]: the conditions of `rules:if`.
//! - [`config`]: from the tree to typed keywords.
//! - [`lint`]: all of that in GitLab's order.
//! - [`git`]: what the repository knows. [`variables`]: which of them wins, and what it means.
//! - [`glob`]: patterns of paths. [`changes`]: which files differ. [`duration`]: lengths of time.
//! - [`mask`]: secrets in what jobs write.
//! - [`plan`]: what would run for a ref, and why. [`run`]: running it.

pub mod changes;
pub mod config;
pub mod diagnostic;
pub mod duration;
pub mod expression;
pub mod files;
pub mod glob;
pub mod include;
pub mod inputs;
pub mod lint;
pub mod plan;
pub mod render;
pub mod source;
pub mod variables;
pub mod yaml;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

#[cfg(test)]
mod bombs;
#[cfg(test)]
mod properties;
