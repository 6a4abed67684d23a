//! Writes the files and drives dnsmasq through their changes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use controller::children::Children;
use controller::driven::Driven;
use controller::files;
use rustix::process::{Signal, WaitStatus};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::relay::{Relay, Upstream};
use crate::render::{Rendered, Settings};

/// How long dnsmasq may take until it listens: a tenth of a second, on a machine with nothing else to do.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How often is looked whether it does.
const START_PAUSE: Duration = Duration::from_millis(5);

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
    /// Nothing can listen where it should.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// dnsmasq runs and does not listen.
    #[error("dnsmasq does not listen {} s after its start", START_PATIENCE.as_secs())]
    Silent,
    /// The running dnsmasq could not be signalled.
    #[error("cannot signal dnsmasq: {0}")]
    Signal(#[from] rustix::io::Errno),
    /// dnsmasq ended although nobody asked it to.
    #[error("dnsmasq ended by itself: {0:?}")]
    Ended(Option<WaitStatus>),
}

/// A running dnsmasq, its files, and the address at which it is asked.
#[derive(Debug)]
pub struct Server {
    program: PathBuf,
    settings: Settings,
    children: Children,
    current: Option<Rendered>,
    relay: Option<Relay>,
    answering: Option<Answering>,
}

/// The dnsmasq that is asked.
#[derive(Debug)]
struct Answering {
    process: Driven,
    upstream: Upstream,
}

impl Answering {
    /// Ends it when it has answered what it was asked.
    async fn end(self) -> Result<(), Error> {
        self.upstream.answered().await;
        Ok(self.process.stop(Signal::TERM).await?)
    }
}

impl Server {
    /// Nothing runs yet; the first [`apply`](Self::apply) starts it.
    pub fn new(program: PathBuf, settings: Settings, children: Children) -> Self {
        Self { program, settings, children, current: None, relay: None, answering: None }
    }

    /// Puts `rendered` into force with as little as the difference asks for: nothing, a signal or another dnsmasq. No question
    /// is lost over it.
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
            self.replace().await?;
        } else if let Some(answering) = self.answering.as_ref().filter(|_| hosts_differ) {
            // One that has only just begun to listen ignores this, and reads the file after that.
            answering.process.signal(Signal::HUP)?;
        }
        Ok(())
    }

    /// Waits until dnsmasq ends, for whatever reason; for ever when it was not started.
    pub async fn ended(&mut self) -> Error {
        match &mut self.answering {
            Some(answering) => Error::Ended(answering.process.ended().await),
            None => std::future::pending().await,
        }
    }

    /// Ends dnsmasq and waits for that.
    ///
    /// # Errors
    ///
    /// When the signal cannot be sent.
    pub async fn stop(&mut self) -> Result<(), Error> {
        if let Some(relay) = self.relay.take() {
            relay.close().await;
        }
        match self.answering.take() {
            Some(answering) => answering.end().await,
            None => Ok(()),
        }
    }

    /// Starts a dnsmasq, and sends everybody there as soon as it listens.
    async fn replace(&mut self) -> Result<(), Error> {
        let answering = self.start().await?;
        let upstream = answering.upstream.clone();
        if let Some(relay) = &self.relay {
            relay.switch(upstream);
        } else {
            let address = SocketAddr::new(self.settings.address, self.settings.port);
            let relay = Relay::open(address, upstream).await;
            self.relay = Some(relay.map_err(|source| Error::Listen { address, source })?);
        }
        if let Some(last) = self.answering.replace(answering) {
            tokio::spawn(async move {
                if let Err(error) = last.end().await {
                    tracing::warn!(%error, "a dnsmasq that was replaced may still run");
                }
            });
        }
        Ok(())
    }

    async fn start(&self) -> Result<Answering, Error> {
        let address = free_address()?;
        let mut command = Command::new(&self.program);
        command.arg(format!("--conf-file={}", self.settings.configuration_file().display()));
        command.arg(format!("--listen-address={}", address.ip())).arg(format!("--port={}", address.port()));
        let running = self.children.spawn(&mut command);
        let running = running.map_err(|source| Error::Start { program: self.program.clone(), source })?;
        let mut process = Driven::of(running);
        tokio::select! {
            biased;
            status = process.ended() => return Err(Error::Ended(status)),
            listens = timeout(START_PATIENCE, listens(address)) => listens.map_err(|_| Error::Silent)?,
        }
        Ok(Answering { process, upstream: Upstream::new(address) })
    }
}

/// An address for one dnsmasq that nobody else is at.
fn free_address() -> Result<SocketAddr, Error> {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let address = TcpListener::bind(wanted).and_then(|listener| listener.local_addr());
    address.map_err(|source| Error::Listen { address: wanted, source })
}

/// Waits until somebody listens there. dnsmasq listens before it reads its records, and answers after it.
async fn listens(address: SocketAddr) {
    while TcpStream::connect(address).await.is_err() {
        sleep(START_PAUSE).await;
    }
}

/// Readable by everybody: started by root, dnsmasq reads as another user.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    files::replace(path, text, 0o644).map_err(|source| Error::Write { path: path.to_owned(), source })
}
