//! The steps of a job that move files: caches and artifacts.

use super::sources::Tracked;
use super::{Attempt, AttemptError, failed, script};
use crate::artifacts;
use crate::artifacts::cache::{JobCache, KeyNote};
use crate::artifacts::{cache, is_kept, providers};
use crate::executor::{ExecutorError, FailureReason, ScriptEnd, Session};
use crate::workspace::archive;
use crate::workspace::archive::Packed;
use crate::workspace::checkout::Blob;
use crate::workspace::draft::{self, Draft};
use crate::workspace::job_dirs::JobDirs;
use crate::workspace::selection::{Finding, Selection, Unusable};
use gitlab_ci::config::cache::Key;
use gitlab_ci::config::reader::Text;

impl Attempt<'_> {
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

    /// Later steps of a job are shell scripts for GitLab Runner. They fail if a line of the file in `GITLAB_ENV` assigns no variable, or if
    /// the project directory is gone. `shells/bash.go` (`SourceEnv`), `shells/abstract.go` (`writeCdBuildDir`)
    pub(super) async fn check_step_state(
        &self,
        session: &mut Session,
        has_succeeded: bool,
        job_dirs: &JobDirs,
    ) -> Result<(), AttemptError> {
        let job = &self.planned.job;
        let has_caches = job.cache.iter().any(|cache| is_kept(cache.when, has_succeeded));
        let has_artifacts = job.artifacts.as_ref().is_some_and(|artifacts| {
            let has_files = !artifacts.paths.is_empty() || artifacts.untracked;
            let has_reports = !artifacts.dotenv.is_empty() || !artifacts.junit.is_empty();
            has_reports || has_files && is_kept(artifacts.when, has_succeeded)
        });
        if !has_caches && !has_artifacts {
            return Ok(());
        }
        let file = script::environment_file(&job_dirs.temporary());
        let found = self.within(session.step_state(&file)).await?;
        if let Some(line) = script::invalid_line(&found.environment) {
            return Err(self.not_an_identifier(line));
        }
        if !found.has_project {
            self.log.say(&format!("cd: {}: No such file or directory", job_dirs.project));
            return Err(self.script_failure(ScriptEnd::Code(1)));
        }
        Ok(())
    }

    /// Restores the job's caches. A failure to unpack one is a warning and does not fail the job.
    pub(super) async fn restore_caches(&mut self, session: &mut Session) -> Result<(), AttemptError> {
        let caches = self.caches().await?;
        if caches.is_empty() {
            return Ok(());
        }
        let _section = self.log.section("restore_cache", "Restoring cache");
        for cache in &caches {
            let Some(key) = cache.keys.first() else {
                self.log.say("Skipping cache extraction due to empty cache key");
                continue;
            };
            if !cache.is_pulled {
                self.log.say(&format!("Not downloading cache {key} due to policy"));
                continue;
            }
            for note in &cache.notes {
                self.log.warn(&note.to_string());
                if matches!(note, KeyNote::Empty(_)) {
                    self.log.say("Skipping cache extraction due to empty cache key");
                }
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
                None => self.log.warn("Failed to extract cache: no cache exists yet"),
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
        let kept: Vec<&JobCache> = caches.iter().filter(|cache| is_kept(cache.when, has_succeeded)).collect();
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
            let Some(key) = cache.keys.first() else {
                self.log.say("Skipping cache archiving due to empty cache key");
                continue;
            };
            if !cache.is_pushed {
                self.log.say(&format!("Not uploading cache {key} due to policy"));
                continue;
            }
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
        self.report(&packed, job_dirs);
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
        self.report(&packed, job_dirs);
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

    /// Reports what each pattern has found. `commands/helpers/file_archiver.go` (`processPath`, `processUntracked`)
    fn report(&self, packed: &Packed, job_dirs: &JobDirs) {
        for Finding { pattern, count } in &packed.findings {
            match count {
                Err(Unusable::Outside) => self.log.warn(&format!(
                    "processPath: artifact path is not a subpath of project directory: {pattern}"
                )),
                Err(Unusable::TooManyAlternatives) => self.log.warn(&format!(
                    "{pattern}: its braces expand to too many alternatives, so it is ignored; use several patterns"
                )),
                Ok(0) => self.log.warn(&format!(
                    "{pattern}: no matching files. Ensure that the artifact path is relative to the working directory ({})",
                    job_dirs.project
                )),
                Ok(count) => {
                    self.log.say(&format!("{pattern}: found {count} matching artifact files and directories"));
                }
            }
        }
        match packed.untracked {
            None => {}
            Some(0) => self.log.warn("untracked: no files"),
            Some(count) => self.log.say(&format!("untracked: found {count} files")),
        }
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
