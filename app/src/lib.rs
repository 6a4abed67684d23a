//! The demo service: answers `/`, tells the cluster how it is (`/health`, `/livez`, `/readyz`) and Prometheus what it does
//! (`/metrics`), and leaves politely when it is told to stop.
//!
//! # Layout
//!
//! - [`arguments`]: the command line. [`log`]: what is written to standard output.
//! - [`router`]: all routes; [`state`]: what they share; their handlers are in `routes/`, one file per subject. `observe` is around
//!   each request: its identifier, metrics, access log, body limit, panics.
//! - [`health`], [`metrics`], [`build_info`]: the state behind the answers. None of them knows HTTP.
//! - [`server`]: sockets, limits, shutdown. It knows a router, not what the routes are.
//!
//! `main.rs` puts them together and does nothing else.

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
