//! What happens around every request: its identifier, the body limit, metrics, the access log, and a net under panics.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::body::HttpBody;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tracing::info;

use crate::metrics::{UNKNOWN, method_label};
use crate::request_id::{RequestId, X_REQUEST_ID};
use crate::state::AppState;

/// The status that is recorded for a request whose client went away before the answer. nginx coined it.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Answers `request` by the rest of the stack and records that it did.
pub(crate) async fn observe(State(service): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let observation = Observation::begin(service, &request);
    let service = &observation.service;
    let response = if request.body().size_hint().lower() > service.max_body_bytes {
        StatusCode::PAYLOAD_TOO_LARGE.into_response()
    } else {
        // Handlers share only atomics and metrics with each other, which a panic leaves whole.
        AssertUnwindSafe(next.run(request))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
    };
    observation.end(response)
}

/// A request that is being answered. Dropped before its end, it was given up by the client.
struct Observation {
    service: Arc<AppState>,
    method: &'static str,
    route: Option<MatchedPath>,
    uri: Uri,
    remote: Option<SocketAddr>,
    request_id: RequestId,
    started: Instant,
    ended: bool,
}

impl Observation {
    fn begin(service: Arc<AppState>, request: &Request) -> Self {
        service.metrics.begin();
        Self {
            method: method_label(request.method()),
            route: request.extensions().get().cloned(),
            uri: request.uri().clone(),
            remote: request.extensions().get().map(|ConnectInfo(remote)| *remote),
            request_id: RequestId::of(request.headers()),
            started: Instant::now(),
            ended: false,
            service,
        }
    }

    fn end(mut self, mut response: Response) -> Response {
        self.ended = true;
        self.record(response.status());
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, self.request_id.to_header());
        if self.service.health.is_draining() {
            // The client is to come back on another connection, and through a Service to another pod.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn record(&self, status: StatusCode) {
        let duration = self.started.elapsed();
        let route = self.route.as_ref().map_or(UNKNOWN, MatchedPath::as_str);
        self.service.metrics.end(self.method, route, status.as_str(), duration.as_secs_f64());
        info!(
            target: "access",
            method = self.method,
            route,
            // The query is left out: it is where clients put secrets.
            path = self.uri.path(),
            status = status.as_u16(),
            duration_ms = (duration.as_secs_f64() * 1e6).round() / 1e3,
            remote = self.remote.map(tracing::field::display),
            request_id = self.request_id.as_str(),
        );
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        if !self.ended {
            self.record(StatusCode::from_u16(CLIENT_CLOSED_REQUEST).unwrap_or_default());
        }
    }
}
