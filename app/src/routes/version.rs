//! `GET /version`: the facts of the build, for programs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::build_info::BuildInfo;
use crate::router::Service;

pub(crate) async fn version(State(service): State<Arc<Service>>) -> Json<BuildInfo> {
    Json(service.build_info.clone())
}
