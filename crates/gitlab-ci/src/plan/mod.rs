//! What would run for a ref, and why.
//!
//! - [`context`]: the ref, and how the pipeline came about. [`predefined`]: the variables that GitLab computes from that.
//! - [`admission`]: whether a job is in the pipeline: `rules`, `only`, `except`.
//! - [`instances`]: `parallel`, and what needs what.
//! - [`knowledge`]: what a job's rules, texts and runner know. [`build`]: all of it, top to bottom. [`refusal`]: why not.

pub mod admission;
pub mod build;
pub mod commit;
pub mod context;
pub mod instances;
pub mod knowledge;
pub mod predefined;
pub mod refusal;

use std::sync::Arc;
use std::time::Duration;

use self::admission::Reason;
use self::context::Context;
use crate::config::environment::Action;
use crate::config::job::Job;
use crate::config::when::AllowFailure;
use crate::config::when::When;
use crate::variables::collection::Collection;
use crate::variables::collection::Variable;

/// A pipeline as it would be created.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it is for.
    pub context: Context,
    /// Its name, if `workflow:name` gives one.
    pub name: Option<String>,
    /// The stages that have jobs, in their order.
    pub stages: Vec<Arc<str>>,
    /// Its jobs: by stage, and within one in the order of writing.
    pub jobs: Vec<PlannedJob>,
    /// The jobs that are not in it.
    pub skipped: Vec<Skipped>,
}

/// A job of a pipeline.
#[derive(Clone, Debug)]
pub struct PlannedJob {
    /// Its name, of an instance with its values: `job: [a, b]`.
    pub name: Arc<str>,
    /// Its keywords.
    pub job: Arc<Job>,
    /// When it runs.
    pub when: When,
    /// How long it waits before, if it is delayed.
    pub start_in: Option<Duration>,
    /// Whether its failure counts.
    pub allow_failure: AllowFailure,
    /// The jobs that it waits for; nothing where all earlier stages decide.
    pub needs: Option<Vec<PlannedNeed>>,
    /// Where it deploys to.
    pub environment: Option<PlannedEnvironment>,
    /// Its image as far as the server can tell: what it does not know stays for the runner, which expands it itself.
    pub image: Option<String>,
    /// Its resource group, expanded.
    pub resource_group: Option<String>,
    /// Its number among its instances and their count.
    pub node: Option<(usize, usize)>,
    /// Every variable that it has, as far as the server knows them, before expansion: a runner adds its own, and what
    /// other jobs report.
    pub variables: Collection,
    /// Why it is in the pipeline.
    pub reason: Reason,
}

impl PlannedJob {
    /// Expands a text with the job's variables and some more; nothing where a text grows too much.
    pub fn expand_with(&self, text: &str, more: &[Variable]) -> Option<String> {
        let mut variables = Collection::default();
        for variable in self.variables.iter().map(|(variable, _)| variable).chain(more) {
            variables.add(variable.clone());
        }
        variables.expand_all().ok()?.expand(text).ok()
    }
}

/// A job that another one waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedNeed {
    /// Its name in the pipeline.
    pub name: Arc<str>,
    /// Whether its artifacts are taken over.
    pub artifacts: bool,
}

/// An environment, expanded.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PlannedEnvironment {
    /// Its name.
    pub name: String,
    /// Its slug.
    pub slug: String,
    /// What it is for: `production`, `staging`, …
    pub tier: String,
    /// Where it is reached.
    pub url: Option<String>,
    /// What the job does with it.
    pub action: Action,
    /// The job that stops it.
    pub on_stop: Option<String>,
}

/// A job that is not in the pipeline.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// The job's name in the file.
    pub job: Arc<str>,
    /// Its name, of an instance with its values.
    pub name: Arc<str>,
    /// Why.
    pub reason: Reason,
}

#[cfg(test)]
pub(crate) mod tests;
