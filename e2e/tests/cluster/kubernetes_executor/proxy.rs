//! A proxy that disturbs or slows down the connections to the API server.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;

use crate::fixture::access;

/// A proxy in front of the API server, whose connections can be cut.
pub(super) struct Proxy {
    pub(super) address: String,
    is_cut: Arc<AtomicBool>,
    /// Number of times that all connections have stopped transferring data.
    silences: Arc<AtomicUsize>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    pub(super) fn new() -> Self {
        Self::with_rate(u64::MAX)
    }

    /// A proxy that passes on at most this many bytes per second of the API server's answers, on each connection.
    pub(super) fn with_rate(rate: u64) -> Self {
        let text = std::fs::read_to_string(access("kubeconfig")).expect("a kubeconfig");
        let server = text.lines().find_map(|line| line.trim().strip_prefix("server: https://")).expect("a server");
        let (server, listener) = (server.to_owned(), TcpListener::bind("127.0.0.1:0").expect("a port"));
        let address = format!("https://{}", listener.local_addr().expect("an address"));
        let (is_cut, connections) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (cut, all) = (Arc::clone(&is_cut), Arc::clone(&connections));
        let silences = Arc::new(AtomicUsize::new(0));
        let silent = Arc::clone(&silences);
        spawn(move || {
            for client in listener.incoming().flatten() {
                if cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&server) else { continue };
                let mut all = all.lock().expect("a lock");
                for (from, to, rate) in [(&client, &server, u64::MAX), (&server, &client, rate)] {
                    let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
                    all.push(from.try_clone().expect("a socket"));
                    let silent = Arc::clone(&silent);
                    spawn(move || copy(from, to, rate, &silent));
                }
            }
        });
        Self { address, is_cut, silences, connections }
    }

    /// Loses everything that is sent over the connections that exist now, without closing them.
    pub(super) fn silence(&self) {
        self.silences.fetch_add(1, Ordering::SeqCst);
    }

    /// Cuts all connections, and accepts no others for a while.
    pub(super) fn cut(&self, duration: Duration) {
        self.is_cut.store(true, Ordering::SeqCst);
        for connection in self.connections.lock().expect("a lock").drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        sleep(duration);
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

/// Copies until the end, or until all connections fall silent: from then on, everything is lost.
fn copy(mut from: TcpStream, mut to: TcpStream, rate: u64, silences: &AtomicUsize) {
    let mut buffer = [0; 16 * 1024];
    let before = silences.load(Ordering::SeqCst);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(_) if silences.load(Ordering::SeqCst) > before => {}
            Ok(count) if to.write_all(buffer.get(..count).unwrap_or_default()).is_ok() => {
                sleep(Duration::from_nanos(count as u64 * 1_000_000_000 / rate));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            _ => break,
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
