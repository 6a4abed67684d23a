//! The cluster DNS's program; see the library's documentation for why it exists.
//!
//! Exit codes: 0 after SIGTERM; 1 when the cluster's API, a file or a signal fails; 2 for a wrong command line; 3 when
//! dnsmasq ended by itself.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use cluster_dns::render::{Settings, State, configuration, hosts};
use controller::children::{Children, Running};
use controller::watch::{Store, WriterDropped, follow};
use k8s_openapi::api::core::v1::{Endpoints, Service};
use kube::runtime::watcher::Config;
use kube::{Api, Client};
use rustix::process::{Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::sleep;

/// Answers for the cluster's Services with Debian's dnsmasq.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The cluster's domain.
    #[arg(long, default_value = "cluster.local")]
    domain: String,
    /// The address to answer on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    address: IpAddr,
    /// The port to answer on.
    #[arg(long, default_value_t = 53)]
    port: u16,
    /// Who is asked for everything else.
    #[arg(long, default_value = "/etc/resolv.conf")]
    resolv_file: PathBuf,
    /// The folder for the records; writable.
    #[arg(long, default_value = "/run/cluster-dns")]
    directory: PathBuf,
    /// The program to drive.
    #[arg(long, default_value = "dnsmasq")]
    dnsmasq: PathBuf,
}

/// What ends the program early.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot write the records, start dnsmasq or take signals: {0}")]
    System(#[from] std::io::Error),
    #[error("cannot signal dnsmasq: {0}")]
    Signal(#[from] rustix::io::Errno),
    #[error("cannot set up the cluster's API: {0}")]
    Client(#[from] kube::Error),
    #[error("a watch ended by itself")]
    Watch(#[from] WriterDropped),
    #[error("dnsmasq ended by itself")]
    Ended,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(if matches!(error, Error::Ended) { 3 } else { 1 })
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate())?;
    let children = Children::new()?;
    let configuration_file = arguments.directory.join("dnsmasq.conf");
    let settings = Settings {
        domain: arguments.domain,
        address: arguments.address,
        port: arguments.port,
        resolv_file: arguments.resolv_file,
        hosts_file: arguments.directory.join("hosts"),
    };
    let client = Client::try_default().await?;
    let changed = Arc::new(Notify::new());
    let services: Store<Service> = follow(Api::all(client.clone()), Config::default(), &changed);
    let endpoints: Store<Endpoints> = follow(Api::all(client), Config::default(), &changed);
    // Half a picture would deny names that exist.
    tokio::select! {
        ready = async { services.wait_until_ready().await?; endpoints.wait_until_ready().await } => ready?,
        _ = terminate.recv() => return Ok(()),
    }
    let mut current = (String::new(), String::new());
    let mut running: Option<Running> = None;
    loop {
        let state = State { services: services.state(), endpoints: endpoints.state() };
        let next = (configuration(&state, &settings), hosts(&state, &settings));
        if next != current {
            std::fs::write(&configuration_file, &next.0)?;
            std::fs::write(&settings.hosts_file, &next.1)?;
        }
        if next.0 != current.0 {
            if let Some(old) = running.take() {
                kill_process(old.pid, Signal::TERM)?;
                let _ = old.ending.await;
            }
            let option = format!("--conf-file={}", configuration_file.display());
            running = Some(children.spawn(Command::new(&arguments.dnsmasq).arg(option))?);
        } else if next.1 != current.1
            && let Some(running) = &running
        {
            kill_process(running.pid, Signal::HUP)?;
        }
        current = next;
        let Some(child) = &mut running else { return Err(Error::Ended) };
        tokio::select! {
            _ = terminate.recv() => {
                kill_process(child.pid, Signal::TERM)?;
                return Ok(());
            }
            _ = &mut child.ending => return Err(Error::Ended),
            () = changed.notified() => sleep(Duration::from_millis(200)).await,
        }
    }
}
