//! A port of this machine that leads to a pod, through the API server: what `kubectl port-forward` does.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A listening port. It is closed when this is dropped.
pub(super) struct Forward {
    task: JoinHandle<()>,
}

impl Forward {
    /// Listens on a free port of the loopback interface. Each connection to it is one to the pod.
    pub(super) async fn begin(pods: Api<Pod>, pod: String, port: u16) -> io::Result<(Self, SocketAddr)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            // An error of one connection, for example too many open files, does not concern the next one.
            loop {
                if let Ok((connection, _)) = listener.accept().await {
                    tokio::spawn(forward(pods.clone(), pod.clone(), port, connection));
                }
            }
        });
        Ok((Self { task }, address))
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Forwards a connection. If the pod cannot be reached, the connection is closed: the client reports it.
async fn forward(pods: Api<Pod>, pod: String, port: u16, mut connection: TcpStream) {
    let Ok(mut forwarder) = pods.portforward(&pod, &[port]).await else { return };
    let Some(mut stream) = forwarder.take_stream(port) else { return };
    let _ = copy_bidirectional(&mut connection, &mut stream).await;
    drop(stream);
    forwarder.abort();
}
