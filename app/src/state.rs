//! What the handlers share.

use crate::build_info::BuildInfo;
use crate::health::Health;
use crate::metrics::Metrics;

/// What the handlers share.
#[derive(Debug)]
pub struct AppState {
    /// The name of the host; in a cluster, of the pod.
    pub host: String,
    /// The facts of the build.
    pub build_info: BuildInfo,
    /// The state behind the probes.
    pub health: Health,
    /// The state behind `/metrics`.
    pub metrics: Metrics,
    /// Maximum size of a request's body.
    pub max_body_bytes: usize,
    /// Whether `/fault/…` exists.
    pub faults: bool,
}
