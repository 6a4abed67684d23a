//! The state that the handlers share.

use crate::build_info::BuildInfo;
use crate::health::Health;
use crate::metrics::Metrics;

#[derive(Debug)]
pub struct AppState {
    /// The host name; in a cluster, the pod's name.
    pub host: String,
    /// The facts of the build.
    pub build_info: BuildInfo,
    /// The state that the probes read.
    pub health: Health,
    /// The state that `/metrics` reports.
    pub metrics: Metrics,
    /// Maximum size of a request's body.
    pub max_body_bytes: usize,
    /// Whether `/fault/…` exists.
    pub faults: bool,
}
