//! Plans the pipeline of a ref: which jobs it contains, and why.
//!
//! - [`context`]: the ref and the event. [`predefined`]: the variables that GitLab computes from them. `tier`: those of environments.
//!   [`runtime`]: those that are known only when a job runs.
//! - [`admission`]: `rules`, `only` and `except` decide whether a job is in the pipeline.
//! - [`job_index`]: addresses of its jobs.
//! - [`instances`]: `parallel`, and the needs between instances.
//! - [`job_variables`]: the variables of a job's rules, texts and runner.
//! - [`build`]: creates the plan. [`error`]: why GitLab would not create the pipeline.

pub mod admission;
pub mod build;
pub mod commit;
pub mod context;
pub mod error;
pub mod instances;
pub mod job_index;
pub mod job_variables;
pub mod predefined;
pub mod runtime;
mod tier;

use std::sync::Arc;
use std::time::Duration;

use self::admission::Reason;
use self::context::Context;
use crate::config::environment::Action;
use crate::config::job::Job;
use crate::config::when::{AllowFailure, When};
use crate::variables::collection::{Collection, Variable};

/// A pipeline as GitLab would create it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The ref and the event of the pipeline.
    pub context: Context,
    /// The name from `workflow:name`, if it has one.
    pub name: Option<String>,
    /// The stages that have jobs, in order.
    pub stages: Vec<Arc<str>>,
    /// The jobs, ordered by stage and then as they are written in the file.
    pub jobs: Vec<PlannedJob>,
    /// The jobs that are not in the pipeline.
    pub skipped: Vec<Skipped>,
}

/// A job of a pipeline.
#[derive(Clone, Debug)]
pub struct PlannedJob {
    /// The name. That of an instance contains its values or its number: `job: [a, b]`, `job 1/2`.
    pub name: Arc<str>,
    /// The keywords of the job.
    pub job: Arc<Job>,
    /// When the job runs.
    pub when: When,
    /// The delay of a delayed job.
    pub start_in: Option<Duration>,
    /// Whether the job may fail.
    pub allow_failure: AllowFailure,
    /// The jobs that must finish before this one. `None` if the stages decide.
    pub needs: Option<Vec<PlannedNeed>>,
    /// The environment, expanded.
    pub environment: Option<PlannedEnvironment>,
    /// The image, expanded with the variables that the server knows. The runner expands the others.
    pub image: Option<String>,
    /// The resource group, expanded.
    pub resource_group: Option<String>,
    /// The number of the instance, from 1, and the number of instances. `None` for a job that is not parallel.
    pub node: Option<(usize, usize)>,
    /// All variables of the job that the server knows, before expansion. The runner adds its own and those from dotenv
    /// reports.
    pub variables: Collection,
    /// Why the job is in the pipeline.
    pub reason: Reason,
    /// Why GitLab creates the job as failed, so that it never runs: `environment_creation_failure`.
    pub failure: Option<String>,
}

impl PlannedJob {
    /// Expands a text with the variables of the job and `more`. Returns `None` if variables form a cycle or a value
    /// becomes too large.
    pub fn expand_with(&self, text: &str, more: &[Variable]) -> Option<String> {
        let mut variables = Collection::default();
        for variable in self.variables.iter().map(|(variable, _)| variable).chain(more) {
            variables.add(variable.clone());
        }
        variables.expand_all().ok()?.expand(text).ok()
    }
}

/// A job that another job needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedNeed {
    /// The name in the pipeline.
    pub name: Arc<str>,
    /// Whether its artifacts are downloaded.
    pub artifacts: bool,
}

/// The environment of a job, expanded.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PlannedEnvironment {
    /// The name.
    pub name: String,
    /// The slug: `CI_ENVIRONMENT_SLUG`.
    pub slug: String,
    /// The deployment tier: `production`, `staging` and others.
    pub tier: String,
    /// The URL.
    pub url: Option<String>,
    /// The effect of the job on the environment.
    pub action: Action,
    /// The name of the job that stops the environment.
    pub on_stop: Option<String>,
}

/// A job that is not in the pipeline.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// The name of the job in the file.
    pub job: Arc<str>,
    /// The name of the job or the instance.
    pub name: Arc<str>,
    /// Why the job is not in the pipeline.
    pub reason: Reason,
}

#[cfg(test)]
pub(crate) mod tests;
