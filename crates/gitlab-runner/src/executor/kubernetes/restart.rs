//! Refusals of an API server that was restarted: it serves before it has read the Roles, and then refuses every request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, StatusCode};
use kube::Client;
use kube::client::Body;
use tokio::time::Instant;
use tower::BoxError;

/// Maximum time from the last missing answer of a restarted API server until it knows all permissions.
const MAX_RESTART: Duration = Duration::from_secs(30);

/// An API server that was restarted refused a request that it may accept soon.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the API server was restarted and refuses the request, perhaps because it does not know the Roles yet")]
pub(super) struct Restarted;

/// When the API server last did not answer. All users of a [client](Self::watch) share this.
#[derive(Clone, Debug, Default)]
pub(super) struct Restarts(Arc<Mutex<Option<Instant>>>);

impl Restarts {
    /// A client that fails with [`Restarted`] where `client` is refused soon after a missing answer.
    pub(super) fn watch(&self, client: Client) -> Client {
        let namespace = client.default_namespace().to_owned();
        let restarts = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (client, restarts) = (client.clone(), restarts.clone());
            async move {
                let answer = client.send(request).await;
                let status = answer.as_ref().map(http::Response::status);
                if status.is_err() || status.is_ok_and(|status| status.is_server_error()) {
                    restarts.note_missing_answer();
                }
                if status.is_ok_and(|status| status == StatusCode::FORBIDDEN) && restarts.may_withdraw_refusal() {
                    return Err(Restarted.into());
                }
                answer.map_err(BoxError::from)
            }
        });
        Client::new(service, namespace)
    }

    /// Notes that an answer is missing. The client cannot see when an established connection is lost.
    pub(super) fn note_missing_answer(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether the API server was restarted recently, so that it may soon accept a request that it refuses now.
    pub(super) fn may_withdraw_refusal(&self) -> bool {
        let unanswered = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        unanswered.is_some_and(|at| at.elapsed() < MAX_RESTART)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http::Response;
    use k8s_openapi::api::core::v1::Pod;
    use kube::Api;
    use rstest::rstest;

    use super::super::api::retry;
    use super::*;

    /// A client of an API server that gives these answers in this order, and repeats the last one. 0 means no answer.
    fn client(answers: &'static [u16]) -> Client {
        let answers = Arc::new(Mutex::new(VecDeque::from_iter(answers)));
        let service = tower::service_fn(move |_: Request<Body>| {
            let mut answers = answers.lock().unwrap();
            let code = if answers.len() > 1 { answers.pop_front() } else { answers.front().copied() };
            let code = code.copied().unwrap();
            async move {
                let text = match code {
                    0 => return Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)),
                    200 => r#"{"metadata": {"name": "p"}}"#.to_owned(),
                    code => format!(r#"{{"status": "Failure", "message": "no", "code": {code}}}"#),
                };
                Ok(Response::builder().status(code).body(Body::from(text.into_bytes())).unwrap())
            }
        });
        Restarts::default().watch(Client::new(service, "n"))
    }

    /// The status of the last answer, if there is one, or else the message.
    async fn result(client: &Client) -> Result<(), String> {
        let pods = Api::<Pod>::default_namespaced(client.clone());
        let result = retry(|| pods.get("p")).await;
        result.map(drop).map_err(|error| error.code.map_or(error.message, |code| code.to_string()))
    }

    #[rstest]
    #[case::refused(&[403], Err("403".to_owned()))]
    #[case::restarted(&[0, 403, 403, 200], Ok(()))]
    #[case::behind_a_load_balancer(&[503, 403, 200], Ok(()))]
    #[case::slow(&[0, 0, 0, 0, 403, 403, 403, 200], Ok(()))]
    #[case::the_permission_is_missing(&[0, 403], Err("403".to_owned()))]
    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_final_unless_the_api_server_was_restarted(
        #[case] answers: &'static [u16],
        #[case] expected: Result<(), String>,
    ) {
        assert_eq!(result(&client(answers)).await, expected);
    }

    /// As at the end of a job: one request notices the restart, the next one is refused.
    #[tokio::test(start_paused = true)]
    async fn all_requests_know_of_the_restart() {
        let client = client(&[0, 200, 403, 200]);
        assert_eq!((result(&client).await, result(&client).await), (Ok(()), Ok(())));
    }
}
