//! The record of a finished run: the content of `report.json`, and the input of all other reports.
//!
//! Times are seconds since the start of the run.
//!
//! The form of these documents is published (`docs/report.schema.json`, `--format json`), so the names of fields in JSON stay: where the
//! code uses another word, `#[serde(rename)]` keeps the published one.

pub mod check_report;
pub mod event;
pub mod overhead;

use serde::{Deserialize, Serialize};

/// The lane of the setup.
pub const SETUP: &str = "setup";

/// The lane of images.
pub const IMAGES: &str = "images";

/// The lane of the cleanup.
pub const TAKEDOWN: &str = "takedown";

/// A run, from its first step to its last.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Record {
    /// The run's ID.
    pub id: String,
    /// Start time, RFC 3339.
    pub began_at: String,
    /// Duration of the run.
    #[serde(rename = "took")]
    pub duration: f64,
    /// Seconds in which an external program was active: the engine, a cluster, git, or a job's script.
    pub external: f64,
    /// Seconds in which only the harness itself was active.
    pub overhead: f64,
    /// `overhead` in percent of `external`.
    pub overhead_percent: f64,
    /// The run's result.
    pub verdict: Verdict,
    /// Why the run did not complete, if the reason is not a failed check or job.
    pub broken: Option<String>,
    /// The project and commit that were run.
    pub project: Project,
    /// The steps of the scenario in order of their start; steps that were not reached come last.
    pub steps: Vec<Step>,
    /// The pipelines in order of their start.
    pub pipelines: Vec<Pipeline>,
    /// The checks, by environment.
    pub checks: Vec<Check>,
    /// All activities, for the timeline.
    pub spans: Vec<Span>,
    /// The versions of all components: the component's name and its version.
    pub versions: Vec<(String, String)>,
    /// Commands for inspecting the result: a description and the command.
    pub commands: Vec<(String, String)>,
    /// Whether the inspected resources still exist, and how to keep or remove them.
    pub commands_note: String,
}

/// The result of a run, a step or a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything is as expected.
    Passed,
    /// Something is not as expected.
    Failed,
    /// It did not run, because an input is missing or an earlier step failed.
    #[default]
    NotRun,
    /// The user interrupted it.
    Interrupted,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Passed, Self::Failed, Self::NotRun, Self::Interrupted];

    /// The name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotRun => "not_run",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether it ran, and did not pass.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Interrupted)
    }
}

/// The project and commit of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Project {
    /// The project's path: `group/project`.
    pub path: String,
    /// The commit's full hash.
    pub commit: String,
    /// The first line of the commit message.
    pub title: String,
    /// Number of files with uncommitted changes, which were not run.
    pub uncommitted: usize,
}

/// A step of the scenario, for example `A push to feature/e2e`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Step {
    /// The step's name.
    pub name: String,
    /// The result.
    pub verdict: Verdict,
    /// Start time.
    pub start: f64,
    /// Duration.
    #[serde(rename = "took")]
    pub duration: f64,
    /// The outcome, or the reason of the failure, in one line.
    pub outcome: String,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Pipeline {
    /// The pipeline's number.
    pub id: u64,
    /// Its trigger: `a push to feature/e2e`, `play deploy_live`.
    pub title: String,
    /// The branch or tag.
    pub ref_name: String,
    /// Whether it is a tag.
    pub is_tag: bool,
    /// The pipeline's status in GitLab's terms: `success`, `failed`, `manual`, …
    pub status: String,
    /// Start time.
    pub start: f64,
    /// Duration.
    #[serde(rename = "took")]
    pub duration: f64,
    /// The stages that have jobs, in order.
    pub stages: Vec<String>,
    /// The jobs by stage, each with its last attempt.
    pub jobs: Vec<Job>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Job {
    /// The job's name.
    pub name: String,
    /// The job's stage.
    pub stage: String,
    /// The job's status in GitLab's terms: `success`, `failed`, `manual`, `skipped`, `canceled`, `created`.
    pub status: String,
    /// Whether the job is allowed to fail without failing the pipeline.
    pub allow_failure: bool,
    /// Start time, or `None` if it did not run.
    pub start: Option<f64>,
    /// Duration.
    #[serde(rename = "took")]
    pub duration: f64,
    /// Number of attempts.
    pub attempts: usize,
    /// The runner's steps of the last attempt: `get_sources`, `restore_cache`, `step_script`, …
    pub steps: Vec<JobStep>,
    /// The jobs that it waits for, or `None` if it waits for all earlier stages.
    pub needs: Option<Vec<String>>,
    /// The environment that it deploys to.
    pub environment: Option<String>,
    pub environment_url: Option<String>,
    /// The reason of its status, or empty.
    #[serde(rename = "why")]
    pub reason: String,
    /// The path of its log, relative to the report's directory if possible.
    pub log: Option<String>,
    /// The last log lines of a failed job.
    pub last_lines: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct JobStep {
    /// The runner's name of the step.
    pub name: String,
    /// Start time.
    pub start: f64,
    /// Duration until the start of the next step.
    #[serde(rename = "took")]
    pub duration: f64,
}

/// A check of one environment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Check {
    /// The check's name, for example `readiness`.
    pub name: String,
    /// The environment, for example `dev`.
    pub environment: String,
    /// The claim that it verifies, in one line.
    pub proves: String,
    /// The result.
    pub verdict: Verdict,
    /// Start time.
    pub start: f64,
    /// Duration.
    #[serde(rename = "took")]
    pub duration: f64,
    /// The observations of the check, one sentence per line.
    pub evidence: Vec<String>,
    /// Why it did not run; empty if it ran.
    pub not_run: String,
    /// The failure, if it failed.
    pub failure: Option<Failure>,
}

/// Why a check failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The expected state.
    pub expected: String,
    /// The actual state.
    pub seen: String,
    /// The object in that state, for example `Deployment gitlab/gitlab-k8s-demo-dev`.
    #[serde(default)]
    pub object: String,
    /// Details, such as the events and last log lines of the object.
    #[serde(default)]
    pub details: Vec<String>,
    /// The cause.
    #[serde(default)]
    pub cause: String,
    /// Whether the cluster shows the cause. Otherwise it is only likely.
    #[serde(default)]
    pub is_seen: bool,
    /// The remedy.
    #[serde(default)]
    pub fix: String,
    /// Whether other requests of the check have succeeded before.
    #[serde(skip)]
    pub is_after_success: bool,
}

impl Failure {
    /// The failure in one sentence.
    pub fn sentence(&self) -> String {
        format!("expected {}, actual: {}", self.expected, self.seen)
    }
}

/// An activity in the timeline.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Span {
    /// The lane in the timeline: `setup`, `images`, `pipeline 12`, `checks dev`, `load`.
    pub lane: String,
    /// The activity's name: `cluster`, `compile`, `readiness`.
    pub name: String,
    /// Start time.
    pub start: f64,
    /// End time.
    pub end: f64,
    /// The result.
    pub verdict: Verdict,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_has_its_name_in_documents() {
        for verdict in Verdict::ALL {
            assert_eq!(serde_json::json!(verdict), verdict.name());
        }
    }
}
