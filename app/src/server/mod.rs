//! Sockets in front of a router: limits that a slow or hostile client cannot get round, and a shutdown that loses nothing.

mod connection;
mod connections;
mod listen;
mod watched_stream;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing::{info, warn};

use self::connections::Connections;
pub use self::connections::Limits;
pub use self::listen::{ListenError, listen};
use crate::health::Health;

/// How long a stop may take.
#[derive(Clone, Copy, Debug)]
pub struct Shutdown {
    /// From the signal until the listener closes.
    pub delay: Duration,
    /// From then until requests in flight are cut.
    pub timeout: Duration,
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every request was answered.
    Whole,
    /// This many requests were not.
    Cut(usize),
}

/// Serves `router` until `signals` yields, then stops in three steps:
///
/// 1. Readiness is false, answers ask clients to come back on another connection, and the listener goes on accepting
///    for `shutdown.delay`: until every kube-proxy and Ingress has heard that this endpoint is gone, they send to it.
/// 2. The listener closes. Who had connected before is still answered.
/// 3. Requests in flight have `shutdown.timeout`.
///
/// A second signal ends it at once.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    health: &Health,
    limits: Limits,
    shutdown: Shutdown,
    mut signals: mpsc::Receiver<&'static str>,
) -> Ended {
    let connections = Arc::new(Connections::new(limits, router));
    let _watch = AbortOnDrop(tokio::spawn({
        let connections = Arc::clone(&connections);
        async move { connections.cut_the_slow().await }
    }));

    let signal = accept_until(&listener, &connections, signals.recv()).await;
    // A sender that is gone can tell no more, and nobody could stop the service otherwise.
    let signal = signal.unwrap_or("end of signals");
    health.drain();
    info!(signal, delay = ?shutdown.delay, connections = connections.open(), "draining: not ready, still accepting");

    let mut again = pin!(async {
        match signals.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    });
    let second = accept_until(&listener, &connections, async {
        tokio::select! {
            () = tokio::time::sleep(shutdown.delay) => None,
            signal = &mut again => Some(signal),
        }
    })
    .await;
    if let Some(signal) = second {
        return cut(&connections, signal);
    }

    // What the kernel has already accepted for us would be reset when the listener closes.
    while let Some(Ok(accepted)) = listener.accept().now_or_never() {
        let _ = connections.admit(Ok(accepted));
    }
    drop(listener);
    connections.close();
    info!(timeout = ?shutdown.timeout, in_flight = connections.in_flight(), "closing: no more connections");

    tokio::select! {
        () = connections.closed() => {
            info!("stopped: every request was answered");
            Ended::Whole
        }
        () = tokio::time::sleep(shutdown.timeout) => cut(&connections, "shutdown timeout"),
        signal = again => cut(&connections, signal),
    }
}

fn cut(connections: &Connections, reason: &str) -> Ended {
    match connections.in_flight() {
        0 => {
            info!(reason, "stopped: every request was answered");
            Ended::Whole
        }
        requests => {
            warn!(reason, requests, "stopped: requests in flight were cut");
            Ended::Cut(requests)
        }
    }
}

/// Accepts connections until `end` is ready, and returns what it yields.
async fn accept_until<T>(listener: &TcpListener, connections: &Arc<Connections>, end: impl Future<Output = T>) -> T {
    let mut end = pin!(end);
    loop {
        tokio::select! {
            ended = &mut end => return ended,
            accepted = listener.accept() => {
                if connections.admit(accepted).is_break() {
                    // Out of file descriptors. The connection stays in the kernel's queue until one is free.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }
}

/// A task that ends with its owner.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
