//! Every route of the service, and what its handlers share.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::build_info::BuildInfo;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::observe::observe;
use crate::routes::{fault, home, metrics, probes, version};

/// What the handlers share.
#[derive(Debug)]
pub struct Service {
    /// The name of the host; in a cluster, of the pod.
    pub host: String,
    /// The facts of the build.
    pub build_info: BuildInfo,
    /// What the probes ask for.
    pub health: Health,
    /// What Prometheus asks for.
    pub metrics: Metrics,
    /// The largest request body that is let in, in bytes.
    pub max_body_bytes: u64,
    /// Whether `/fault/…` exists.
    pub faults: bool,
}

/// The routes. They answer in process as they do behind a socket.
pub fn router(service: Arc<Service>) -> Router {
    let mut router = Router::new()
        .route("/", get(home::home))
        .route("/health", get(probes::health))
        .route("/livez", get(probes::livez))
        .route("/readyz", get(probes::readyz))
        .route("/version", get(version::version))
        .route("/metrics", get(metrics::metrics));
    if service.faults {
        router = router
            .route("/fault/delay", get(fault::delay))
            .route("/fault/status", get(fault::status))
            .route("/fault/unready", post(fault::unready))
            .route("/fault/hang", post(fault::hang))
            .route("/fault/panic", post(fault::panic));
    }
    router
        .fallback(async || (StatusCode::NOT_FOUND, "404 page not found\n"))
        // Last, so that it is around the fallback and around answers with 405 too.
        .layer(from_fn_with_state(Arc::clone(&service), observe))
        .with_state(service)
}
