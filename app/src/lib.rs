//! The demo service. It answers `/`, reports its state to the cluster (`/health`, `/livez`, `/readyz`), and provides
//! metrics for Prometheus (`/metrics`). When it is stopped, it first completes the requests in flight.
//!
//! [`server`] receives a request, the layers of [`router`] process it, and a handler in `routes` answers it. [`health`],
//! [`metrics`] and [`build_info`] hold the state for the answers, which the handlers share as [`state::AppState`].

pub mod arguments;
pub mod build_info;
pub mod health;
mod host;
pub mod log;
pub mod metrics;
mod observe;
mod request_id;
pub mod router;
mod routes;
pub mod server;
pub mod state;
