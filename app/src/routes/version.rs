//! `GET /version`: the facts of the build, for programs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::build_info::BuildInfo;
use crate::state::AppState;

pub(crate) async fn version(State(service): State<Arc<AppState>>) -> Json<BuildInfo> {
    Json(service.build_info.clone())
}
