//! The first step of a job: its checkout.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Attempt, AttemptError, failed};
use crate::executor::{ExecutorError, FailureReason, ScriptEnd, Session};
use crate::workspace::checkout::Shape;
use crate::workspace::fetch;
use crate::workspace::job_dirs::JobDirs;
use crate::workspace::submodules::{self, Strategy, Submodules};
use gitlab_ci::config::runner_settings::parse_bool;
use gitlab_ci::config::variables::is_shell_name;

/// The default of `GIT_DEPTH`, as for a new project in GitLab.
const DEFAULT_DEPTH: u32 = 20;

/// The files in a job's checkout that git tracks.
pub(super) type Tracked = Arc<HashSet<String>>;

impl Attempt<'_> {
    pub(super) async fn get_sources(
        &mut self,
        session: &mut Session,
        job_dirs: &JobDirs,
    ) -> Result<Tracked, AttemptError> {
        let _section = self.log.section("get_sources", "Getting source from Git repository");
        self.warn_of_settings();
        self.check_names()?;
        let attempts = self.attempts()?;
        let mut attempt = 1;
        loop {
            match self.try_get_sources(session, job_dirs).await {
                // `common/build.go` (`attemptExecuteStage`), `shells/abstract.go`
                Err(AttemptError::Failed { message, .. }) if attempt < attempts => {
                    self.log.say(&message);
                    self.log.warn("Retrying...");
                    self.log.say("Deleting tracked and untracked files...");
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// The number of attempts to get the sources.
    fn attempts(&self) -> Result<i64, AttemptError> {
        let written = self.variables.get("GET_SOURCES_ATTEMPTS");
        let attempts = written.and_then(|written| written.parse().ok()).unwrap_or(1);
        if (1..=10).contains(&attempts) {
            return Ok(attempts);
        }
        let message = "number of attempts out of the range [1, 10] for stage: get_sources";
        Err(failed(FailureReason::RunnerSystemFailure, &message))
    }

    /// Runs `hooks:pre_get_sources_script` in the directory above the project directory. `shells/abstract.go`
    /// (`guardGetSourcesScriptHooks`)
    async fn run_hook(&mut self, session: &mut Session, job_dirs: &JobDirs) -> Result<(), AttemptError> {
        let commands: Vec<&str> =
            self.planned.job.pre_get_sources_script.iter().map(|command| &*command.value).collect();
        if commands.is_empty() {
            return Ok(());
        }
        // The directories must exist, but without files of an earlier job.
        self.within(session.put_sources(None)).await?;
        let script = self.script(&job_dirs.builds, job_dirs, &commands, self.variables.list());
        let end = self.within(session.run(&script, &self.log)).await?;
        if end == ScriptEnd::Code(0) {
            return Ok(());
        }
        Err(self.script_failure(end))
    }

    async fn try_get_sources(&mut self, session: &mut Session, job_dirs: &JobDirs) -> Result<Tracked, AttemptError> {
        let strategy = self.variables.get("GIT_STRATEGY").unwrap_or_default();
        if matches!(strategy.as_str(), "none" | "empty") {
            self.log.say("Skipping Git repository setup");
            self.within(session.put_sources(None)).await?;
            return Ok(Tracked::default());
        }
        if !matches!(strategy.as_str(), "" | "fetch" | "clone") {
            self.log.warn(&format!(
                "GIT_STRATEGY: expected either 'clone', 'fetch', 'none' or 'empty' got {strategy:?}, using default value 'fetch'"
            ));
        }
        if self.variables.get("GIT_CLONE_PATH").is_some_and(|path| !path.is_empty()) {
            self.log.warn("GIT_CLONE_PATH is not supported: the checkout is in CI_PROJECT_DIR");
        }
        let is_new = strategy == "clone" || !session.has_repository();
        self.run_hook(session, job_dirs).await?;
        let shape = self.shape()?;
        // `shells/abstract.go` (`writeRefspecFetchCmd`)
        self.log.say(&fetching(shape.depth));
        if is_new {
            self.log.say("Created fresh repository.");
        }
        let context = &self.pipeline.plan.context;
        let checkout = async {
            let checkout = self.pipeline.sources.checkout(&shape).await;
            // GitLab Runner reports it as a failure of the script, because its git runs in a script of the job: `common/build.go`
            let reason = |is_unreachable| {
                if is_unreachable { FailureReason::ScriptFailure } else { FailureReason::RunnerSystemFailure }
            };
            checkout.map_err(|error| ExecutorError { reason: reason(error.is_unreachable), message: error.to_string() })
        };
        let checkout = match self.within(checkout).await {
            Err(AttemptError::Failed { reason: FailureReason::ScriptFailure, message, .. }) => {
                // git would have written everything but the submodules. The artifacts of a failed job may need these files.
                let shape = Shape { submodules: Submodules::default(), ..shape };
                let checkout = async {
                    let checkout = self.pipeline.sources.checkout(&shape).await;
                    checkout.map_err(|error| ExecutorError::system(error.to_string()))
                };
                let checkout = self.within(checkout).await?;
                self.within(session.put_sources(Some(&checkout))).await?;
                self.has_sources = true;
                return Err(AttemptError::Failed { reason: FailureReason::ScriptFailure, code: Some(1), message });
            }
            checkout => checkout?,
        };
        if shape.has_files {
            let short = context.commit.sha.get(..8).unwrap_or_default();
            self.log.say(&format!("Checking out {short} as detached HEAD (ref is {})...", context.ref_name));
        } else {
            self.log.say("Skipping Git checkout");
        }
        self.within(session.put_sources(Some(&checkout))).await?;
        if shape.submodules.strategy == Strategy::None {
            self.log.say("Skipping Git submodules setup");
        }
        Ok(Arc::clone(&checkout.tracked))
    }

    /// Reports settings whose values are neither true nor false. `common/build_settings.go` (`validate`)
    fn warn_of_settings(&self) {
        let settings = [
            ("AFTER_SCRIPT_IGNORE_ERRORS", true),
            ("CI_DEBUG_SERVICES", false),
            ("CI_DEBUG_TRACE", false),
            ("GIT_CHECKOUT", true),
        ];
        for (name, default) in settings {
            let value = self.variables.get(name).filter(|value| !value.is_empty());
            if let Some(value) = value.filter(|value| parse_bool(value).is_none()) {
                self.log.warn(&format!("{name}: expected bool got {value:?}, using default value: {default}"));
            }
        }
    }

    /// A shell cannot export every name of a variable.
    fn check_names(&self) -> Result<(), AttemptError> {
        match self.variables.list().iter().find(|variable| !is_shell_name(&variable.key)) {
            Some(wrong) => Err(self.not_an_identifier(&wrong.key)),
            None => Ok(()),
        }
    }

    /// The options of the checkout. Options of git that cannot be passed on are reported in the log.
    fn shape(&self) -> Result<Shape, AttemptError> {
        let get = |name: &str| self.variables.get(name).unwrap_or_default();
        let strategy = match get("GIT_SUBMODULE_STRATEGY").as_str() {
            "normal" => Strategy::Normal,
            "recursive" => Strategy::Recursive,
            "" | "none" => Strategy::None,
            other => {
                let message = format!("unknown GIT_SUBMODULE_STRATEGY: {other}; expected none, normal or recursive");
                return Err(failed(FailureReason::RunnerSystemFailure, &message));
            }
        };
        let passed = |name: &str, split: fn(&str) -> (Vec<String>, Vec<String>)| {
            let (passed, ignored) = split(&get(name));
            if !ignored.is_empty() {
                self.log.warn(&format!("{name}: not supported and ignored: {}", ignored.join(" ")));
            }
            passed
        };
        let depth = self.variables.get("GIT_DEPTH").map_or(DEFAULT_DEPTH, |depth| fetch::depth(&depth));
        let submodules = match strategy {
            Strategy::None => Submodules::default(),
            strategy => Submodules {
                strategy,
                paths: get("GIT_SUBMODULE_PATHS").split_whitespace().map(str::to_owned).collect(),
                // `common/build.go`, `GetSubmoduleDepth`: the default is the depth of the project.
                depth: self.variables.get("GIT_SUBMODULE_DEPTH").map_or(depth, |depth| fetch::depth(&depth)),
                flags: passed("GIT_SUBMODULE_UPDATE_FLAGS", submodules::flags),
            },
        };
        let fetch_flags = passed("GIT_FETCH_EXTRA_FLAGS", fetch::flags);
        let has_files = self.flag("GIT_CHECKOUT", true);
        Ok(Shape { depth, fetch_flags, submodules, has_files })
    }
}

/// What the log says before the fetch. `depth` is the number of commits, 0 for all.
fn fetching(depth: u32) -> String {
    if depth == 0 {
        "Fetching changes...".to_owned()
    } else {
        format!("Fetching changes with git depth set to {depth}...")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::some_commits(20, "Fetching changes with git depth set to 20...")]
    #[case::all_commits(0, "Fetching changes...")]
    fn the_log_names_the_depth_of_the_fetch(#[case] depth: u32, #[case] expected: &str) {
        assert_eq!(fetching(depth), expected);
    }
}
