//! Jobs on this machine: each in a checkout of its own, in a process group of its own. GitLab Runner's `executors/shell`
//!
//! Jobs take turns in as many folders as run at the same time. What one leaves is not there for the next, as after a runner's
//! `git clean -ffdx`, but what it did not change is not written again.
//!
//! A runner starts `bash --login`; here the shell has the environment of whoever started the program, who has logged in already.

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

use crate::executor::request::ExecutorError;
use crate::executor::request::Request;
use crate::log::JobLog;
use crate::log::Stream;
use crate::process_group::ProcessGroup;
use crate::project::git;
use crate::workspace::archive;
use crate::workspace::archive::Packed;
use crate::workspace::checkout::Checkout;
use crate::workspace::job_dirs::Places;
use crate::workspace::restore;
use crate::workspace::restore::Copied;
use crate::workspace::selection::Selection;
use container_engine::labels;
use container_engine::ownership;

/// How long a job that is asked to end may take.
const GRACE: Duration = Duration::from_secs(5);

/// How long what a script has left running may go on with writing once the script has ended.
const AFTERMATH: Duration = Duration::from_millis(500);

/// This machine.
#[derive(Debug)]
pub struct Shell {
    builds: PathBuf,
    program: PathBuf,
    without: Arc<[OsString]>,
    left: Left,
}

/// What is in the folders of jobs, by `CI_BUILDS_DIR`, except for what the jobs themselves did. A folder of which nothing is known
/// is emptied.
type Left = Arc<Mutex<HashMap<String, Copied>>>;

/// A job on this machine.
pub struct Session {
    program: PathBuf,
    /// Variables of this program's environment that are none of the job's.
    without: Arc<[OsString]>,
    folder: PathBuf,
    places: Places,
    left: Left,
    /// The script's process group while it runs.
    group: Option<ProcessGroup>,
}

impl Shell {
    /// Jobs with their folders below `builds`, in the shell that is asked for, else in `bash` where it is, else in `sh`.
    pub fn new(builds: &Path, shell: Option<&str>) -> Self {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let find = |name: &str| std::env::split_paths(&paths).map(|path| path.join(name)).find(|path| path.is_file());
        let program = shell.map_or_else(|| find("bash").unwrap_or_else(|| "/bin/sh".into()), PathBuf::from);
        let names = std::env::vars_os().map(|(name, _)| name);
        let without = names.filter(|name| name.to_str().is_some_and(is_of_another)).collect();
        Self { builds: builds.to_owned(), program, without, left: Left::default() }
    }

    /// Where the files are of the job that runs as number `concurrent`.
    pub fn places(&self, concurrent: usize, project: &str) -> Places {
        let builds = self.builds.join(concurrent.to_string()).to_string_lossy().into_owned();
        Places { project: format!("{builds}/{project}"), builds }
    }

    /// Prepares a job.
    ///
    /// # Errors
    /// None so far: there is no image to be had.
    pub fn prepare(&self, request: Request, log: &Arc<JobLog>) -> Result<Session, ExecutorError> {
        if request.image.is_some() || !request.services.is_empty() {
            log.warn("image and services mean nothing to the shell executor");
        }
        let folder = PathBuf::from(&request.places.builds);
        let (without, left) = (Arc::clone(&self.without), Arc::clone(&self.left));
        Ok(Session { program: self.program.clone(), without, folder, places: request.places, left, group: None })
    }
}

impl Session {
    fn project(&self) -> PathBuf {
        PathBuf::from(&self.places.project)
    }

    /// A checkout as it was made, or an empty folder, whatever the job before has left.
    ///
    /// # Errors
    /// When the disk is full.
    pub async fn put_sources(&mut self, checkout: Option<&Arc<Checkout>>) -> Result<(), ExecutorError> {
        let (folder, places, left) = (self.folder.clone(), self.places.clone(), Arc::clone(&self.left));
        let checkout = checkout.map(Arc::clone);
        off_thread("the checkout", move || {
            let project = PathBuf::from(&places.project);
            // Until all is well nothing is known of the folder.
            let before = locked(&left).remove(&places.builds);
            make_folders(&folder, &places)?;
            match checkout {
                None => restore::empty(&project)?,
                Some(checkout) => {
                    let copied = restore::put(&checkout, &project, before)?;
                    locked(&left).insert(places.builds, copied);
                }
            }
            Ok(())
        })
        .await
    }

    /// Unpacks an archive over the project's folder.
    ///
    /// # Errors
    /// When the disk is full.
    pub async fn unpack(&mut self, archive: &Path) -> Result<(), ExecutorError> {
        let (project, archive) = (self.project(), archive.to_owned());
        off_thread("an archive", move || archive::unpack(&archive, &project)).await
    }

