//! The open connections, how many there may be, and which of them is closed when there are more.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;
use tracing::{debug, warn};

use super::connection::{Connection, Phase};
use super::watched_stream::WatchedStream;

/// What one client, and all of them together, may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at the same time.
    pub max_connections: usize,
    /// Time from the first byte of a request's head (or the start of the connection) to its last.
    pub header_read_timeout: Duration,
    /// Time between two requests on a connection.
    pub idle_timeout: Duration,
    /// Size of a request's head.
    pub max_header_bytes: usize,
}

/// How often slow and idle connections are looked for: their limits are kept to this much.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// hyper's own lower bound for its read and write buffers.
const SMALLEST_BUFFER: usize = 8192;

/// All open connections.
pub(super) struct Connections {
    limits: Limits,
    router: Router,
    http: http1::Builder,
    open: Mutex<Table>,
    tasks: TaskTracker,
    closing: CancellationToken,
    epoch: Instant,
}

#[derive(Default)]
struct Table {
    next: u64,
    connections: HashMap<u64, Arc<Connection>>,
}

impl Connections {
    pub(super) fn new(limits: Limits, router: Router) -> Self {
        let mut http = http1::Builder::new();
        // hyper's own timeout has one length for slow heads and idle connections alike, and starts a timer per request.
        http.header_read_timeout(None);
        http.max_header_size(limits.max_header_bytes);
        http.max_buf_size(limits.max_header_bytes.max(SMALLEST_BUFFER));
        Self {
            limits,
            router,
            http,
            open: Mutex::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            epoch: Instant::now(),
        }
    }

    /// Serves what was accepted. When the table is full, the connection that has waited longest between two requests (or
    /// within the head of one) makes room: a client that only holds connections cannot keep others out. Breaks when the
    /// process is out of file descriptors.
    pub(super) fn admit(self: &Arc<Self>, accepted: io::Result<(TcpStream, SocketAddr)>) -> ControlFlow<()> {
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_about_one_connection(&error) => {
                debug!(%error, "a connection ended before it was accepted");
                return ControlFlow::Continue(());
            }
            Err(error) => {
                let made_room = self.make_room();
                warn!(%error, open = self.open(), made_room, "cannot accept a connection");
                return ControlFlow::Break(());
            }
        };
        if self.open() >= self.limits.max_connections && !self.make_room() {
            warn!(%remote, open = self.open(), "refused: every connection is being served");
            refuse(&stream);
            return ControlFlow::Continue(());
        }
        let connection = Arc::new(Connection::new(self.epoch));
        let key = {
            let mut table = self.table();
            table.next += 1;
            let key = table.next;
            table.connections.insert(key, Arc::clone(&connection));
            key
        };
        // Registered before it is spawned, so that it is taken out however its task ends.
        let registered = Registered { connections: Arc::clone(self), key };
        self.tasks.spawn(async move {
            registered.connections.serve(stream, remote, connection).await;
        });
        ControlFlow::Continue(())
    }

    async fn serve(&self, stream: TcpStream, remote: SocketAddr, connection: Arc<Connection>) {
        // Answers are written whole; waiting to put two into one packet would only delay them. Failing is harmless.
        let _ = stream.set_nodelay(true);
        // An IPv4 client of an IPv6 socket is written as it would be on an IPv4 one.
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        let router = self.router.clone();
        let service = service_fn(|mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(remote));
            let connection = Arc::clone(&connection);
            connection.request_begins();
            let answer = router.clone().call(request);
            async move {
                let answer = answer.await;
                connection.request_ends();
                answer
            }
        });
        let stream = WatchedStream { stream, connection: Arc::clone(&connection) };
        let mut http = std::pin::pin!(self.http.serve_connection(TokioIo::new(stream), service));
        let mut cut = std::pin::pin!(connection.cut.notified());
        let served = tokio::select! {
            biased;
            served = http.as_mut() => served,
            () = cut.as_mut() => return,
            () = self.closing.cancelled() => {
                http.as_mut().graceful_shutdown();
                tokio::select! {
                    biased;
                    served = http => served,
                    () = cut => return,
                }
            }
        };
        if let Err(error) = served {
            debug!(%remote, %error, "connection failed");
        }
    }

    /// Closes connections whose client is slower than the limits say. Does not return.
    pub(super) async fn cut_the_slow(&self) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            self.table().connections.retain(|_, connection| {
                let limit = match connection.phase() {
                    (Phase::Head, since) => (since, self.limits.header_read_timeout),
                    (Phase::Idle, since) => (since, self.limits.idle_timeout),
                    (Phase::Busy, _) => return true,
                };
                let keep = self.epoch.elapsed().saturating_sub(limit.0) < limit.1;
                if !keep {
                    connection.cut.notify_one();
                }
                keep
            });
        }
    }

    /// Closes the connection that has waited longest, if any waits.
    fn make_room(&self) -> bool {
        let mut table = self.table();
        let oldest = table
            .connections
            .iter()
            .filter_map(|(key, connection)| match connection.phase() {
                (Phase::Busy, _) => None,
                (_, since) => Some((since, *key)),
            })
            .min();
        let oldest = oldest.and_then(|(_, key)| table.connections.remove(&key));
        if let Some(connection) = &oldest {
            connection.cut.notify_one();
        }
        oldest.is_some()
    }

    /// From now on connections end with the request they are in.
    pub(super) fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
    }

    /// Returns once [`close`](Self::close) was called and every connection has ended.
    pub(super) async fn closed(&self) {
        self.tasks.wait().await;
    }

    /// Connections that count against the limit.
    pub(super) fn open(&self) -> usize {
        self.table().connections.len()
    }

    /// Requests whose answer is being made.
    pub(super) fn in_flight(&self) -> usize {
        self.table().connections.values().filter(|connection| connection.phase().0 == Phase::Busy).count()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics while it is held, and the table would be whole if it did.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the table, given back on drop.
struct Registered {
    connections: Arc<Connections>,
    key: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.connections.table().connections.remove(&self.key);
    }
}

/// Whether an error of `accept` concerns only the connection that it would have returned. accept(2)
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// Says that there is no room, as far as the socket's buffer takes it; nobody waits for a client here.
fn refuse(stream: &TcpStream) {
    let answer =
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\nretry-after: 1\r\n\r\n";
    let _ = stream.try_write(answer);
}
