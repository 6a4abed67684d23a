//! From a ref of a repository to the plan of its pipeline.
//!
//! - [`git`]: the repository. [`changes`]: changed files, for `rules:changes`.
//! - [`input`]: the pipeline file, its includes, and the variables of the project and of the pipeline.
//! - [`mod@reference`]: the ref that the pipeline is for.
//! - [`prepare`]: combines these into a plan. [`notes`]: what a user should know about it.

pub mod changes;
pub mod git;
pub mod input;
pub mod notes;
pub mod prepare;
pub mod reference;
