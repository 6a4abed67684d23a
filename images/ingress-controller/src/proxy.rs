//! Writes configurations and drives `HAProxy` through them: start, reload without a lost connection, soft stop.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use controller::children::{Children, Running};
use controller::driven::Driven;
use controller::files;
use rustix::process::{Signal, WaitStatus};

use crate::render::Rendered;

/// What can go wrong with `HAProxy` and its files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the configuration could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program is not there or may not be run.
    #[error("cannot run {program}: {source}")]
    Start {
        /// What was to be run.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration is wrong in `HAProxy`'s eyes; the one before goes on.
    #[error("HAProxy refuses the configuration: {0}")]
    Refused(String),
    /// The running `HAProxy` could not be signalled.
    #[error("cannot signal HAProxy: {0}")]
    Signal(#[from] rustix::io::Errno),
    /// `HAProxy` ended although nobody asked it to.
    #[error("HAProxy ended by itself: {0:?}")]
    Ended(Option<WaitStatus>),
}

/// A running `HAProxy` and its folder.
#[derive(Debug)]
pub struct Proxy {
    program: PathBuf,
    directory: PathBuf,
    children: Children,
    master: Option<Driven>,
}

impl Proxy {
    /// Nothing runs yet; the first [`apply`](Self::apply) starts it.
    pub fn new(program: PathBuf, directory: PathBuf, children: Children) -> Self {
        Self { program, directory, children, master: None }
    }

    /// Puts `rendered` into force: the first time by a start, later by a reload.
    ///
    /// # Errors
    ///
    /// When it cannot be written or `HAProxy` refuses it. What ran before still runs then.
    pub async fn apply(&mut self, rendered: &Rendered) -> Result<(), Error> {
        self.write_certificates(rendered)?;
        let path = self.directory.join("haproxy.cfg");
        let candidate = self.directory.join("haproxy.cfg.new");
        write(&candidate, &rendered.configuration)?;
        self.check(&candidate).await?;
        fs::rename(&candidate, &path).map_err(|source| Error::Write { path: path.clone(), source })?;
        if let Some(master) = &self.master {
            master.signal(Signal::USR2)?;
        } else {
            // Master and worker, in the foreground: the master keeps its number through all reloads.
            let mut command = Command::new(&self.program);
            command.arg("-W").arg("-f").arg(&path).stdin(Stdio::null());
            self.master = Some(Driven::of(self.spawn(&mut command)?));
        }
        Ok(())
    }

    /// Waits until `HAProxy` ends, for whatever reason; for ever when it was not started.
    pub async fn ended(&mut self) -> Error {
        match &mut self.master {
            Some(master) => Error::Ended(master.ended().await),
            None => std::future::pending().await,
        }
    }

    /// Stops taking connections, lets those that are there end, and waits for that. The configuration's
    /// `hard-stop-after` is the bound.
    ///
    /// # Errors
    ///
    /// When the signal cannot be sent.
    pub async fn stop(&mut self) -> Result<(), Error> {
        if let Some(master) = self.master.take() {
            master.stop(Signal::USR1).await?;
        }
        Ok(())
    }

    /// A refused configuration must not be reloaded: the master would go on, but without knowing its next start.
    async fn check(&self, configuration: &Path) -> Result<(), Error> {
        let mut command = Command::new(&self.program);
        command.arg("-c").arg("-q").arg("-f").arg(configuration);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let Running { ending, mut child, .. } = self.spawn(&mut command)?;
        let complaint = child.stderr.take().map(|mut pipe| {
            tokio::task::spawn_blocking(move || {
                let mut text = Vec::new();
                // What was read before an error is still the best explanation there is.
                let _ = pipe.read_to_end(&mut text);
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        let good = ending.await.is_ok_and(|status| status.exit_status() == Some(0));
        if good {
            return Ok(());
        }
        let complaint = match complaint {
            Some(complaint) => complaint.await.unwrap_or_default(),
            None => String::new(),
        };
        Err(Error::Refused(complaint.lines().map(str::trim).collect::<Vec<_>>().join("; ")))
    }

    fn spawn(&self, command: &mut Command) -> Result<Running, Error> {
        self.children.spawn(command).map_err(|source| Error::Start { program: self.program.clone(), source })
    }

    /// Certificates that nobody asks for any more go at once: a running worker has read all its files at its start.
    fn write_certificates(&self, rendered: &Rendered) -> Result<(), Error> {
        let folder = self.directory.join("certificates");
        let error = |source| Error::Write { path: folder.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(error)?;
        for (name, pem) in &rendered.certificates {
            write(&folder.join(name), pem)?;
        }
        for entry in fs::read_dir(&folder).map_err(error)? {
            let entry = entry.map_err(error)?;
            if !entry.file_name().to_str().is_some_and(|name| rendered.certificates.contains_key(name)) {
                fs::remove_file(entry.path()).map_err(error)?;
            }
        }
        write(&self.directory.join("certificates.list"), &rendered.certificate_list)
    }
}

/// Readable by its owner alone: among them are private keys.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    files::replace(path, text, 0o600).map_err(|source| Error::Write { path: path.to_owned(), source })
}
