//! The handlers. Those in [`fault`] exist only with `--enable-faults`.

pub(crate) mod fault;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Result};

use crate::build_info::BuildInfo;
use crate::state::AppState;

/// <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `GET /`: a greeting that names the pod and the build.
pub(crate) async fn home(State(state): State<Arc<AppState>>) -> String {
    let AppState { host, build_info, .. } = &*state;
    format!("Hello from GitLab CI and Kubernetes!\nhost: {host}\n{build_info}\n")
}

/// `GET /version`: the build information as JSON.
pub(crate) async fn version(State(state): State<Arc<AppState>>) -> Json<BuildInfo> {
    Json(state.build_info.clone())
}

/// `GET /metrics`, for Prometheus.
pub(crate) async fn metrics(State(state): State<Arc<AppState>>) -> Result<impl IntoResponse> {
    let text = state.metrics.render(state.health.ready().is_ok());
    let failure = |error| (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot render the metrics: {error}\n"));
    Ok(([(CONTENT_TYPE, TEXT_FORMAT)], text.map_err(failure)?))
}

/// `GET /health`: readiness as the article's service reports it: status and body are 200 while the service is ready, otherwise 500.
pub(crate) async fn health(State(state): State<Arc<AppState>>) -> (StatusCode, &'static str) {
    match state.health.ready() {
        Ok(()) => (StatusCode::OK, "200"),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "500"),
    }
}

/// `GET /readyz`: readiness with the usual status codes: 200 while the service is ready, otherwise 503 and the reason.
pub(crate) async fn readyz(State(state): State<Arc<AppState>>) -> (StatusCode, String) {
    match state.health.ready() {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    }
}

/// `GET /livez`: any response means alive.
pub(crate) async fn livez(State(state): State<Arc<AppState>>) -> &'static str {
    state.health.alive().await;
    "alive\n"
}
