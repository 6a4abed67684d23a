//! The tag: its pipeline, whoever asks for the job that deploys, and the checks on what that has deployed.

use std::sync::Arc;

use tokio::sync::{Notify, oneshot};

use super::proofs::checked;
use super::recorder::Recorder;
use super::replay::{Environment, Ref, ReplayError, Replayer};
use super::{Stop, Story};
use crate::checks::subject::Subject;

/// What is told of it, beside what is told of the branch.
pub(super) struct Tagged<'story> {
    pub(super) story: &'story Story,
    pub(super) recorder: &'story Arc<Recorder>,
    /// It ends when the branch's pipeline does not pass.
    pub(super) replayer: Replayer,
    pub(super) live: &'story Environment,
}

impl Tagged<'_> {
    /// Tells it, from when it may begin. `deployed` is the environment, once the branch's pipeline has passed: nobody would ask for
    /// the deployment before. `has_learnt` hears when nothing is to be learnt from what it has deployed any more. Returns the checks
    /// that failed.
    pub(super) async fn tell(
        &self,
        may_begin: &Notify,
        deployed: oneshot::Receiver<Subject>,
        has_learnt: oneshot::Sender<()>,
    ) -> Result<Vec<String>, Stop> {
        tokio::select! {
            biased;
            () = self.replayer.cancel.cancelled() => return Err(self.ended()),
            () = may_begin.notified() => {}
        }
        self.run(&step(&self.replayer), "tag", &[]).await?;
        let Ok(on_live) = deployed.await else { return Err(self.ended()) };
        if self.live.is_manual {
            let job = &self.live.job;
            self.run(&play_step(self.live), &format!("play {job}"), &[Arc::clone(job)]).await?;
        }
        checked(self.story, self.recorder, &on_live, has_learnt).await
    }

    async fn run(&self, step: &str, title: &str, only: &[Arc<str>]) -> Result<(), Stop> {
        let work = async {
            match self.replayer.run(Ref::Tag, title, only).await {
                Ok((_, verdict)) => Ok(((), verdict)),
                Err(ReplayError::Interrupted) => Err(self.ended()),
                Err(error) => Err(error.into()),
            }
        };
        self.recorder.step(step, work).await
    }

    fn ended(&self) -> Stop {
        if self.story.cancel.is_cancelled() { Stop::Interrupted } else { Stop::Overtaken }
    }
}

/// Its pipeline.
pub(super) fn step(replayer: &Replayer) -> String {
    format!("Tag {}", replayer.project.tag)
}

/// The job of it that deploys, if that waits for somebody.
pub(super) fn play_step(live: &Environment) -> String {
    format!("{} is played", live.job)
}
