//! The Ingress controller's program; see the library's documentation for why it exists.
//!
//! Exit codes: 0 after SIGTERM or SIGINT, with the connections ended; 1 when the cluster's API cannot be set up or
//! signals cannot be taken; 2 for a wrong command line; 3 when `HAProxy` cannot be driven or ended by itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use controller::children::Children;
use controller::shutdown;
use ingress_controller::proxy::Proxy;
use ingress_controller::reconcile;
use ingress_controller::render::Settings;
use kube::Client;

/// Serves the Ingresses of one class with Debian's `HAProxy`.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The class to serve.
    #[arg(long, default_value = "traefik")]
    ingress_class: String,
    /// The address of all three ports.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    address: IpAddr,
    /// The port of plain HTTP.
    #[arg(long, default_value_t = 80)]
    http_port: u16,
    /// The port of TLS.
    #[arg(long, default_value_t = 443)]
    https_port: u16,
    /// The port of /healthz, which answers once the first configuration is in force.
    #[arg(long, default_value_t = 8081)]
    health_port: u16,
    /// The folder for the configuration and the certificates; writable, best in memory.
    #[arg(long, default_value = "/run/ingress-controller")]
    directory: PathBuf,
    /// The program to drive.
    #[arg(long, default_value = "haproxy")]
    haproxy: PathBuf,
    /// How long connections may take to end after a reload or at the end, in seconds.
    #[arg(long, default_value_t = 20)]
    drain_seconds: u32,
}

/// What ends the program early.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot listen to signals: {0}")]
    Signals(#[from] std::io::Error),
    #[error("cannot set up the cluster's API: {0}")]
    Client(#[from] kube::Error),
    #[error(transparent)]
    Controller(#[from] reconcile::Error),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(if matches!(error, Error::Controller(_)) { 3 } else { 1 })
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Error> {
    let shutdown = shutdown::requested()?;
    let settings = Settings {
        ingress_class: arguments.ingress_class,
        http: SocketAddr::new(arguments.address, arguments.http_port),
        https: SocketAddr::new(arguments.address, arguments.https_port),
        health: SocketAddr::new(arguments.address, arguments.health_port),
        directory: arguments.directory.clone(),
        drain_seconds: arguments.drain_seconds,
    };
    let client = Client::try_default().await?;
    let proxy = Proxy::new(arguments.haproxy, arguments.directory, Children::new()?);
    reconcile::run(client, &settings, proxy, shutdown).await?;
    Ok(())
}
