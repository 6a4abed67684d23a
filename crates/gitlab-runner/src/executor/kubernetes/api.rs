//! Requests to the API server: their errors, timeouts and retries.

use std::time::Duration;

use container_engine::error_chain::error_chain;
use kube::client::UpgradeConnectionError;
use tokio::time::{Instant, timeout};

use super::restart::Restarted;

/// Maximum time for one request that is answered at once.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum number of attempts of a request: `executors/kubernetes/kubernetes.go`.
const MAX_ATTEMPTS: u32 = 5;

/// The shortest and the longest pause between two attempts: `executors/kubernetes/kubernetes.go`.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));

/// The pause before the attempt after `attempt`, which counts from 1 on.
pub(super) fn pause(attempt: u32) -> Duration {
    let (shortest, longest) = PAUSES;
    shortest.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1))).min(longest)
}

/// The API server refused a request, or did not answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct ApiError {
    /// The message of the API server, or the cause of a missing answer.
    pub(super) message: String,
    /// The status of the answer.
    pub(super) code: Option<u16>,
    pub(super) kind: Kind,
}

/// The meaning of a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The same request would fail again.
    Final,
    /// The same request may succeed later.
    Temporary,
    /// A [refusal](Restarted) that may be withdrawn soon.
    Restarted,
    /// An object of this name exists already.
    Taken,
    /// The object of this name is not the one, or not the version, that the request names.
    Replaced,
}

impl Kind {
    fn temporary_if(may_succeed_later: bool) -> Self {
        if may_succeed_later { Self::Temporary } else { Self::Final }
    }
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) => {
                let message = if status.message.is_empty() { &status.reason } else { &status.message };
                let kind = match status.reason.as_str() {
                    "AlreadyExists" => Kind::Taken,
                    // `k8s.io/apiserver/pkg/storage/interfaces.go`, `Preconditions.Check`
                    "Conflict" if message.contains("Precondition failed") => Kind::Replaced,
                    // Several pods change a quota at the same time.
                    "Conflict" => Kind::Temporary,
                    _ => Kind::temporary_if(matches!(status.code, 408 | 429 | 500 | 502..=504)),
                };
                Self { message: message.clone(), code: Some(status.code), kind }
            }
            kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(code)) => Self {
                message: format!("the API server answered {code} in place of a WebSocket"),
                code: Some(code.as_u16()),
                kind: Kind::temporary_if(code.is_server_error()),
            },
            kube::Error::Service(cause) if cause.is::<Restarted>() => {
                Self { message: Restarted.to_string(), code: None, kind: Kind::Restarted }
            }
            _ => {
                let is_temporary = matches!(
                    error,
                    kube::Error::HyperError(_)
                        | kube::Error::Service(_)
                        | kube::Error::ReadEvents(_)
                        | kube::Error::UpgradeConnection(_)
                );
                Self::without_answer(error_chain(&error), is_temporary)
            }
        }
    }
}

impl ApiError {
    /// An error without an answer of the API server.
    pub(super) fn without_answer(message: String, is_temporary: bool) -> Self {
        Self { message, code: None, kind: Kind::temporary_if(is_temporary) }
    }

    /// Whether the object does not exist.
    pub(super) fn is_missing(&self) -> bool {
        self.code == Some(404)
    }
}

/// Waits for the answer to one request.
pub(super) async fn call<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, ApiError> {
    let silent =
        |_| ApiError::without_answer(format!("the API server did not answer within {} s", TIMEOUT.as_secs()), true);
    timeout(TIMEOUT, request).await.map_err(silent)?.map_err(ApiError::from)
}

/// Sends a request until it is answered or there were too many attempts.
pub(super) async fn retry<T, Request: Future<Output = Result<T, kube::Error>>>(
    request: impl Fn() -> Request,
) -> Result<T, ApiError> {
    retry_while(request, |attempt| attempt < MAX_ATTEMPTS).await
}

/// Sends a request until it is answered, at least once, but not again after `deadline`.
pub(super) async fn retry_until<T, Request: Future<Output = Result<T, kube::Error>>>(
    deadline: Instant,
    request: impl Fn() -> Request,
) -> Result<T, ApiError> {
    retry_while(request, |_| Instant::now() < deadline).await
}

async fn retry_while<T, Request: Future<Output = Result<T, kube::Error>>>(
    request: impl Fn() -> Request,
    may_continue: impl Fn(u32) -> bool,
) -> Result<T, ApiError> {
    let mut attempt = 1;
    loop {
        let error = match call(request()).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let may_repeat = match error.kind {
            // The client limits the time of these refusals.
            Kind::Restarted => true,
            Kind::Temporary => may_continue(attempt),
            _ => false,
        };
        if !may_repeat {
            return Err(error);
        }
        tokio::time::sleep(pause(attempt)).await;
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::quota(403, "exceeded quota: pods", false)]
    #[case::not_found(404, "pods \"x\" not found", false)]
    #[case::busy(429, "too many requests", true)]
    #[case::no_leader(500, "etcdserver: leader changed", true)]
    #[case::starting(503, "apiserver not ready", true)]
    fn only_temporary_errors_are_retried(#[case] code: u16, #[case] message: &str, #[case] is_temporary: bool) {
        let status = kube::core::Status { code, message: message.to_owned(), ..kube::core::Status::default() };
        let error = ApiError::from(kube::Error::Api(status.boxed()));
        assert_eq!(
            (error.code, error.kind, error.to_string().as_str()),
            (Some(code), Kind::temporary_if(is_temporary), message)
        );
    }

    #[rstest]
    #[case::quota(
        "Operation cannot be fulfilled on resourcequotas \"q\": the object has been modified",
        Kind::Temporary
    )]
    #[case::another_object(
        "Operation cannot be fulfilled on pods \"p\": Precondition failed: UID in precondition: a, UID in object meta: b",
        Kind::Replaced
    )]
    fn a_conflict_with_another_object_is_final(#[case] message: &str, #[case] expected: Kind) {
        let (reason, message) = ("Conflict".to_owned(), message.to_owned());
        let status = kube::core::Status { code: 409, reason, message, ..kube::core::Status::default() };
        assert_eq!(ApiError::from(kube::Error::Api(status.boxed())).kind, expected);
    }

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let pauses: Vec<_> = (1..=5).map(|attempt| pause(attempt).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 2000, 2000]);
    }
}
