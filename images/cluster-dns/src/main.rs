//! The cluster DNS's program; see the library's documentation for why it exists.
//!
//! Exit codes: 0 after SIGTERM or SIGINT; 1 when the cluster's API cannot be set up or signals cannot be taken; 2 for a wrong
//! command line; 3 when dnsmasq cannot be driven or ended by itself.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use cluster_dns::render::{Settings, render};
use cluster_dns::server::{self, Server};
use cluster_dns::state::State;
use controller::children::Children;
use controller::shutdown;
use controller::watch::{Store, WriterDropped, follow};
use k8s_openapi::api::core::v1::{Endpoints, Service};
use kube::runtime::watcher::Config;
use kube::{Api, Client};
use tokio::sync::Notify;
use tokio::time::sleep;

/// Changes come in flocks: a rollout touches one Endpoints object many times within a second.
const SETTLE: Duration = Duration::from_millis(200);

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
    #[error("cannot listen to signals: {0}")]
    Signals(#[from] std::io::Error),
    #[error("cannot set up the cluster's API: {0}")]
    Client(#[from] kube::Error),
    #[error("a watch ended by itself")]
    Watch(#[from] WriterDropped),
    #[error(transparent)]
    Server(#[from] server::Error),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(if matches!(error, Error::Server(_)) { 3 } else { 1 })
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Error> {
    let shutdown = shutdown::requested()?;
    let settings = Settings {
        domain: arguments.domain,
        address: arguments.address,
        port: arguments.port,
        resolv_file: arguments.resolv_file,
        directory: arguments.directory,
    };
    let client = Client::try_default().await?;
    let server = Server::new(arguments.dnsmasq, settings.clone(), Children::new()?);
    serve(client, &settings, server, shutdown).await
}

async fn serve(
    client: Client,
    settings: &Settings,
    mut server: Server,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let changed = Arc::new(Notify::new());
    let services: Store<Service> = follow(Api::all(client.clone()), Config::default(), &changed);
    let endpoints: Store<Endpoints> = follow(Api::all(client), Config::default(), &changed);
    let mut shutdown = pin!(shutdown);
    // Half a picture would deny names that exist.
    tokio::select! {
        ready = async { services.wait_until_ready().await?; endpoints.wait_until_ready().await } => ready?,
        () = &mut shutdown => return Ok(()),
    }
    loop {
        let state = State { services: services.state(), endpoints: endpoints.state() };
        server.apply(&render(&state, settings)).await?;
        tokio::select! {
            () = &mut shutdown => break,
            error = server.ended() => return Err(error.into()),
            () = changed.notified() => sleep(SETTLE).await,
        }
    }
    server.stop().await?;
    Ok(())
}
