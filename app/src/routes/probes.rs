//! What the kubelet asks for: `/livez`, `/readyz`, and the article's `/health`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use crate::state::AppState;

/// Readiness as the article's service tells it: 500 and `500` until it is ready, then 200 and `200`.
pub(crate) async fn health(State(service): State<Arc<AppState>>) -> (StatusCode, &'static str) {
    match service.health.ready() {
        Ok(()) => (StatusCode::OK, "200"),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "500"),
    }
}

/// Readiness in today's words: 503 with the reason, then 200.
pub(crate) async fn readyz(State(service): State<Arc<AppState>>) -> (StatusCode, String) {
    match service.health.ready() {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    }
}

/// Liveness: an answer at all is the news.
pub(crate) async fn livez(State(service): State<Arc<AppState>>) -> &'static str {
    service.health.alive().await;
    "alive\n"
}
