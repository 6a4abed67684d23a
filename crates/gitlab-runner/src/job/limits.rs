//! Runs scripts with the time limits that a job's variables set, and stops scripts gracefully.

use std::time::Duration;

use tokio::time::Instant;

use super::{Attempt, AttemptError};
use crate::executor::{ScriptEnd, Session};
use crate::job_settings::{self, DurationError};

/// The timeout of `after_script` unless `RUNNER_AFTER_SCRIPT_TIMEOUT` is set.
const AFTER_SCRIPT_TIMEOUT: Duration = Duration::from_mins(5);

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

    /// The time limits of `script` and `after_script`, in that order. Both are determined before `script` runs, as in `common/build.go`
    /// (`executeUserScripts`).
    pub(super) fn script_limits(&self) -> (Option<Duration>, Duration) {
        let script = self.limit("RUNNER_SCRIPT_TIMEOUT");
        // A timeout beyond that of the job also leaves the default, in spite of the warning's words.
        (script, self.limit("RUNNER_AFTER_SCRIPT_TIMEOUT").unwrap_or(AFTER_SCRIPT_TIMEOUT))
    }

    /// The timeout that a variable sets for a script, or `None` if its default applies. Reports a timeout that is ignored.
    /// <https://docs.gitlab.com/ci/runners/configure_runners/#set-script-and-after_script-timeouts>
    fn limit(&self, variable: &str) -> Option<Duration> {
        let written = self.variables.get(variable)?;
        match limit(&written, self.deadline.saturating_duration_since(Instant::now())) {
            Ok(limit) => limit,
            Err(reason) => {
                self.log.warn(&reason.message(variable, &written));
                None
            }
        }
    }
}

/// Reads the timeout of a script. `None` means no timeout of its own. `left` is the time that is left of the job's timeout.
/// `common/build.go` (`getStageTimeoutContexts`)
fn limit(written: &str, left: Duration) -> Result<Option<Duration>, IgnoredLimit> {
    if written.trim().is_empty() {
        return Ok(None);
    }
    match job_settings::parse_duration(written) {
        Ok(limit) if limit > left => Err(IgnoredLimit::LongerThanJob),
        Ok(limit) => Ok(Some(limit).filter(|limit| !limit.is_zero())),
        Err(error) => Err(IgnoredLimit::Invalid(error)),
    }
}

/// Why the timeout that a job sets for a script has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IgnoredLimit {
    Invalid(DurationError),
    LongerThanJob,
}

impl IgnoredLimit {
    /// The warning, in GitLab Runner's words.
    fn message(self, variable: &str, written: &str) -> String {
        let kind = match self {
            Self::LongerThanJob => {
                return format!("{variable} timeout: {written} is longer than job timeout. Setting to job timeout");
            }
            Self::Invalid(DurationError::Malformed) => "malformed",
            // GitLab Runner's word for a negative duration.
            Self::Invalid(DurationError::Negative) => "relative",
        };
        format!("Ignoring {kind} {variable} timeout: {written} (write a duration such as 10m or 1h30m)")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[rstest]
    #[case::shorter_than_the_job("10m", Ok(Some(Duration::from_mins(10))))]
    #[case::as_long_as_the_job("1h", Ok(Some(HOUR)))]
    #[case::longer_than_the_job("9h", Err(IgnoredLimit::LongerThanJob))]
    #[case::zero("0", Ok(None))]
    #[case::empty("", Ok(None))]
    #[case::spaces("  ", Ok(None))]
    #[case::malformed("1day", Err(IgnoredLimit::Invalid(DurationError::Malformed)))]
    #[case::negative("-2s", Err(IgnoredLimit::Invalid(DurationError::Negative)))]
    fn a_script_gets_this_limit(#[case] written: &str, #[case] expected: Result<Option<Duration>, IgnoredLimit>) {
        assert_eq!(limit(written, HOUR), expected);
    }

    #[test]
    fn a_limit_beyond_the_job_is_reported_in_the_words_of_gitlab_runner() {
        assert_eq!(
            IgnoredLimit::LongerThanJob.message("RUNNER_SCRIPT_TIMEOUT", "9h"),
            "RUNNER_SCRIPT_TIMEOUT timeout: 9h is longer than job timeout. Setting to job timeout"
        );
    }
}