    /// Packs a selection of the project's folder.
    ///
    /// # Errors
    /// When the disk is full.
    pub async fn pack(&mut self, selection: Selection, archive: PathBuf) -> Result<Packed, ExecutorError> {
        let project = self.project();
        off_thread("an archive", move || archive::pack(&project, selection, &archive)).await
    }

    /// Runs a script.
    ///
    /// # Errors
    /// When the shell cannot be started.
    pub async fn run(&mut self, script: &str, log: &Arc<JobLog>) -> Result<i32, ExecutorError> {
        let file = input(script).map_err(|error| ExecutorError::system(format!("the script: {error}")))?;
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).stdin(file).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in &*self.without {
            command.env_remove(name);
        }
        let mut child = command
            .process_group(0)
            .env(labels::PIPELINE_VARIABLE, ownership::owner_id())
            .spawn()
            .map_err(|error| ExecutorError::system(format!("{} cannot be run: {error}", self.program.display())))?;
        self.group = ProcessGroup::of(&child);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let output = async { tokio::join!(copy(stdout, Stream::Out, log), copy(stderr, Stream::Err, log)) };
        let mut output = std::pin::pin!(output);
        let mut ended = std::pin::pin!(child.wait());
        // The output may end first, and the script may leave something behind that holds it open.
        let mut is_read = false;
        let status = loop {
            tokio::select! {
                status = &mut ended => break status,
                _ = &mut output, if !is_read => is_read = true,
            }
        };
        if !is_read && timeout(Duration::from_millis(20), &mut output).await.is_err() {
            // What the script has left running ends with it: the next job is not to meet it.
            self.signal(Signal::TERM);
            if timeout(AFTERMATH, &mut output).await.is_err() {
                self.signal(Signal::KILL);
                // Who has left the group, too, is not waited for.
                let _ = timeout(AFTERMATH, &mut output).await;
            }
        }
        self.signal(Signal::KILL);
        self.group = None;
        let status = status.map_err(|error| ExecutorError::system(format!("the shell is lost: {error}")))?;
        // As shells count: a signal is 128 and more.
        let signal = std::os::unix::process::ExitStatusExt::signal(&status).map(|signal| 128 + signal);
        Ok(status.code().or(signal).unwrap_or(1))
    }

    /// Asks the script and all that it has started to end, and makes them.
    pub async fn stop(&mut self) {
        if self.group.is_none() {
            return;
        }
        self.signal(Signal::TERM);
        let deadline = tokio::time::Instant::now() + GRACE;
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

    /// Removes the files that were variables. The rest is there for the next job to restore, and goes with the pipeline.
    pub async fn finish(mut self) {
        self.stop().await;
        let temporary = PathBuf::from(self.places.temporary());
        // What cannot be removed goes with the pipeline's folder, too, or is told of then.
        let _ = off_thread("the job's files", move || restore::empty(&temporary)).await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

fn locked(left: &Left) -> MutexGuard<'_, HashMap<String, Copied>> {
    // Nothing is done under the lock that could fail half way.
    left.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The folders of the project and of what is not to be in it. Of those above nothing else stays, and of the second nothing at all.
fn make_folders(folder: &Path, places: &Places) -> io::Result<()> {
    let (project, temporary) = (Path::new(&places.project), PathBuf::from(places.temporary()));
    if let Some(builds) = folder.parent() {
        std::fs::create_dir_all(builds)?;
    }
    let mut path = folder.to_owned();
    restore::make_folder(&path)?;
    for name in project.strip_prefix(folder).map_err(io::Error::other)? {
        restore::retain(&path, &|other| name == other || path.join(other) == temporary)?;
        path.push(name);
        restore::make_folder(&path)?;
    }
    // The script would make it, too, with a process of its own.
    restore::make_folder(&temporary)?;
    restore::empty(&temporary)
}

/// A script as standard input: in a file without a name, which a shell reads in blocks. A pipe it reads byte by byte.
fn input(script: &str) -> io::Result<File> {
    // In memory: what is secret in it is on no disk.
    #[cfg(target_os = "linux")]
    let mut file = File::from(rustix::fs::memfd_create("script", rustix::fs::MemfdFlags::CLOEXEC)?);
    #[cfg(not(target_os = "linux"))]
    let mut file = tempfile::tempfile()?;
    file.write_all(script.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// Whether a variable tells of another job or another repository than the one that runs here: where this program is itself run by a
/// job, or by a hook of git's.
fn is_of_another(name: &str) -> bool {
    let is_of_a_job = name.starts_with("CI_") || name.starts_with("GITLAB_") && name != labels::VARIABLE;
    is_of_a_job || git::OF_A_REPOSITORY.contains(&name)
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
    what: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ExecutorError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(ExecutorError::system(format!("{what}: {error}"))),
        Err(error) => Err(ExecutorError::system(format!("{what}: {error}"))),
    }
}
