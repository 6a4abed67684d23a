//! The tag's part of a run: its pipeline, its manual deployment, and the checks of what was deployed.

use std::sync::Arc;

use super::definition::{Ref, ReplayError, Scenario, ScenarioError};
use super::environment_checks;
use super::milestone::{Milestone, Reach};
use super::recorder::Recorder;
use super::replay::{EnvironmentJobs, Replayer};
use crate::checks::environment::Environment;

/// The inputs of the part.
pub(super) struct Tag<'run> {
    pub(super) scenario: &'run Scenario,
    pub(super) recorder: &'run Arc<Recorder>,
    /// Runs the tag's pipeline. Canceled if the branch's deployment fails.
    pub(super) replayer: Replayer,
    pub(super) live: &'run EnvironmentJobs,
    /// Reached when the branch's jobs that need neither registry nor cluster have ended.
    pub(super) is_compiled: Milestone<()>,
    /// Reached when the branch is deployed; its value is the environment that the tag is deployed to.
    pub(super) is_deployed: Milestone<Environment>,
    /// Reached when no check observes that environment any more.
    pub(super) observed: Reach<()>,
}

impl Tag<'_> {
    /// Runs the part, and returns the checks that failed.
    pub(super) async fn run(self) -> Result<Vec<String>, ScenarioError> {
        tokio::select! {
            biased;
            () = self.replayer.cancel.cancelled() => return Err(self.canceled()),
            _ = self.is_compiled.reached() => {}
        }
        self.replay(&step(&self.replayer), "tag", &[]).await?;
        // Like a user, deploy the tag only after the branch is deployed.
        let Some(on_live) = self.is_deployed.reached().await else { return Err(self.canceled()) };
        if self.live.is_manual {
            let job = &self.live.job;
            self.replay(&play_step(self.live), &format!("play {job}"), &[Arc::clone(job)]).await?;
        }
        environment_checks::check(self.scenario, self.recorder, &on_live, self.observed).await
    }

    async fn replay(&self, step: &str, title: &str, only: &[Arc<str>]) -> Result<(), ScenarioError> {
        let work = async {
            match self.replayer.run(Ref::Tag, title, only).await {
                Ok((_, verdict)) => Ok(((), verdict)),
                Err(ReplayError::Interrupted) => Err(self.canceled()),
                Err(error) => Err(error.into()),
            }
        };
        self.recorder.step(step, work).await
    }

    fn canceled(&self) -> ScenarioError {
        if self.scenario.cancel.is_cancelled() { ScenarioError::Interrupted } else { ScenarioError::BranchFailed }
    }
}

/// The name of the step that runs the tag's pipeline.
pub(super) fn step(replayer: &Replayer) -> String {
    format!("Tag {}", replayer.project.tag)
}

/// The name of the step that starts the tag's manual job.
pub(super) fn play_step(live: &EnvironmentJobs) -> String {
    format!("{} is played", live.job)
}
