//! What is known of a run of the story when it is over: the content of `report.json`, and all that every other report is made of.
//!
//! Times are seconds since the run began.

pub mod event;
pub mod overhead;

use serde::Serialize;

/// The lane of what is brought up.
pub const SETUP: &str = "setup";

/// The lane of images.
pub const IMAGES: &str = "images";

/// The lane of what is taken away.
pub const TAKEDOWN: &str = "takedown";

/// A run, from its first step to its last.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Record {
    /// Its number.
    pub id: String,
    /// When it began, RFC 3339.
    pub began_at: String,
    /// How long it took.
    pub took: f64,
    /// Seconds of it in which something else than the harness worked: the engine, a cluster, git, a job's script.
    pub external: f64,
    /// Seconds of it in which nothing worked but the harness itself.
    pub overhead: f64,
    /// What the harness adds to the time of all else, in percent.
    pub overhead_percent: f64,
    /// How it ended.
    pub verdict: Verdict,
    /// Why it did not get to its end, where something broke that no check and no job stands for.
    pub broken: Option<String>,
    /// What was run.
    pub project: Project,
    /// The steps of the story, in the order of their beginnings; those that were never reached are the last ones.
    pub steps: Vec<Step>,
    /// The pipelines, in the order of their beginnings.
    pub pipelines: Vec<Pipeline>,
    /// The checks, by environment.
    pub checks: Vec<Check>,
    /// Everything that took time, for the timeline.
    pub spans: Vec<Span>,
    /// The versions of all parts: what it is, and which.
    pub versions: Vec<(String, String)>,
    /// Commands to look for oneself: what one sees, and the command.
    pub commands: Vec<(String, String)>,
    /// Whether what they look at is there still, and how it comes back or goes.
    pub commands_note: String,
}

/// How a run, a step or a check ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All is as it should be.
    Passed,
    /// Something is not.
    Failed,
    /// It was not done: what it needs was not given, or something before it failed.
    #[default]
    NotRun,
    /// Somebody ended it.
    Interrupted,
}

/// What was run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Project {
    /// Its path: `group/project`.
    pub path: String,
    /// The commit's whole hash.
    pub commit: String,
    /// The first line of its message.
    pub title: String,
    /// Changes that are not committed, and so were not run.
    pub uncommitted: usize,
}

/// A step of the story: `A push to feature/e2e`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Step {
    /// What happens.
    pub name: String,
    /// How it ended.
    pub verdict: Verdict,
    /// When it began.
    pub start: f64,
    /// How long it took.
    pub took: f64,
    /// What came of it, or why it failed, in one line.
    pub outcome: String,
}

/// A pipeline.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Pipeline {
    /// Its number.
    pub id: u64,
    /// What it was for: `a push to feature/e2e`, `play deploy_live`.
    pub title: String,
    /// The branch or tag.
    pub ref_name: String,
    /// Whether it is a tag.
    pub is_tag: bool,
    /// GitLab's word for how it stands: `success`, `failed`, `manual`, …
    pub status: String,
    /// When it began.
    pub start: f64,
    /// How long it took.
    pub took: f64,
    /// The stages that have jobs, in their order.
    pub stages: Vec<String>,
    /// The jobs, by stage, each as it was the last time.
    pub jobs: Vec<Job>,
}

/// A job.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Its stage.
    pub stage: String,
    /// GitLab's word for how it ended: `success`, `failed`, `manual`, `skipped`, `canceled`, `created`.
    pub status: String,
    /// Whether its failure counts.
    pub allow_failure: bool,
    /// When it began; nothing if it never ran.
    pub start: Option<f64>,
    /// How long it took.
    pub took: f64,
    /// How often it was tried.
    pub attempts: usize,
    /// What it did when, by the runner's names: `get_sources`, `restore_cache`, `step_script`, … Of the last time only.
    pub steps: Vec<JobStep>,
    /// The jobs it waits for; nothing where all earlier stages decide.
    pub needs: Option<Vec<String>>,
    /// The environment that it deploys to.
    pub environment: Option<String>,
    /// Where its environment is reached.
    pub environment_url: Option<String>,
    /// Why it ended so; empty where there is nothing to say.
    pub why: String,
    /// Its log, relative to the report's folder where that is possible.
    pub log: Option<String>,
    /// The last lines of a job that failed.
    pub last_lines: Vec<String>,
}

/// A step of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct JobStep {
    /// The runner's name of it.
    pub name: String,
    /// When it began.
    pub start: f64,
    /// How long it took, until the next one began.
    pub took: f64,
}

/// A check of one environment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Check {
    /// Its name: `readiness`.
    pub name: String,
    /// The environment: `dev`.
    pub environment: String,
    /// What it proves, in one line.
    pub proves: String,
    /// How it ended.
    pub verdict: Verdict,
    /// When it began.
    pub start: f64,
    /// How long it took.
    pub took: f64,
    /// What was seen, a line each.
    pub evidence: Vec<String>,
    /// Why it was not run; empty if it was.
    pub not_run: String,
    /// Why it failed.
    pub failure: Option<Failure>,
}

/// Why a check failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What should have been.
    pub expected: String,
    /// What was.
    pub seen: String,
    /// What it was seen at: `Deployment gitlab/gitlab-k8s-demo-dev`.
    pub object: String,
    /// Its events and its last log lines.
    pub details: Vec<String>,
    /// The likely cause.
    pub cause: String,
    /// What to do about it, as the article would.
    pub fix: String,
}

/// Something that took time.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Span {
    /// Where in the timeline: `setup`, `images`, `pipeline 12`, `checks dev`, `load`.
    pub lane: String,
    /// What: `cluster`, `compile`, `readiness`.
    pub name: String,
    /// When it began.
    pub start: f64,
    /// When it ended.
    pub end: f64,
    /// How it ended.
    pub verdict: Verdict,
}
