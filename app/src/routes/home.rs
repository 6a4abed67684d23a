//! `GET /`: a greeting that tells which pod and which build gave it.

use std::sync::Arc;

use axum::extract::State;

use crate::state::AppState;

pub(crate) async fn home(State(service): State<Arc<AppState>>) -> String {
    let AppState { host, build_info, .. } = &*service;
    format!("Hello from GitLab CI and Kubernetes!\nhost: {host}\n{build_info}\n")
}
