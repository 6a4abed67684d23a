//! Sends requests to the Ingress controller from outside the cluster.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::HOST;

use container_engine::error_chain::error_chain;

/// Time limit for a response.
const TIMEOUT: Duration = Duration::from_secs(10);

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
}
