//! `/fault/…`: breaks the service on purpose, so that a lesson or a check can watch how the cluster reacts.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use tracing::warn;

use crate::state::AppState;

/// In milliseconds. Longer than the timeout of any probe, scrape or proxy.
const MAX_DELAY: u64 = 60_000;

#[derive(Deserialize)]
pub(crate) struct Delay {
    ms: u64,
}

/// `GET /fault/delay?ms=N`: answers after N milliseconds.
pub(crate) async fn delay(Query(Delay { ms }): Query<Delay>) -> (StatusCode, String) {
    if ms > MAX_DELAY {
        return (StatusCode::BAD_REQUEST, format!("ms is {ms}: expected a number from 0 to {MAX_DELAY}\n"));
    }
    tokio::time::sleep(Duration::from_millis(ms)).await;
    (StatusCode::OK, format!("{ms} ms later\n"))
}

#[derive(Deserialize)]
pub(crate) struct Status {
    code: u16,
}

/// `GET /fault/status?code=N`: answers with status N. A status below 200 is refused, because in HTTP it only
/// precedes the final status.
pub(crate) async fn status(Query(Status { code }): Query<Status>) -> (StatusCode, String) {
    match StatusCode::from_u16(code) {
        Ok(status) if (200..=599).contains(&code) => (status, format!("{status}\n")),
        _ => (StatusCode::BAD_REQUEST, format!("code is {code}: expected a number from 200 to 599\n")),
    }
}

#[derive(Deserialize)]
pub(crate) struct Name {
    name: String,
}

/// `GET /fault/resolve?name=N`: the addresses that the pod's resolver returns for a name, one per line. The image has no shell and no
/// `nslookup` for this.
pub(crate) async fn resolve(Query(Name { name }): Query<Name>) -> (StatusCode, String) {
    // The port does not matter.
    match tokio::net::lookup_host((&*name, 0)).await {
        Ok(found) => (StatusCode::OK, found.map(|address| format!("{}\n", address.ip())).collect::<Vec<_>>().concat()),
        Err(error) => (StatusCode::NOT_FOUND, format!("{name}: {error}\n")),
    }
}

/// Without `ms`, the fault lasts until the process ends.
#[derive(Deserialize)]
pub(crate) struct Fault {
    ms: Option<u64>,
}

/// `POST /fault/unready[?ms=N]`: `/health` and `/readyz` report "not ready".
pub(crate) async fn unready(State(state): State<Arc<AppState>>, Query(Fault { ms }): Query<Fault>) -> &'static str {
    warn!(ms, "made unready");
    state.health.make_unready(ms.map(Duration::from_millis));
    "not ready\n"
}

/// `POST /fault/hang[?ms=N]`: `/livez` does not answer. The other routes still answer, so that no client request has to
/// fail.
pub(crate) async fn hang(State(state): State<Arc<AppState>>, Query(Fault { ms }): Query<Fault>) -> &'static str {
    warn!(ms, "liveness hangs until the fault ends");
    state.health.hang(ms.map(Duration::from_millis));
    "liveness hangs\n"
}

/// `POST /fault/panic`: the handler panics. The client gets a 500, and the process continues.
pub(crate) async fn panic() -> StatusCode {
    panic!("triggered by /fault/panic")
}
