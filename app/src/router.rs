//! Every route of the service, and the layers around them.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state, map_request};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;
use tracing::debug_span;

use crate::host::require_host;
use crate::observe::observe;
use crate::request_id::{RandomId, remove_invalid_id, request_id};
use crate::routes::{self, fault};
use crate::state::AppState;

/// The routes. They need no socket, so tests call them in process.
pub fn router(state: Arc<AppState>) -> Router {
    let mut router = Router::new()
        .route("/", get(routes::home))
        .route("/health", get(routes::health))
        .route("/livez", get(routes::livez))
        .route("/readyz", get(routes::readyz))
        .route("/version", get(routes::version))
        .route("/metrics", get(routes::metrics));
    if state.faults {
        router = router
            .route("/fault/delay", get(fault::delay))
            .route("/fault/status", get(fault::status))
            .route("/fault/resolve", get(fault::resolve))
            .route("/fault/unready", post(fault::unready))
            .route("/fault/hang", post(fault::hang))
            .route("/fault/panic", post(fault::panic));
    }
    // With `--log-filter debug`, each line that a handler logs names the request.
    let request_span =
        |request: &Request| debug_span!("request", request_id = request_id(request), path = request.uri().path());
    // The panic hook has already logged the panic with its location.
    let answer_to_panic = |_: Box<dyn Any + Send>| StatusCode::INTERNAL_SERVER_ERROR.into_response();
    // A request passes the layers from top to bottom, its answer from bottom to top.
    let layers = ServiceBuilder::new()
        .layer(map_request(remove_invalid_id))
        .layer(SetRequestIdLayer::x_request_id(RandomId))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(from_fn_with_state(Arc::clone(&state), observe))
        // Without `on_failure`, which would log each 500 of `/health` as an error.
        .layer(TraceLayer::new_for_http().make_span_with(request_span).on_failure(()))
        .layer(CatchPanicLayer::custom(answer_to_panic))
        .layer(from_fn(require_host))
        .layer(RequestBodyLimitLayer::new(state.max_body_bytes));
    router
        .fallback(async || (StatusCode::NOT_FOUND, "404 page not found\n"))
        // Last, so that the layers also apply to the fallback and to answers with 405.
        .layer(layers)
        .with_state(state)
}
