//! Writes the files and drives dnsmasq through their changes.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use controller::children::Children;
use controller::driven::Driven;
use controller::files;
use rustix::process::{Signal, WaitStatus};

use crate::render::{Rendered, Settings};

/// What can go wrong with dnsmasq and its files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be written.
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
    /// The running dnsmasq could not be signalled.
    #[error("cannot signal dnsmasq: {0}")]
    Signal(#[from] rustix::io::Errno),
    /// dnsmasq ended although nobody asked it to.
    #[error("dnsmasq ended by itself: {0:?}")]
    Ended(Option<WaitStatus>),
}

/// A running dnsmasq and its files.
#[derive(Debug)]
pub struct Server {
    program: PathBuf,
    settings: Settings,
    children: Children,
    current: Option<Rendered>,
    process: Option<Driven>,
}

impl Server {
    /// Nothing runs yet; the first [`apply`](Self::apply) starts it.
    pub fn new(program: PathBuf, settings: Settings, children: Children) -> Self {
        Self { program, settings, children, current: None, process: None }
    }

    /// Puts `rendered` into force with as little as the difference asks for: nothing, a signal or a restart.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or dnsmasq cannot be started or signalled.
    pub async fn apply(&mut self, rendered: &Rendered) -> Result<(), Error> {
        let current = self.current.replace(rendered.clone());
        let hosts_differ = current.as_ref().is_none_or(|current| current.hosts != rendered.hosts);
        let rest_differs = current.is_none_or(|current| current.configuration != rendered.configuration);
        if hosts_differ {
            write(&self.settings.hosts_file(), &rendered.hosts)?;
        }
        if rest_differs {
            write(&self.settings.configuration_file(), &rendered.configuration)?;
            self.stop().await?;
            self.start()?;
        } else if let Some(process) = self.process.as_ref().filter(|_| hosts_differ) {
            process.signal(Signal::HUP)?;
        }
        Ok(())
    }

    /// Waits until dnsmasq ends, for whatever reason; for ever when it was not started.
    pub async fn ended(&mut self) -> Error {
        match &mut self.process {
            Some(process) => Error::Ended(process.ended().await),
            None => std::future::pending().await,
        }
    }

    /// Ends dnsmasq and waits for that.
    ///
    /// # Errors
    ///
    /// When the signal cannot be sent.
    pub async fn stop(&mut self) -> Result<(), Error> {
        if let Some(process) = self.process.take() {
            process.stop(Signal::TERM).await?;
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), Error> {
        let option = format!("--conf-file={}", self.settings.configuration_file().display());
        let running = self.children.spawn(Command::new(&self.program).arg(option));
        let running = running.map_err(|source| Error::Start { program: self.program.clone(), source })?;
        self.process = Some(Driven::of(running));
        Ok(())
    }
}

/// Readable by everybody: started by root, dnsmasq reads as another user.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    files::replace(path, text, 0o644).map_err(|source| Error::Write { path: path.to_owned(), source })
}
