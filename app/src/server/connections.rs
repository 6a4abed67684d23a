//! The open connections: their maximum number, their time limits, and which one is closed when there are too many.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::{interval, sleep};
use tokio_util::io::InspectReader;
use tower_service::Service;
use tracing::{debug, warn};

use crate::arguments::Limits;

/// Interval between checks for slow connections. A connection may exceed its limit by this much.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Pause after `accept` has failed because no file descriptor was free.
const ACCEPT_RETRY: Duration = Duration::from_millis(10);

/// hyper accepts no smaller buffer.
const MIN_BUFFER_BYTES: usize = 8192;

/// All open connections. Each is a task.
pub(super) struct Connections {
    limits: Limits,
    router: Router,
    http: http1::Builder,
    tasks: JoinSet<()>,
    open: HashMap<Id, Connection>,
    graceful: GracefulShutdown,
}

struct Connection {
    task: AbortHandle,
    /// The phase of the task, and its start.
    phase: Arc<watch::Sender<(Phase, Instant)>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between two requests.
    Idle,
    /// In the head of a request, or before the first one.
    Head,
    /// A request is being answered.
    Busy,
}

impl Connections {
    pub(super) fn new(limits: Limits, router: Router) -> Self {
        let mut http = http1::Builder::new();
        // hyper has a single timeout for slow heads and idle connections. `close_slow` applies two.
        http.header_read_timeout(None);
        http.max_header_size(limits.max_header_bytes);
        http.max_buf_size(limits.max_header_bytes.max(MIN_BUFFER_BYTES));
        let (tasks, open, graceful) = (JoinSet::new(), HashMap::new(), GracefulShutdown::new());
        Self { limits, router, http, tasks, open, graceful }
    }

    /// Accepts connections until `end` is ready, and returns its value.
    pub(super) async fn accept_until<T>(&mut self, listener: &TcpListener, end: impl Future<Output = T>) -> T {
        let mut end = pin!(end);
        let mut ticks = interval(POLL_INTERVAL);
        loop {
            tokio::select! {
                ended = &mut end => return ended,
                _ = ticks.tick() => self.close_slow(),
                accepted = listener.accept() => match accepted {
                    Ok((stream, remote)) => self.admit(stream, remote),
                    Err(error) if is_connection_error(&error) => {
                        debug!(%error, "a connection ended before it was accepted");
                    }
                    Err(error) => {
                        let made_room = self.make_room();
                        warn!(%error, open = self.open(), made_room, "cannot accept a connection");
                        // The connection stays in the kernel's queue until a file descriptor is free.
                        sleep(ACCEPT_RETRY).await;
                    }
                },
            }
        }
    }

