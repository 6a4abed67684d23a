//! Every route of the service.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

use crate::host::require_host;
use crate::observe::observe;
use crate::routes::{fault, home, metrics, probes, version};
use crate::state::AppState;

/// The routes. They answer in process as they do behind a socket.
pub fn router(state: Arc<AppState>) -> Router {
    let mut router = Router::new()
        .route("/", get(home::home))
        .route("/health", get(probes::health))
        .route("/livez", get(probes::livez))
        .route("/readyz", get(probes::readyz))
        .route("/version", get(version::version))
        .route("/metrics", get(metrics::metrics));
    if state.faults {
        router = router
            .route("/fault/delay", get(fault::delay))
            .route("/fault/status", get(fault::status))
            .route("/fault/unready", post(fault::unready))
            .route("/fault/hang", post(fault::hang))
            .route("/fault/panic", post(fault::panic));
    }
    router
        .fallback(async || (StatusCode::NOT_FOUND, "404 page not found\n"))
        .layer(from_fn(require_host))
        // Last, so that it is around the fallback and around answers with 405 too.
        .layer(from_fn_with_state(Arc::clone(&state), observe))
        .with_state(state)
}
