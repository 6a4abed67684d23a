//! Running a pipeline: what GitLab's server and its runner do together.
//!
//! - [`status`]: how jobs stand, and what that makes of them together.
//! - [`schedule`]: which job may start when.
//! - [`event`]: what goes on. [`log`]: what a job writes.
//! - [`script`]: a job's commands as one text for a shell.
//! - [`sources`]: what a job begins with. [`selection`] and [`archive`]: files that it takes over and leaves behind.
//! - [`executor`]: where it runs. [`runner_config`]: how that is set up.

pub mod archive;
pub mod event;
pub mod executor;
pub mod log;
pub mod runner_config;
pub mod schedule;
pub mod script;
pub mod selection;
pub mod sources;
pub mod status;

#[cfg(test)]
mod testing;
