//! The steps of a job that move files: sources, caches, artifacts.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Attempt, AttemptError, failed};
use crate::artifacts;
use crate::artifacts::cache::JobCache;
use crate::artifacts::{cache, is_kept, providers};
use crate::executor::{ExecutorError, FailureReason, ScriptEnd, Session};
use crate::workspace::archive;
use crate::workspace::archive::Packed;
use crate::workspace::checkout::{Blob, Shape};
use crate::workspace::draft::{self, Draft};
use crate::workspace::fetch;
use crate::workspace::job_dirs::JobDirs;
use crate::workspace::selection::Selection;
use crate::workspace::submodules::{self, Strategy, Submodules};
use gitlab_ci::config::cache::Key;
use gitlab_ci::config::reader::Text;
use gitlab_ci::config::runner_settings::parse_bool;
use gitlab_ci::config::variables::is_shell_name;

/// The default of `GIT_DEPTH`, as for a new project in GitLab.
const DEFAULT_DEPTH: u32 = 20;

/// The files in a job's checkout that git tracks.
type Tracked = Arc<HashSet<String>>;

impl Attempt<'_> {
    pub(super) async fn get_sources(&mut self, session: &mut Session) -> Result<Tracked, AttemptError> {
        let _section = self.log.section("get_sources", "Getting source from Git repository");
        self.warn_of_settings();
        self.check_names()?;
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
        let shape = self.shape()?;
        let context = &self.pipeline.plan.context;
        let checkout = async {
            let checkout = self.pipeline.sources.checkout(&shape).await;
            // A submodule that cannot be fetched is a failure of git in the job's own scripts: `common/build.go`
            let reason = |is_unreachable| {
                if is_unreachable { FailureReason::ScriptFailure } else { FailureReason::RunnerSystemFailure }
            };
            checkout.map_err(|error| ExecutorError { reason: reason(error.is_unreachable), message: error.to_string() })
        };
        let checkout = self.within(checkout).await?;
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
        let settings = [("AFTER_SCRIPT_IGNORE_ERRORS", true), ("CI_DEBUG_TRACE", false), ("GIT_CHECKOUT", true)];
        for (name, default) in settings {
            let value = self.variables.get(name).filter(|value| !value.is_empty());
            if let Some(value) = value.filter(|value| parse_bool(value).is_none()) {
                self.log.warn(&format!("{name}: expected bool got {value:?}, using default value: {default}"));
            }
        }
    }

    /// A shell cannot export every name of a variable. `shells/bash.go` (`Variable`)
    fn check_names(&self) -> Result<(), AttemptError> {
        let Some(wrong) = self.variables.list().iter().find(|variable| !is_shell_name(&variable.key)) else {
            return Ok(());
        };
        self.log.say(&format!("export: `{}': not a valid identifier", wrong.key));
        let message = self.end_message(ScriptEnd::Code(1));
        Err(AttemptError::Failed { reason: FailureReason::ScriptFailure, code: Some(1), message })
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

    /// The job's caches that select files. A key or path that cannot be expanded ends the job.
    async fn caches(&self) -> Result<Vec<JobCache>, AttemptError> {
        let job = &self.planned.job;
        if job.cache.is_empty() {
            return Ok(Vec::new());
        }
        let system = |error: &dyn std::fmt::Display| failed(FailureReason::RunnerSystemFailure, error);
        // List the files only if a key needs them, because git runs as a separate process.
        let has_files = job.cache.iter().any(|cache| matches!(cache.key, Key::Files { .. }));
        let blobs: &[Blob] = if has_files {
            let listed = async {
                let blobs = self.pipeline.sources.blobs().await;
                blobs.map_err(|error| ExecutorError::system(error.to_string()))
            };
            self.within(listed).await?
        } else {
            &[]
        };
        // The job can set variables such as CI_COMMIT_REF_PROTECTED itself.
        let is_protected = self.pipeline.plan.context.protected;
        let mut caches = Vec::new();
        for (index, one) in job.cache.iter().enumerate() {
            let found = cache::expand(one, index, &self.variables, blobs, is_protected);
            caches.extend(found.map_err(|error| system(&error))?);
        }
        Ok(caches)
    }

    /// Restores the job's caches. A failure to unpack one is a warning and does not fail the job.
    pub(super) async fn restore_caches(&mut self, session: &mut Session) -> Result<(), AttemptError> {
        let caches = self.caches().await?;
        if !caches.iter().any(|cache| cache.is_pulled) {
            return Ok(());
        }
        let _section = self.log.section("restore_cache", "Restoring cache");
        for cache in caches.iter().filter(|cache| cache.is_pulled) {
            for (key, name) in &cache.sanitized {
                self.log.warn(&format!("cache key {key:?} sanitized to {name:?}"));
            }
            let mut found = None;
            for key in &cache.keys {
                self.log.say(&format!("Checking cache for {key}..."));
                let name = cache::dir_name(key, &self.log.masked(key));
                match cache::open(&self.pipeline.caches, &name) {
                    Ok(None) => {}
                    Ok(archive) => {
                        found = archive;
                        break;
                    }
                    Err(error) => self.log.warn(&format!("cannot use the cache: {error}")),
                }
            }
            match found {
                None => self.log.say("No cache exists yet"),
                Some(archive) => match self.within(session.unpack(archive)).await {
                    Ok(()) => self.log.say("Successfully extracted cache"),
                    Err(AttemptError::Failed { message, .. }) => {
                        self.log.warn(&format!("cannot use the cache: {message}"));
                    }
                    Err(error) => return Err(error),
                },
            }
        }
        Ok(())
    }

    pub(super) async fn archive_caches(
        &mut self,
        session: &mut Session,
        has_succeeded: bool,
        job_dirs: &JobDirs,
        tracked: &Tracked,
    ) {
        // An expansion error was reported when the caches were restored.
        let Ok(caches) = self.caches().await else { return };
        let kept: Vec<&JobCache> =
            caches.iter().filter(|cache| cache.is_pushed && is_kept(cache.when, has_succeeded)).collect();
        if kept.is_empty() {
            return;
        }
        // `common/build.go`
        let (name, title) = if has_succeeded {
            ("archive_cache", "Saving cache for successful job")
        } else {
            ("archive_cache_on_failure", "Saving cache for failed job")
        };
        let _section = self.log.section(name, title);
        for cache in kept {
            let key = cache.keys.first().map(String::as_str).unwrap_or_default();
            self.log.say(&format!("Creating cache {key}..."));
            match self.archive_cache(session, cache, key, job_dirs, tracked).await {
                Ok(0) => self.log.warn("no files to cache: the existing cache is kept"),
                Ok(entries) => self.log.say(&format!("Created cache of {entries} files and directories")),
                Err(message) => self.log.warn(&format!("cannot save the cache: {message}")),
            }
        }
    }

    async fn archive_cache(
        &self,
        session: &mut Session,
        cache: &JobCache,
        key: &str,
        job_dirs: &JobDirs,
        tracked: &Tracked,
    ) -> Result<usize, String> {
        let name = cache::dir_name(key, &self.log.masked(key));
        let dir = self.pipeline.caches.subdir(&name).map_err(|error| error.to_string())?;
        draft::remove_old(&dir);
        let draft = Draft::new(&dir).map_err(|error| error.to_string())?;
        let writer = draft.writer().map_err(|error| error.to_string())?;
        let untracked = cache.untracked.then_some(tracked);
        let selection = Selection::new(&job_dirs.project, &cache.paths, &[], untracked);
        let packed = match self.within(session.pack(selection, writer)).await {
            Ok(packed) => packed,
            Err(AttemptError::Failed { message, .. }) => return Err(message),
            Err(_) => return Err("the job was canceled or timed out".to_owned()),
        };
        for pattern in &packed.unmatched {
            self.log.warn(&format!("{pattern}: no matching files."));
        }
        if packed.entries > 0 {
            draft.keep(cache::ARCHIVE).map_err(|error| error.to_string())?;
        }
        Ok(packed.entries)
    }

    pub(super) async fn download_artifacts(&mut self, session: &mut Session) -> Result<(), AttemptError> {
        let (plan, store) = (&self.pipeline.plan, &self.pipeline.store);
        let mut section = None;
        for index in providers(plan, self.index) {
            let opened = store.open(&store.artifacts(index));
            let opened = opened.map_err(|error| failed(FailureReason::RunnerSystemFailure, &error))?;
            let Some(archive) = opened else { continue };
            section.get_or_insert_with(|| self.log.section("download_artifacts", "Downloading artifacts"));
            self.log.say(&format!("Downloading artifacts for {}...", plan[index].name));
            self.within(session.unpack(archive)).await?;
        }
        Ok(())
    }

    pub(super) async fn upload_artifacts(
        &mut self,
        session: &mut Session,
        has_succeeded: bool,
        job_dirs: &JobDirs,
        tracked: &Tracked,
    ) -> Result<(), AttemptError> {
        let Some(written) = &self.planned.job.artifacts else { return Ok(()) };
        let expand = |texts: &[Text]| {
            let expanded = self.variables.expand_each(texts.iter().map(|text| &*text.value));
            expanded.map_err(|error| failed(FailureReason::RunnerSystemFailure, &error))
        };
        let (paths, exclude) = (expand(&written.paths)?, expand(&written.exclude)?);
        let (dotenv, junit) = (expand(&written.dotenv)?, expand(&written.junit)?);
        let keeps_files = is_kept(written.when, has_succeeded) && (!paths.is_empty() || written.untracked);
        if !keeps_files && dotenv.is_empty() && junit.is_empty() {
            return Ok(());
        }
        let (name, title) = if has_succeeded {
            ("upload_artifacts_on_success", "Uploading artifacts for successful job")
        } else {
            ("upload_artifacts_on_failure", "Uploading artifacts for failed job")
        };
        let _section = self.log.section(name, title);
        if keeps_files {
            let untracked = written.untracked.then_some(tracked);
            let selection = Selection::new(&job_dirs.project, &paths, &exclude, untracked);
            self.pack(session, selection, &self.pipeline.store.artifacts(self.index), job_dirs).await?;
        }
        // Reports are uploaded for every result of the job.
        if !dotenv.is_empty() || !junit.is_empty() {
            let all: Vec<String> = dotenv.iter().chain(&junit).cloned().collect();
            let path = self.pipeline.store.reports(self.index);
            self.pack(session, Selection::new(&job_dirs.project, &all, &[], None), &path, job_dirs).await?;
            self.read_reports(job_dirs, &dotenv, &junit)?;
        }
        Ok(())
    }

    async fn pack(
        &self,
        session: &mut Session,
        selection: Selection,
        archive: &str,
        job_dirs: &JobDirs,
    ) -> Result<(), AttemptError> {
        let failed = |error: std::io::Error| {
            failed(FailureReason::RunnerSystemFailure, &format!("cannot keep the artifacts: {error}"))
        };
        let draft = Draft::new(self.pipeline.store.dir()).map_err(failed)?;
        let packed = self.within(session.pack(selection, draft.writer().map_err(failed)?)).await?;
        for pattern in &packed.unmatched {
            self.log.warn(&format!(
                "{pattern}: no matching files. Ensure that the artifact path is relative to the working directory ({})",
                job_dirs.project
            ));
        }
        if packed.entries == 0 {
            self.log.say("\x1b[31;1mERROR: No files to upload\x1b[0;m");
        } else {
            let Packed { entries, bytes, .. } = packed;
            self.log.say(&format!("Uploading artifacts... {entries} files and directories, {bytes} bytes"));
            let limit = self.pipeline.settings.artifacts_limit;
            if draft.upload_size(limit).map_err(failed)? > limit {
                return Err(failed(std::io::Error::other(format!(
                    "the archive is larger than {} MiB even when it is compressed, and GitLab would refuse it (maximum artifacts \
                     size, `--max-artifacts-size`)",
                    limit >> 20
                ))));
            }
            draft.keep(archive).map_err(failed)?;
        }
        Ok(())
    }

    fn read_reports(&mut self, job_dirs: &JobDirs, dotenv: &[String], junit: &[String]) -> Result<(), AttemptError> {
        let store = &self.pipeline.store;
        let read = |patterns: &[String], limit: u64| {
            let mut selection = Selection::new(&job_dirs.project, patterns, &[], None);
            let files = match store.open(&store.reports(self.index)) {
                Ok(Some(archive)) => archive::read(archive, limit, |path| selection.takes(path, false)),
                Ok(None) => Ok(Vec::new()),
                Err(error) => Err(error),
            };
            files.map_err(|error| failed(FailureReason::RunnerSystemFailure, &error))
        };
        let refused = |message| failed(FailureReason::RunnerSystemFailure, &format!("invalid report: {message}"));
        self.outcome.dotenv = artifacts::variables(&read(dotenv, artifacts::DOTENV_LIMIT)?).map_err(refused)?;
        let (tests, unreadable) = artifacts::count_tests(&read(junit, artifacts::TEST_REPORTS_LIMIT)?);
        self.outcome.tests = tests;
        for message in unreadable {
            self.log.warn(&format!("cannot read a test report: {message}"));
        }
        Ok(())
    }
}
