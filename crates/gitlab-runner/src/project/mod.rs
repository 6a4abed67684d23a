//! From a ref of a repository to its pipeline, ready to be run.
//!
//! - [`input`]: the file, what it includes, and variables from outside. [`mod@reference`]: what the pipeline is for.
//! - [`prepare`]: both together, up to a plan.
//! - [`assemble`]: a plan, and where it runs.

pub mod changes;
pub mod git;
pub mod input;
pub mod prepare;
pub mod reference;
