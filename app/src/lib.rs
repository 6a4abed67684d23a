//! The demo service: it answers `/`, reports its state to the cluster (`/health`, `/livez`, `/readyz`) and its work to
//! Prometheus (`/metrics`), and finishes what it has begun when it is asked to stop.
//!
//! A request comes in at [`server`], passes the layers of [`router`] and ends in a handler of `routes`. [`health`],
//! [`metrics`] and [`build_info`] are the state behind the answers, which the handlers share as [`state::AppState`].

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
