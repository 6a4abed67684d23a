//! The address that clients ask. Behind it dnsmasq may be replaced, and no question meets a closed port: from the moment at which
//! the next one listens it gets what comes in, and the last one keeps what it was asked before.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// How long a datagram's answer is waited for: no resolver waits longer before it asks again.
const DATAGRAM_PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection may last, whatever it is used for.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(30);

/// How many questions may be open at the same time. What comes beyond that waits in the sockets.
const QUESTIONS: usize = 500;

/// Without a description that is free nothing can be accepted; those in use come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A dnsmasq that can be asked.
#[derive(Clone, Debug)]
pub struct Upstream {
    address: SocketAddr,
    open: TaskTracker,
}

impl Upstream {
    /// One that listens at `address`.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, open: TaskTracker::new() }
    }

    /// Waits until all is answered that it was asked. To be called when nothing more is sent to it.
    pub async fn answered(&self) {
        self.open.close();
        self.open.wait().await;
    }
}

/// An upstream that a question is for, which ends no sooner than the question.
struct Asked {
    address: SocketAddr,
    _open: TaskTrackerToken,
}

impl Asked {
    /// The upstream of this moment. Its number of questions goes up under the lock under which it would be replaced.
    fn of(current: &watch::Receiver<Upstream>) -> Self {
        let upstream = current.borrow();
        Self { address: upstream.address, _open: upstream.open.token() }
    }
}

/// Sockets that hand on what they are asked.
#[derive(Debug)]
pub struct Relay {
    upstream: watch::Sender<Upstream>,
    listening: JoinSet<()>,
}

impl Relay {
    /// Listens at `address`, both ways that DNS is spoken.
    ///
    /// # Errors
    ///
    /// When the address cannot be had.
    pub async fn open(address: SocketAddr, first: Upstream) -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind(address).await?);
        let listener = TcpListener::bind(address).await?;
        let (upstream, current) = watch::channel(first);
        let mut listening = JoinSet::new();
        let places = Arc::new(Semaphore::new(QUESTIONS));
        listening.spawn(datagrams(socket, current.clone(), Arc::clone(&places)));
        listening.spawn(connections(listener, current, places));
        Ok(Self { upstream, listening })
    }

    /// Sends everything from now on to `upstream`.
    pub fn switch(&self, upstream: Upstream) {
        self.upstream.send_replace(upstream);
    }

    /// Listens no more.
    pub async fn close(mut self) {
        self.listening.shutdown().await;
    }
}

async fn datagrams(socket: Arc<UdpSocket>, current: watch::Receiver<Upstream>, places: Arc<Semaphore>) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        // An error is about one datagram.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let question = buffer.get(..length).unwrap_or_default().to_vec();
        let (socket, asked) = (Arc::clone(&socket), Asked::of(&current));
        tokio::spawn(async move {
            let answer = timeout(DATAGRAM_PATIENCE, ask(asked.address, &question)).await;
            if let Ok(Ok(answer)) = answer {
                // Who asked may be gone.
                let _ = socket.send_to(&answer, client).await;
            }
            drop((asked, place));
        });
    }
}

/// By a socket of the question's own: its port is what tells answers apart.
async fn ask(upstream: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(upstream).await?;
    socket.send(question).await?;
    let mut answer = vec![0; usize::from(u16::MAX)];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}

async fn connections(listener: TcpListener, current: watch::Receiver<Upstream>, places: Arc<Semaphore>) {
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((client, _)) => {
                tokio::spawn(connection(client, Asked::of(&current), place));
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn connection(mut client: TcpStream, asked: Asked, place: OwnedSemaphorePermit) {
    let whole = async {
        let mut upstream = TcpStream::connect(asked.address).await?;
        copy_bidirectional(&mut client, &mut upstream).await
    };
    // Either side may end it at any moment, and so does this one.
    let _ = timeout(CONNECTION_PATIENCE, whole).await;
    drop((asked, place));
}
