//! Requests to the Ingress controller, as somebody outside of the cluster makes them.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::HOST;

use container_engine::error_chain::error_chain;

/// Time that an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client that asks for a host whatever names it knows.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    address: SocketAddr,
}

impl Http {
    /// One that asks the Ingress controller at `address`.
    ///
    /// # Errors
    /// When there can be none.
    pub fn new(address: SocketAddr) -> Result<Self, reqwest::Error> {
        // A proxy of this machine knows nothing of the cluster.
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Self { client, address })
    }

    /// The status and the body that it answers for a host, or what became of the request.
    ///
    /// # Errors
    /// In words, when there is no whole answer.
    pub async fn get(&self, host: &str, path: &str) -> Result<(u16, String), String> {
        let request = self.client.get(format!("http://{}{path}", self.address)).header(HOST, host);
        let response = request.send().await.map_err(|error| error_chain(&error))?;
        let status = response.status().as_u16();
        Ok((status, response.text().await.map_err(|error| error_chain(&error))?))
    }
}
