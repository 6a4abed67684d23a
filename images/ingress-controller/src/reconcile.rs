//! The loop: wait for a change, render, and reload when the text differs.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use kube::Client;
use tokio::time::sleep;

use crate::proxy::{self, Proxy};
use crate::render::{Rendered, Settings, render};
use crate::state::State;
use crate::watch::Watch;

/// Changes come in flocks: a rollout touches one Endpoints object many times within a second.
const SETTLE: Duration = Duration::from_millis(200);

/// Why the loop ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The copy of the cluster's objects is not kept up to date any more.
    #[error("a watch ended by itself")]
    Watch(#[from] controller::watch::WriterDropped),
    /// `HAProxy` ended or could not be driven.
    #[error(transparent)]
    Proxy(#[from] proxy::Error),
}

/// Serves until `shutdown` completes, then lets the connections end.
///
/// # Errors
///
/// When `HAProxy` ends by itself or cannot be started. Configurations that it refuses are logged, and the last good one
/// stays in force.
pub async fn run(
    client: Client,
    settings: &Settings,
    mut proxy: Proxy,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let watch = Watch::start(&client);
    let mut shutdown = pin!(shutdown);
    // Half a picture would answer 404 and 503 for what the other half knows.
    tokio::select! {
        ready = watch.ready() => ready?,
        () = &mut shutdown => return Ok(()),
    }
    let mut current = render(&watch.state(), settings);
    start(&mut proxy, &current, settings).await?;
    tracing::info!("caches complete, HAProxy started");
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            error = proxy.ended() => return Err(error.into()),
            () = watch.changed() => {
                sleep(SETTLE).await;
                update(&mut proxy, &mut current, render(&watch.state(), settings)).await;
            }
        }
    }
    tracing::info!("stopping: connections may end");
    proxy.stop().await?;
    Ok(())
}

/// Starts `HAProxy` with `wanted`, and when it refuses that, with no routes at all: 404 for everybody until the next
/// change, where ending would be the same for everybody and once more after each restart.
///
/// # Errors
///
/// When `HAProxy` cannot be driven, or refuses even that.
pub async fn start(proxy: &mut Proxy, wanted: &Rendered, settings: &Settings) -> Result<(), proxy::Error> {
    match apply(proxy, wanted).await {
        Err(error @ proxy::Error::Refused(_)) => {
            tracing::error!(%error, "starting without any routes");
            proxy.apply(&render(&State::default(), settings)).await
        }
        other => other,
    }
}

/// Applies `wanted`, and when it is refused, the same without certificates: one that was checked here may still be too weak
/// for `HAProxy`'s taste, and must not take everybody's routes with it.
///
/// # Errors
///
/// When `HAProxy` cannot be driven, or refuses that as well.
pub async fn apply(proxy: &mut Proxy, wanted: &Rendered) -> Result<(), proxy::Error> {
    match proxy.apply(wanted).await {
        Err(error @ proxy::Error::Refused(_)) if !wanted.certificates.is_empty() => {
            tracing::error!(%error, "going on without TLS");
            let plain = Rendered { configuration: wanted.configuration.clone(), ..Rendered::default() };
            proxy.apply(&plain).await
        }
        other => other,
    }
}

async fn update(proxy: &mut Proxy, current: &mut Rendered, next: Rendered) {
    if *current == next {
        return;
    }
    match apply(proxy, &next).await {
        Ok(()) => tracing::info!("configuration changed, HAProxy reloaded"),
        Err(error) => tracing::error!(%error, "configuration not changed"),
    }
    // Also after a failure: the same text would only fail again, and the next change brings another.
    *current = next;
}
