//! Runs scripts with the time limits that a job's variables set, and stops scripts gracefully.

use std::time::Duration;

use super::{Attempt, AttemptError};
use crate::executor::{ScriptEnd, Session};
use crate::job_settings::{self, DurationError};

impl Attempt<'_> {
    /// Stops the script. After SIGTERM, a script of the shell executor has `graceful_kill_timeout`, by default ten minutes, and any other
    /// script has five seconds. If the pipeline is canceled meanwhile, the shell executor also allows only five seconds.
    pub(super) async fn stop_gracefully(&self, session: &mut Session) {
        tokio::select! {
            () = session.stop(true) => {}
            () = self.pipeline.cancel.cancelled() => session.stop(false).await,
        }
    }

    /// Runs a script and returns its end. Stops it after `limit` and returns `None`.
    pub(super) async fn run_for(
        &self,
        session: &mut Session,
        script: &str,
        limit: Option<Duration>,
    ) -> Result<Option<ScriptEnd>, AttemptError> {
        let run = self.within(session.run(script, &self.log));
        let Some(limit) = limit else { return run.await.map(Some) };
        if let Ok(ended) = tokio::time::timeout(limit, run).await {
            return ended.map(Some);
        }
        self.stop_gracefully(session).await;
        Ok(None)
    }

    /// The timeout that a variable sets for a script, or `None` if the variable is not set, invalid or zero.
    /// <https://docs.gitlab.com/ci/runners/configure_runners/#set-script-and-after_script-timeouts>
    pub(super) fn limit(&self, variable: &str) -> Option<Duration> {
        let written = self.variables.get(variable).filter(|written| !written.is_empty())?;
        let limit = job_settings::parse_duration(&written);
        let kind = match limit {
            Ok(_) => "",
            Err(DurationError::Malformed) => "malformed",
            // GitLab Runner's word for a negative duration.
            Err(DurationError::Negative) => "relative",
        };
        if !kind.is_empty() {
            self.log.warn(&format!(
                "Ignoring {kind} {variable} timeout: {written} (write a duration such as 10m or 1h30m)"
            ));
        }
        limit.ok().filter(|limit| !limit.is_zero())
    }
}
