//! The metrics and the access log of every request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::Response;
use tracing::info;

use crate::metrics::{UNKNOWN, method_label};
use crate::request_id::request_id;
use crate::state::AppState;

/// The status that is recorded if the client disconnects before the answer. nginx introduced it.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Passes `request` to the inner layers, and records their answer.
pub(crate) async fn observe(State(state): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let mut observation = Observation::start(state, &request);
    let mut response = next.run(request).await;
    observation.status = response.status().as_u16();
    if observation.state.health.is_draining() {
        // The client must open another connection for its next request, and the Service routes that to another pod.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A request that is being answered. It is recorded on drop, because hyper drops the future of [`observe`] when the client
/// disconnects.
struct Observation {
    state: Arc<AppState>,
    method: &'static str,
    route: Option<MatchedPath>,
    uri: Uri,
    remote: Option<SocketAddr>,
    request_id: String,
    started: Instant,
    status: u16,
}

impl Observation {
    fn start(state: Arc<AppState>, request: &Request) -> Self {
        state.metrics.request_started();
        Self {
            state,
            method: method_label(request.method()),
            route: request.extensions().get().cloned(),
            uri: request.uri().clone(),
            remote: request.extensions().get().map(|ConnectInfo(remote)| *remote),
            request_id: request_id(request).to_owned(),
            started: Instant::now(),
            status: CLIENT_CLOSED_REQUEST,
        }
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        let seconds = self.started.elapsed().as_secs_f64();
        let route = self.route.as_ref().map_or(UNKNOWN, MatchedPath::as_str);
        self.state.metrics.request_ended(self.method, route, self.status, seconds);
        info!(
            target: "access",
            method = self.method,
            route,
            // Without the query, where clients put secrets.
            path = self.uri.path(),
            status = self.status,
            duration_ms = (seconds * 1e6).round() / 1e3,
            remote = self.remote.map(tracing::field::display),
            request_id = self.request_id,
        );
    }
}
