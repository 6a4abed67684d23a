//! The shell executor, which runs jobs on this machine, each in its own checkout and process group: GitLab Runner's
//! `executors/shell`.
//!
//! There is one directory per concurrent job, and jobs reuse them. A job does not see the files of an earlier job, as after GitLab
//! Runner's `git clean -ffdx`, but files that the earlier job did not change are not written again.
//!
//! GitLab Runner starts `bash --login`. Here the shell inherits the environment of the user, who has logged in already.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use tokio::process::Command;

use super::script_end::ScriptEnd;
use super::shell_process::ShellProcess;
use super::supervisor::Supervisor;
use crate::executor::request::{ExecutorError, MAX_ENVIRONMENT, Request, StepState};
use crate::log::JobLog;
use crate::project::git;
use crate::workspace::archive::Packed;
use crate::workspace::checkout::Checkout;
use crate::workspace::draft::DraftWriter;
use crate::workspace::job_dirs::JobDirs;
use crate::workspace::restore::Copied;
use crate::workspace::selection::Selection;
use crate::workspace::{archive, restore};
use container_engine::{labels, ownership};

/// The shell executor.
#[derive(Debug)]
pub struct Shell {
    builds: PathBuf,
    program: PathBuf,
    supervisor: Option<Supervisor>,
    hidden: Arc<[OsString]>,
    checkouts: Checkouts,
    graceful_kill_timeout: Duration,
}

/// The checkout in each job directory, by `CI_BUILDS_DIR`, without the changes of the jobs themselves. A directory without an entry is
/// emptied before use.
type Checkouts = Arc<Mutex<HashMap<String, Copied>>>;

/// A job that runs on this machine.
pub struct Session {
    program: PathBuf,
    supervisor: Option<Supervisor>,
    /// Names of this process's environment variables that the job does not inherit.
    hidden: Arc<[OsString]>,
    dir: PathBuf,
    job_dirs: JobDirs,
    checkouts: Checkouts,
    /// The time that a script has between SIGTERM and SIGKILL after its timeout.
    graceful_kill_timeout: Duration,
    running: Option<ShellProcess>,
    /// Earlier scripts whose processes still run.
    left: Vec<ShellProcess>,
}

impl Shell {
    /// An executor with the job directories below `builds`. The shell is `shell`, or else `bash` if it is in `PATH`, or else `/bin/sh`.
    /// Without a supervisor, processes that leave the process group of their job outlive it. `graceful_kill_timeout` is the time that a
    /// script has between SIGTERM and SIGKILL after its timeout.
    pub fn new(
        builds: &Path,
        shell: Option<&str>,
        supervisor: Option<Supervisor>,
        graceful_kill_timeout: Duration,
    ) -> Self {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let find = |name: &str| std::env::split_paths(&paths).map(|path| path.join(name)).find(|path| path.is_file());
        let program = shell.map_or_else(|| find("bash").unwrap_or_else(|| "/bin/sh".into()), PathBuf::from);
        let names = std::env::vars_os().map(|(name, _)| name);
        let hidden = names.filter(|name| name.to_str().is_some_and(belongs_to_another)).collect();
        Self {
            builds: builds.to_owned(),
            program,
            supervisor,
            hidden,
            checkouts: Checkouts::default(),
            graceful_kill_timeout,
        }
    }

    pub(super) fn is_bash(&self) -> bool {
        self.program.file_name().is_some_and(|name| name == "bash")
    }

    /// The directories of a job. `concurrent` is its `CI_CONCURRENT_ID`, `project` the project's path: `group/project`.
    pub fn job_dirs(&self, concurrent: usize, project: &str) -> JobDirs {
        let builds = self.builds.join(concurrent.to_string()).to_string_lossy().into_owned();
        JobDirs { project: format!("{builds}/{project}"), builds }
    }

    /// Prepares a job.
    ///
    /// # Errors
    /// Currently none. The signature matches that of the docker executor.
    pub fn prepare(&self, request: Request, log: &Arc<JobLog>) -> Result<Session, ExecutorError> {
        if request.image.is_some() || !request.services.is_empty() {
            log.warn("the shell executor ignores `image` and `services`");
        }
        let dir = PathBuf::from(&request.job_dirs.builds);
        let (hidden, checkouts) = (Arc::clone(&self.hidden), Arc::clone(&self.checkouts));
        let (program, supervisor) = (self.program.clone(), self.supervisor.clone());
        Ok(Session {
            program,
            supervisor,
            hidden,
            dir,
            job_dirs: request.job_dirs,
            checkouts,
            graceful_kill_timeout: self.graceful_kill_timeout,
            running: None,
            left: Vec::new(),
        })
    }
}

impl Session {
    fn project(&self) -> PathBuf {
        PathBuf::from(&self.job_dirs.project)
    }

    /// Whether an earlier job has left its repository in the job's project directory.
    pub(super) fn has_repository(&self) -> bool {
        locked(&self.checkouts).contains_key(&self.job_dirs.builds)
    }

    /// Puts an unchanged checkout into the job's project directory, and removes all files of an earlier job. `None` empties the directory.
    ///
    /// # Errors
    /// A file cannot be written or removed, for example because the disk is full.
    pub async fn put_sources(&mut self, checkout: Option<&Arc<Checkout>>) -> Result<(), ExecutorError> {
        let (dir, job_dirs, checkouts) = (self.dir.clone(), self.job_dirs.clone(), Arc::clone(&self.checkouts));
        let checkout = checkout.map(Arc::clone);
        off_thread("cannot copy the checkout", move || {
            let project = PathBuf::from(&job_dirs.project);
            // The content of the directory is unknown until the checkout is complete.
            let before = locked(&checkouts).remove(&job_dirs.builds);
            make_dirs(&dir, &job_dirs)?;
            match checkout {
                None => restore::empty(&project)?,
                Some(checkout) => {
                    let copied = restore::put(&checkout, &project, before)?;
                    locked(&checkouts).insert(job_dirs.builds, copied);
                }
            }
            Ok(())
        })
        .await
    }

