//! Running a pipeline: what GitLab's server and its runner do together.
//!
//! - [`pipeline`]: all jobs. [`job`]: one of them. [`variables`] and [`late`]: what it has.
//! - [`concurrent`]: what jobs at the same time are told apart by. [`status`]: how jobs stand, and what that makes of them together.
//! - [`schedule`]: which job may start when.
//! - [`event`]: what goes on. [`log`]: what a job writes.
//! - [`script`]: a job's commands as one text for a shell.
//! - [`sources`], [`copy`] and [`restore`]: what a job begins with. [`selection`] and [`archive`]: files that it takes over and leaves behind.
//! - [`artifacts`], [`junit`] and [`cache`]: what is done with those. [`resource_group`]: what only one may have.
//! - [`slot`]: how many run.
//! - [`workspace`]: where all that is kept.
//! - [`executor`]: where it runs. [`process_group`]: what a program has started, too.

pub mod artifacts;
pub mod config;
pub mod context;
pub mod deferred;
pub mod event;
pub mod executor;
pub mod job;
pub mod log;
pub mod mask;
pub mod pipeline;
pub mod process_group;
pub mod project;
pub mod status;
pub mod variables;
pub mod workspace;
