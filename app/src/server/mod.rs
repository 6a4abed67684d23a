//! Serves a router on a socket, with limits for slow and hostile clients, and with a shutdown that loses no request.

mod connections;
mod listen;
mod signals;

use axum::Router;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use self::connections::Connections;
pub use self::listen::listen;
pub use self::signals::Signals;
use crate::arguments::{Limits, Shutdown};
use crate::health::Health;

/// Serves `router` until a signal arrives, then stops in three steps:
///
/// 1. The service reports "not ready", asks clients to use another connection, and keeps accepting for `shutdown.delay`:
///    kube-proxy and Ingress controllers send requests until they have processed the change of the endpoints.
/// 2. The listener closes. Each connection closes after its current request, idle connections at once.
/// 3. Requests in flight have up to `shutdown.timeout` to complete.
///
/// A second signal ends the service immediately. Returns the number of requests that were cut.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    health: &Health,
    limits: Limits,
    shutdown: Shutdown,
    mut signals: Signals,
) -> usize {
    let mut connections = Connections::new(limits, router);
    let signal = connections.accept_until(&listener, signals.next()).await;

    health.drain();
    info!(signal, delay = ?shutdown.delay, connections = connections.open(), "draining: not ready, still accepting");
    if let Ok(signal) = connections.accept_until(&listener, timeout(shutdown.delay, signals.next())).await {
        return cut(&mut connections, signal);
    }

    if let Err(error) = connections.admit_queued(listener) {
        warn!(%error, "cannot accept the last connections");
    }

    info!(timeout = ?shutdown.timeout, in_flight = connections.in_flight(), "closing: no more connections");
    let reason = tokio::select! {
        () = connections.close() => {
            info!("stopped: every request was answered");
            return 0;
        }
        () = sleep(shutdown.timeout) => "shutdown timeout",
        signal = signals.next() => signal,
    };
    cut(&mut connections, reason)
}

fn cut(connections: &mut Connections, reason: &str) -> usize {
    let requests = connections.in_flight();
    if requests == 0 {
        info!(reason, "stopped: every request was answered");
    } else {
        warn!(reason, requests, "stopped: requests in flight were cut");
    }
    requests
}