    /// Unpacks an archive into the job's project directory, over existing files.
    ///
    /// # Errors
    /// The archive is invalid, or a file cannot be written, for example because the disk is full.
    pub async fn unpack(&mut self, archive: File) -> Result<(), ExecutorError> {
        let project = self.project();
        off_thread("cannot unpack an archive", move || archive::unpack(archive, &project)).await
    }

    /// Packs the selected files of the job's project directory into `archive`.
    ///
    /// # Errors
    /// A file cannot be read, or the archive cannot be written, for example because the disk is full.
    pub async fn pack(&mut self, selection: Selection, archive: DraftWriter) -> Result<Packed, ExecutorError> {
        let project = self.project();
        off_thread("cannot pack an archive", move || archive::pack(&project, selection, archive)).await
    }

    /// Runs a script, and returns its end. Waits until no process holds its output open.
    ///
    /// # Errors
    /// The shell cannot be started, or this process cannot wait for it.
    pub async fn run(&mut self, script: &str, log: &Arc<JobLog>) -> Result<ScriptEnd, ExecutorError> {
        let failed =
            |error: io::Error| ExecutorError::system(format!("cannot run {}: {error}", self.program.display()));
        let hidden = Arc::clone(&self.hidden);
        let environment = move |command: &mut Command| {
            for name in &*hidden {
                command.env_remove(name);
            }
            command.env(labels::PIPELINE_VARIABLE, ownership::owner_id());
        };
        let shell = (self.program.as_path(), self.supervisor.as_ref());
        let process = ShellProcess::start(shell, &self.dir, script, log, environment).await.map_err(failed)?;
        let end = self.running.insert(process).wait().await;
        // Processes that the script leaves running end with the job, so that they do not disturb the next one.
        self.left.extend(self.running.take());
        self.left.retain_mut(|process| process.is_running() || process.is_killed());
        end.map_err(|_| ExecutorError::system(format!("cannot run {}: see the job's log", self.program.display())))
    }

    /// The state that later steps of the job depend on.
    pub(super) fn step_state(&self, environment: &str) -> StepState {
        let mut content = Vec::new();
        // The job may have replaced the file with a named pipe. Opening a pipe that has no writer would block.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(environment, flags, Mode::empty()).map(File::from);
        if let Ok(file) = file
            && file.metadata().is_ok_and(|metadata| metadata.is_file())
        {
            // A script cannot read an unreadable file either.
            let _ = file.take(MAX_ENVIRONMENT).read_to_end(&mut content);
        }
        let environment = String::from_utf8_lossy(&content).into_owned();
        StepState { has_project: self.project().is_dir(), environment }
    }

    /// Stops the script and all processes that it has started. After SIGTERM, a script has `graceful_kill_timeout` with `is_graceful`, and
    /// otherwise five seconds.
    pub async fn stop(&mut self, is_graceful: bool) {
        // A call that is dropped can be repeated.
        if let Some(process) = &mut self.running {
            process.stop(is_graceful.then_some(self.graceful_kill_timeout)).await;
            self.running = None;
        }
    }

    /// Removes the files of file variables. The checkout stays for the next job, and is removed with the pipeline.
    pub async fn finish(mut self) {
        self.stop(false).await;
        for process in &mut self.left {
            process.stop(None).await;
        }
        let temporary = PathBuf::from(self.job_dirs.temporary());
        // Files that cannot be removed now are removed with the pipeline's directory, which reports a failure.
        let _ = off_thread("cannot remove the job's files", move || restore::empty(&temporary)).await;
    }
}

fn locked(checkouts: &Checkouts) -> MutexGuard<'_, HashMap<String, Copied>> {
    // A poisoned lock is usable: no operation under it can fail halfway.
    checkouts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Creates the project directory and the directory of temporary files, and empties the latter. Removes everything else from their
/// parent directories below `dir`.
fn make_dirs(dir: &Path, job_dirs: &JobDirs) -> io::Result<()> {
    let (project, temporary) = (Path::new(&job_dirs.project), PathBuf::from(job_dirs.temporary()));
    if let Some(builds) = dir.parent() {
        std::fs::create_dir_all(builds)?;
    }
    let mut path = dir.to_owned();
    restore::make_dir(&path)?;
    for name in project.strip_prefix(dir).map_err(io::Error::other)? {
        restore::retain(&path, &|other| name == other || path.join(other) == temporary)?;
        path.push(name);
        restore::make_dir(&path)?;
    }
    // The script would create it as well, but with an additional process.
    restore::make_dir(&temporary)?;
    restore::empty(&temporary)
}

/// Whether a variable describes another job or another repository: this process may itself run in a CI job or in a git hook.
fn belongs_to_another(name: &str) -> bool {
    let belongs_to_a_job = name.starts_with("CI_") || name.starts_with("GITLAB_") && name != labels::CLUSTER_VARIABLE;
    belongs_to_a_job || git::REPOSITORY_VARIABLES.contains(&name)
}

async fn off_thread<T: Send + 'static>(
    failure: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ExecutorError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(ExecutorError::system(format!("{failure}: {error}"))),
        Err(error) => Err(ExecutorError::system(format!("{failure}: {error}"))),
    }
}
