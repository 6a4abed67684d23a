//! The typed keywords of a document, as GitLab's entries read them (`lib/gitlab/ci/config/entry/`).
//!
//! Each keyword has a module of its own. Paths such as `entry/cache.rb` in the documentation are below that directory.
//! [`crate::plan`] decides which jobs run.

pub mod artifacts;
pub mod auto_cancel;
pub mod cache;
pub mod check;
mod cycles;
pub mod environment;
pub mod extent;
pub mod hooks;
pub mod id_tokens;
pub mod image;
pub mod inherit;
pub mod inheritable;
pub mod job;
pub mod job_inputs;
pub mod keywords;
mod kubernetes;
mod limits;
pub mod names;
pub mod needs;
pub mod pages;
mod paid;
pub mod parallel;
pub mod policy;
pub mod reader;
pub mod release;
pub mod retry;
pub mod root;
pub mod rules;
mod run;
pub mod runner_settings;
mod schema;
pub mod script;
pub mod secrets;
pub mod tags;
pub mod trigger;
pub mod variables;
pub mod when;

#[cfg(test)]
mod tests;
