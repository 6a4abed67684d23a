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
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::supervisor::Supervisor;
use crate::executor::request::{ExecutorError, Request};
use crate::log::{JobLog, Stream};
use crate::process_group::ProcessGroup;
use crate::project::git;
use crate::workspace::archive::Packed;
use crate::workspace::checkout::Checkout;
use crate::workspace::draft::DraftWriter;
use crate::workspace::job_dirs::JobDirs;
use crate::workspace::restore::Copied;
use crate::workspace::selection::Selection;
use crate::workspace::{archive, restore};
use container_engine::{labels, ownership};

/// Time between SIGTERM and SIGKILL when a job is stopped.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// Additional time for a supervisor to end: it waits 10 s for killed processes.
const SUPERVISOR_GRACE: Duration = Duration::from_secs(12);

/// Maximum time that background processes of a script may continue to write output after the script has ended.
const OUTPUT_TIMEOUT: Duration = Duration::from_millis(500);

/// The shell executor.
#[derive(Debug)]
pub struct Shell {
    builds: PathBuf,
    program: PathBuf,
    supervisor: Option<Supervisor>,
    hidden: Arc<[OsString]>,
    checkouts: Checkouts,
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
    /// The process group of the running script, or of its supervisor.
    group: Option<ProcessGroup>,
}

impl Shell {
    /// An executor with the job directories below `builds`. The shell is `shell`, or else `bash` if it is in `PATH`, or else `/bin/sh`.
    /// Without a supervisor, processes that leave the process group of their job outlive it.
    pub fn new(builds: &Path, shell: Option<&str>, supervisor: Option<Supervisor>) -> Self {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let find = |name: &str| std::env::split_paths(&paths).map(|path| path.join(name)).find(|path| path.is_file());
        let program = shell.map_or_else(|| find("bash").unwrap_or_else(|| "/bin/sh".into()), PathBuf::from);
        let names = std::env::vars_os().map(|(name, _)| name);
        let hidden = names.filter(|name| name.to_str().is_some_and(belongs_to_another)).collect();
        Self { builds: builds.to_owned(), program, supervisor, hidden, checkouts: Checkouts::default() }
    }

    /// The directories of the job with the concurrent number `concurrent`. `project` is the project's path: `group/project`.
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
        Ok(Session { program, supervisor, hidden, dir, job_dirs: request.job_dirs, checkouts, group: None })
    }
}

impl Session {
    fn project(&self) -> PathBuf {
        PathBuf::from(&self.job_dirs.project)
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

    /// Runs a script, and returns its exit code.
    ///
    /// # Errors
    /// The shell cannot be started, or this process cannot wait for it.
    pub async fn run(&mut self, script: &str, log: &Arc<JobLog>) -> Result<i32, ExecutorError> {
        let file = input(script).map_err(|error| ExecutorError::system(format!("cannot store the script: {error}")))?;
        let mut command = match &self.supervisor {
            Some(supervisor) => Command::from(supervisor.command(self.program.as_os_str())),
            None => Command::new(&self.program),
        };
        command.current_dir(&self.dir).stdin(file).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in &*self.hidden {
            command.env_remove(name);
        }
        let mut child = command
            .process_group(0)
            .env(labels::PIPELINE_VARIABLE, ownership::owner_id())
            .spawn()
            .map_err(|error| ExecutorError::system(format!("cannot run {}: {error}", self.program.display())))?;
        self.group = ProcessGroup::led_by(&child);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let output = async { tokio::join!(copy(stdout, Stream::Out, log), copy(stderr, Stream::Err, log)) };
        let mut output = std::pin::pin!(output);
        let mut ended = std::pin::pin!(child.wait());
        // The output may end before the script does, and background processes of the script may keep it open.
        let mut is_read = false;
        let status = loop {
            tokio::select! {
                status = &mut ended => break status,
                _ = &mut output, if !is_read => is_read = true,
            }
        };
        if !is_read && timeout(Duration::from_millis(20), &mut output).await.is_err() {
            // Background processes end with the script, so that they do not disturb the next job.
            self.signal(Signal::TERM);
            if timeout(OUTPUT_TIMEOUT, &mut output).await.is_err() {
                self.signal(Signal::KILL);
                // Do not wait for processes that have left the process group.
                let _ = timeout(OUTPUT_TIMEOUT, &mut output).await;
            }
        }
        self.signal(Signal::KILL);
        self.group = None;
        let status = status.map_err(|error| ExecutorError::system(format!("lost the shell: {error}")))?;
        if let (Some(_), None) = (&self.supervisor, status.code()) {
            return Err(ExecutorError::system(format!("cannot run {}: see the job's log", self.program.display())));
        }
        // Shells report a signal as 128 plus its number.
        let signal = std::os::unix::process::ExitStatusExt::signal(&status).map(|signal| 128 + signal);
        Ok(status.code().or(signal).unwrap_or(1))
    }

    /// Stops the script and all processes of its group: sends SIGTERM, and SIGKILL after five seconds.
    pub async fn stop(&mut self) {
        if self.group.is_none() {
            return;
        }
        self.signal(Signal::TERM);
        // A supervisor itself gives the processes this grace period.
        let grace = if self.supervisor.is_some() { GRACE + SUPERVISOR_GRACE } else { GRACE };
        let deadline = tokio::time::Instant::now() + grace;
        while self.is_running() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.signal(Signal::KILL);
        self.group = None;
    }

    fn is_running(&self) -> bool {
        self.group.is_some_and(ProcessGroup::is_running)
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            group.signal(signal);
        }
    }

    /// Removes the files of file variables. The checkout stays for the next job, and is removed with the pipeline.
    pub async fn finish(mut self) {
        self.stop().await;
        let temporary = PathBuf::from(self.job_dirs.temporary());
        // Files that cannot be removed now are removed with the pipeline's directory, which reports a failure.
        let _ = off_thread("cannot remove the job's files", move || restore::empty(&temporary)).await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A supervisor that was killed would leave everything behind.
        self.signal(if self.supervisor.is_some() { Signal::TERM } else { Signal::KILL });
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

/// A script as standard input, in an unnamed file: a shell reads a file in blocks, but a pipe byte by byte.
fn input(script: &str) -> io::Result<File> {
    // In memory, so that secrets in the script are not written to a disk.
    #[cfg(target_os = "linux")]
    let mut file = File::from(rustix::fs::memfd_create("script", rustix::fs::MemfdFlags::CLOEXEC)?);
    #[cfg(not(target_os = "linux"))]
    let mut file = tempfile::tempfile()?;
    file.write_all(script.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// Whether a variable describes another job or another repository: this process may itself run in a CI job or in a git hook.
fn belongs_to_another(name: &str) -> bool {
    let belongs_to_a_job = name.starts_with("CI_") || name.starts_with("GITLAB_") && name != labels::VARIABLE;
    belongs_to_a_job || git::REPOSITORY_VARIABLES.contains(&name)
}

async fn copy(from: Option<impl AsyncRead + Unpin>, stream: Stream, log: &JobLog) {
    let Some(mut from) = from else { return };
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count) = from.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        log.write(stream, buffer.get(..count).unwrap_or_default());
    }
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
