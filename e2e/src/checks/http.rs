//! Sends requests to the Ingress controller from outside the cluster.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::HOST;
use tokio::time::{Instant, sleep};

use container_engine::error_chain::error_chain;

/// Time limit for a response.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Pause between two requests for a host that is not served yet.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// A client that sends the host as a header, so that no name has to be resolved.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    address: SocketAddr,
}

impl Http {
    /// Creates a client for the Ingress controller at `address`.
    pub fn new(address: SocketAddr) -> Result<Self, reqwest::Error> {
        // This machine's proxy cannot reach the cluster.
        let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        Ok(Self { client, address })
    }

    /// Sends a request for a host, and returns the status and the body.
    ///
    /// # Errors
    /// A text with the reason, if there is no complete response.
    pub async fn get(&self, host: &str, path: &str) -> Result<(u16, String), String> {
        let request = self.client.get(format!("http://{}{path}", self.address)).header(HOST, host);
        let response = request.send().await.map_err(|error| error_chain(&error))?;
        let status = response.status().as_u16();
        Ok((status, response.text().await.map_err(|error| error_chain(&error))?))
    }

    /// Waits until `/` of a host returns 200.
    ///
    /// # Errors
    /// The first line of the last response, or the reason why there was none, if that takes longer than `timeout`.
    pub async fn wait_until_served(&self, host: &str, timeout: Duration) -> Result<(), String> {
        let started = Instant::now();
        loop {
            let last = match self.get(host, "/").await {
                Ok((200, _)) => return Ok(()),
                Ok((status, body)) => format!("{status}: {}", body.trim()),
                Err(reason) => reason,
            };
            if started.elapsed() > timeout {
                return Err(last.lines().next().unwrap_or_default().to_owned());
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}
