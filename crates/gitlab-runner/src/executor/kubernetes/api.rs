//! Requests to the API server: their errors, timeouts and retries.

use std::time::Duration;

use container_engine::error_chain::error_chain;
use kube::client::UpgradeConnectionError;
use tokio::time::{Instant, timeout};

/// Maximum time for one request that is answered at once.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum number of attempts of a request: `executors/kubernetes/kubernetes.go`.
const MAX_ATTEMPTS: u32 = 5;

/// The shortest and the longest pause between two attempts: `executors/kubernetes/kubernetes.go`.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));

/// Maximum time from the last missing answer of an API server that is restarted until it knows all permissions.
const RESTART: Duration = Duration::from_secs(30);

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
    /// Whether the same request may succeed later.
    pub(super) is_temporary: bool,
    /// Whether an object of this name exists already.
    pub(super) is_taken: bool,
    /// Whether the object of this name is not the one, or not the version, that the request names.
    pub(super) is_replaced: bool,
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) => {
                let message = if status.message.is_empty() { &status.reason } else { &status.message };
                // `k8s.io/apiserver/pkg/storage/interfaces.go`, `Preconditions.Check`
                let is_replaced = status.reason == "Conflict" && message.contains("Precondition failed");
                // A quota that several pods change at the same time answers `Conflict`.
                let is_conflict = status.reason == "Conflict" && !is_replaced;
                let is_temporary = matches!(status.code, 408 | 429 | 500 | 502..=504) || is_conflict;
                let is_taken = status.reason == "AlreadyExists";
                Self { message: message.clone(), code: Some(status.code), is_temporary, is_taken, is_replaced }
            }
            kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(code)) => Self {
                message: format!("the API server answered {code} in place of a WebSocket"),
                code: Some(code.as_u16()),
                is_temporary: code.is_server_error(),
                is_taken: false,
                is_replaced: false,
            },
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
        Self { message, code: None, is_temporary, is_taken: false, is_replaced: false }
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

/// Recognizes refusals of an API server that was restarted: it serves before it has read the Roles, and then refuses every request.
#[derive(Debug, Default)]
pub(super) struct Restart {
    /// When the API server last did not answer.
    unanswered: Option<Instant>,
}

impl Restart {
    /// Notes that an answer is missing.
    pub(super) fn note_missing_answer(&mut self) {
        self.unanswered = Some(Instant::now());
    }

    /// Whether a refusal may be withdrawn soon.
    pub(super) fn explains_refusal(&self) -> bool {
        self.unanswered.is_some_and(|at| at.elapsed() < RESTART)
    }
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
    let (mut attempt, mut restart) = (1, Restart::default());
    loop {
        let error = match call(request()).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if error.code.is_none() {
            restart.note_missing_answer();
        }
        let is_restart = error.code == Some(403) && restart.explains_refusal();
        let may_repeat = is_restart || error.is_temporary && may_continue(attempt);
        if !may_repeat {
            return Err(error);
        }
        tokio::time::sleep(pause(attempt)).await;
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

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
        assert_eq!((error.code, error.is_temporary, error.to_string().as_str()), (Some(code), is_temporary, message));
    }

    #[rstest]
    #[case::quota("Operation cannot be fulfilled on resourcequotas \"q\": the object has been modified", true, false)]
    #[case::another_object(
        "Operation cannot be fulfilled on pods \"p\": Precondition failed: UID in precondition: a, UID in object meta: b",
        false,
        true
    )]
    fn a_conflict_with_another_object_is_final(
        #[case] message: &str,
        #[case] is_temporary: bool,
        #[case] is_replaced: bool,
    ) {
        let (reason, message) = ("Conflict".to_owned(), message.to_owned());
        let status = kube::core::Status { code: 409, reason, message, ..kube::core::Status::default() };
        let error = ApiError::from(kube::Error::Api(status.boxed()));
        assert_eq!((error.is_temporary, error.is_replaced), (is_temporary, is_replaced));
    }

    fn refused() -> kube::Error {
        kube::Error::Api(kube::core::Status { code: 403, ..kube::core::Status::default() }.boxed())
    }

    /// The number of requests until there is a result, which is the status of an error.
    async fn sent(answers: Vec<Result<(), kube::Error>>) -> (usize, Result<(), Option<u16>>) {
        let (answers, count) = (RefCell::new(answers.into_iter()), Cell::new(0));
        let result = retry(|| {
            count.set(count.get() + 1);
            let answer = answers.borrow_mut().next().unwrap();
            async { answer }
        });
        let result = result.await.map_err(|error| error.code);
        (count.get(), result)
    }

    #[tokio::test]
    async fn a_refusal_counts_unless_the_api_server_was_restarted() {
        assert_eq!(sent(vec![Err(refused())]).await, (1, Err(Some(403))));
        let lost = kube::Error::Service("connection refused".into());
        assert_eq!(sent(vec![Err(lost), Err(refused()), Ok(())]).await, (3, Ok(())));
    }

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let pauses: Vec<_> = (1..=5).map(|attempt| pause(attempt).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 2000, 2000]);
    }
}
