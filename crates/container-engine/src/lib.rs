//! The container engine, found as Docker's own client finds it.

pub mod error_chain;
pub mod labels;
pub mod ownership;
pub mod pull;
use std::time::Duration;

use bollard::Docker;

/// Time that an engine has to answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Why no engine can be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nothing listens, or something else does.
    #[error("no container engine answers at {address}")]
    NoAnswer {
        /// Where it was looked for.
        address: String,
        /// What the connection said.
        #[source]
        source: bollard::errors::Error,
    },
    /// It listens, and says nothing.
    #[error("the container engine at {address} does not answer within {} s", PATIENCE.as_secs())]
    TimedOut {
        /// Where it is.
        address: String,
    },
}

/// Whether addresses of containers are addresses of this machine's own networks, as far as one can tell: the engine listens on
/// a socket, and nothing virtual is between it and this program.
pub fn is_local() -> bool {
    let address = std::env::var("DOCKER_HOST").unwrap_or_default();
    cfg!(target_os = "linux") && (address.is_empty() || address.starts_with("unix://"))
}

/// What an engine says of something that went wrong, without what a library says around it.
pub fn said(error: &bollard::errors::Error) -> String {
    use bollard::errors::Error;
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        Error::DockerStreamError { error } | Error::DockerContainerWaitError { error, .. } => error.clone(),
        other => other.to_string(),
    }
}

/// The engine that `DOCKER_HOST` names, or the one of this machine.
///
/// # Errors
/// When it does not answer.
pub async fn connect() -> Result<Docker, EngineError> {
    let address = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let no_answer = |source| EngineError::NoAnswer { address: address.clone(), source };
    let docker = Docker::connect_with_defaults().map_err(no_answer)?;
    match tokio::time::timeout(PATIENCE, docker.ping()).await {
        Err(_) => Err(EngineError::TimedOut { address }),
        Ok(Err(error)) => Err(no_answer(error)),
        Ok(Ok(_)) => Ok(docker),
    }
}
