#![doc = include_str!("../README.md")]
//!
//! # Running a pipeline
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use gitlab_runner::config::RunnerConfig;
//! use gitlab_runner::pipeline::assemble::{PipelineDirs, Options};
//! use gitlab_runner::pipeline::schedule::JobSelection;
//! use gitlab_runner::project::input::Input;
//! use gitlab_runner::project::prepare::prepare;
//! use gitlab_runner::project::reference::Reference;
//! use tokio_util::sync::CancellationToken;
//!
//! async fn run() -> Result<(), Box<dyn std::error::Error>> {
//!     // `.gitlab-ci.yml` of the current directory, for the branch that is checked out.
//!     let (input, reference) = (Input::default(), Reference::from_checkout());
//!     let prepared = prepare(&input, input.project_variables()?, &reference, &|note| eprintln!("{note}"))?;
//!
//!     let dirs = PipelineDirs::new(prepared.repository.dir(), RunnerConfig::default())?;
//!     let options = Options {
//!         concurrency: Some(2),
//!         logs: None,
//!         artifacts_limit: None,
//!         has_worktree: reference.worktree,
//!         deferred: None,
//!         notify: Arc::new(|event| println!("{event:?}")),
//!         cancel: CancellationToken::new(),
//!     };
//!     let pipeline = dirs.pipeline(prepared, dirs.shell(None), options)?;
//!
//!     let outcome = pipeline.run(&JobSelection::default()).await;
//!     println!("pipeline {}", outcome.status.name());
//!     Ok(())
//! }
//! ```
//!
//! # Modules
//!
//! In dependency order; each module uses only those before it, except that [`context`] uses `pipeline::concurrent`.
//!
//! 1. [`mask`] masks secrets. [`status`] has the statuses of jobs and their composition. [`process_group`] ends a program together
//!    with the processes that it started.
//! 2. [`event`] has the events of a pipeline, [`log`] writes a job's log.
//! 3. [`project`] reads the repository and the pipeline file, and builds the plan. [`workspace`] has the directories, checkouts and
//!    archives.
//! 4. [`variables`] expands a job's variables. [`deferred`] has variables whose values become known later. [`artifacts`] has
//!    artifacts, reports and caches.
//! 5. [`config`] reads the runner configuration. [`executor`] runs scripts on this machine, in containers or in pods.
//! 6. [`context`] has the data of a pipeline to run, [`job`] runs an attempt of a job, and [`pipeline`] runs all jobs.

#![warn(missing_docs, clippy::missing_errors_doc)]

pub mod artifacts;
pub mod config;
pub mod context;
pub mod deferred;
pub mod event;
pub mod executor;
pub mod job;
mod job_settings;
pub mod log;
pub mod mask;
pub mod pipeline;
pub mod process_group;
#[cfg(target_os = "linux")]
mod processes;
pub mod project;
pub mod status;
pub mod variables;
pub mod workspace;
