#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! The crate root has the connection: [`connect`], [`is_local`] and [`error_message`].
//!
//! 1. [`error_chain`] formats an error with its causes. [`labels`] names the labels and environment variables. [`ownership`] identifies
//!    processes. These three depend on nothing else in the crate.
//! 2. [`labeled`] lists resources by label. [`creating`] determines whether the engine is still creating containers. [`pull`] pulls
//!    images. All three take a connection.

#![warn(missing_docs, clippy::missing_errors_doc)]

pub mod creating;
pub mod error_chain;
pub mod labeled;
pub mod labels;
pub mod ownership;
pub mod pull;

use std::time::Duration;

use bollard::Docker;

/// Maximum time to wait for an engine's answer.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// The reason why no engine can be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No program listens at the address, or that program is not an engine.
    #[error("no container engine answers at {address}")]
    NoAnswer {
        /// The value of `DOCKER_HOST`, or Docker's default socket.
        address: String,
        /// The error of the connection.
        #[source]
        source: bollard::errors::Error,
    },
    /// The address accepts connections, but the engine does not answer in time.
    #[error("the container engine at {address} does not answer within {} s", TIMEOUT.as_secs())]
    TimedOut {
        /// The value of `DOCKER_HOST`, or Docker's default socket.
        address: String,
    },
}

/// Whether this process can reach containers by their IP addresses. This is assumed when this machine runs Linux and the engine
/// listens on a Unix socket. A virtual machine between the two cannot be detected.
pub fn is_local() -> bool {
    cfg!(target_os = "linux") && address(std::env::var("DOCKER_HOST").ok()).starts_with("unix://")
}

/// The engine's own message in an error, without the text that the client library adds.
pub fn error_message(error: &bollard::errors::Error) -> String {
    use bollard::errors::Error;
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        Error::DockerStreamError { error } | Error::DockerContainerWaitError { error, .. } => error.clone(),
        other => other.to_string(),
    }
}

/// The address of the engine. An empty `DOCKER_HOST` counts as not set, as in Docker's own client.
fn address(docker_host: Option<String>) -> String {
    let chosen = docker_host.filter(|address| !address.is_empty());
    chosen.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned())
}

/// Connects to the engine that `DOCKER_HOST` names, or else to `/var/run/docker.sock`, and pings it.
///
/// # Errors
/// No engine answers at that address within [`TIMEOUT`]. Start an engine or correct `DOCKER_HOST`.
pub async fn connect() -> Result<Docker, EngineError> {
    let address = address(std::env::var("DOCKER_HOST").ok());
    let no_answer = |source| EngineError::NoAnswer { address: address.clone(), source };
    let docker = Docker::connect_with_host(&address).map_err(no_answer)?;
    match tokio::time::timeout(TIMEOUT, docker.ping()).await {
        Err(_) => Err(EngineError::TimedOut { address }),
        Ok(Err(error)) => Err(no_answer(error)),
        Ok(Ok(_)) => Ok(docker),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    #[rstest]
    #[case::another_engine(Some("tcp://192.0.2.1:2375"), "tcp://192.0.2.1:2375")]
    #[case::empty(Some(""), "unix:///var/run/docker.sock")]
    #[case::not_set(None, "unix:///var/run/docker.sock")]
    fn the_address_of_the_engine(#[case] docker_host: Option<&str>, #[case] expected: &str) {
        assert_eq!(super::address(docker_host.map(str::to_owned)), expected);
    }
}