    /// Serves the connections that wait in the kernel's queue, and then closes the listener, which would reset them. tokio's `accept` would
    /// not return all of them, because it makes a task pause after 128.
    ///
    /// # Errors
    /// No file descriptor is free.
    pub(super) fn admit_queued(&mut self, listener: TcpListener) -> io::Result<()> {
        let listener = listener.into_std()?;
        loop {
            match listener.accept() {
                Ok((stream, remote)) => {
                    stream.set_nonblocking(true)?;
                    self.admit(TcpStream::from_std(stream)?, remote);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if is_connection_error(&error) || error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Serves a connection. If there are too many, first closes the one that has waited longest, for a request or for the rest of its head:
    /// a client that only holds connections cannot keep others out.
    fn admit(&mut self, stream: TcpStream, remote: SocketAddr) {
        if self.open() >= self.limits.max_connections && !self.make_room() {
            warn!(%remote, open = self.open(), "refused: every connection is being served");
            refuse(&stream);
            return;
        }
        // Answers are written whole, so a delay that collects more bytes gains nothing. A failure is harmless.
        let _ = stream.set_nodelay(true);
        // The IPv4 client of an IPv6 socket is logged with its IPv4 address.
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        let phase = Arc::new(watch::Sender::new((Phase::Head, Instant::now())));
        let reading = Arc::clone(&phase);
        let stream = InspectReader::new(stream, move |bytes: &[u8]| {
            if !bytes.is_empty() && reading.borrow().0 == Phase::Idle {
                reading.send_replace((Phase::Head, Instant::now()));
            }
        });
        let (router, answering) = (self.router.clone(), Arc::clone(&phase));
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(remote));
            answering.send_replace((Phase::Busy, Instant::now()));
            let (answer, answering) = (router.clone().call(request), Arc::clone(&answering));
            async move {
                let answer = answer.await;
                answering.send_replace((Phase::Idle, Instant::now()));
                answer
            }
        });
        let http = self.graceful.watch(self.http.serve_connection(TokioIo::new(stream), service));
        let task = self.tasks.spawn(async move {
            if let Err(error) = http.await {
                debug!(%remote, %error, "connection failed");
            }
        });
        self.open.insert(task.id(), Connection { task, phase });
    }

    /// Closes each connection after its current request, and returns when none is left.
    pub(super) async fn close(&mut self) {
        let mut closed = pin!(std::mem::take(&mut self.graceful).shutdown());
        let mut ticks = interval(POLL_INTERVAL);
        loop {
            tokio::select! {
                () = &mut closed => return,
                _ = ticks.tick() => self.close_slow(),
            }
        }
    }

    /// Closes the connections that exceed their time limit.
    fn close_slow(&mut self) {
        self.open.retain(|_, Connection { task, phase }| {
            let (phase, since) = *phase.borrow();
            let is_slow = match phase {
                Phase::Head => since.elapsed() >= self.limits.header_read_timeout,
                Phase::Idle => since.elapsed() >= self.limits.idle_timeout,
                Phase::Busy => false,
            };
            if is_slow {
                task.abort();
            }
            !is_slow
        });
    }

    /// Closes the connection that has waited longest, if one waits.
    fn make_room(&mut self) -> bool {
        let waiting = self.open.iter().filter_map(|(id, connection)| match *connection.phase.borrow() {
            (Phase::Busy, _) => None,
            (_, since) => Some((since, *id)),
        });
        let longest = waiting.min_by_key(|(since, _)| *since).and_then(|(_, id)| self.open.remove(&id));
        if let Some(connection) = &longest {
            connection.task.abort();
        }
        longest.is_some()
    }

    /// Connections that count against the limit.
    pub(super) fn open(&mut self) -> usize {
        self.forget_ended();
        self.open.len()
    }

    /// Requests that are being answered.
    pub(super) fn in_flight(&mut self) -> usize {
        self.forget_ended();
        self.open.values().filter(|connection| connection.phase.borrow().0 == Phase::Busy).count()
    }

    fn forget_ended(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.open.remove(&ended.map_or_else(|error| error.id(), |(id, ())| id));
        }
    }
}

/// Whether an error of `accept` concerns only the connection that it would have returned. accept(2)
fn is_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset)
}

/// Answers with 503 if the socket's buffer accepts the answer immediately: the service does not wait for a client here.
fn refuse(stream: &TcpStream) {
    let answer =
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\nretry-after: 1\r\n\r\n";
    let _ = stream.try_write(answer);
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream as Client};

    use crate::arguments::Arguments;
    use crate::server::listen;

    use super::*;

    /// tokio makes a task pause after it has accepted 128 connections.
    #[tokio::test]
    async fn all_connections_that_wait_in_the_queue_are_served() {
        const CLIENTS: usize = 300;
        let limits = <Arguments as clap::Parser>::parse_from(["app"]).limits;
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let clients: Vec<Client> = (0..CLIENTS).map(|_| Client::connect(address).unwrap()).collect();
        let mut connections = Connections::new(limits, Router::new());
        connections.admit_queued(listener).unwrap();
        assert_eq!(connections.open(), CLIENTS);
        drop(clients);
        connections.close().await;
    }
}
