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
    /// What the probes ask for.
    pub health: Health,
    /// What Prometheus asks for.
    pub metrics: Metrics,
    /// The largest request body that is let in, in bytes.
    pub max_body_bytes: usize,
    /// Whether `/fault/…` exists.
    pub faults: bool,
}
