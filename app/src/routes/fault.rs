//! `/fault/…`: breaks the service on purpose, so that a lesson or a check can watch the cluster deal with it.
//! Only there with `--enable-faults`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use tracing::warn;

use crate::state::AppState;

/// The longest delay, in milliseconds: longer than any probe, scrape or proxy waits.
const LONGEST_DELAY: u64 = 60_000;

/// `?ms=`
#[derive(Deserialize)]
pub(crate) struct Delay {
    ms: u64,
}

/// `GET /fault/delay?ms=N`: answers after N milliseconds.
pub(crate) async fn delay(Query(Delay { ms }): Query<Delay>) -> (StatusCode, String) {
    if ms > LONGEST_DELAY {
        return (StatusCode::BAD_REQUEST, format!("ms is {ms}: expected a number from 0 to {LONGEST_DELAY}\n"));
    }
    tokio::time::sleep(Duration::from_millis(ms)).await;
    (StatusCode::OK, format!("{ms} ms later\n"))
}

/// `?code=`
#[derive(Deserialize)]
pub(crate) struct Status {
    code: u16,
}

/// `GET /fault/status?code=N`: answers with status N. Statuses below 200 are no answer: HTTP sends another one after them.
pub(crate) async fn status(Query(Status { code }): Query<Status>) -> (StatusCode, String) {
    match StatusCode::from_u16(code) {
        Ok(status) if (200..=599).contains(&code) => (status, format!("{status}\n")),
        _ => (StatusCode::BAD_REQUEST, format!("code is {code}: expected a number from 200 to 599\n")),
    }
}

/// `?ms=`, or nothing for as long as the process lives.
#[derive(Deserialize)]
pub(crate) struct For {
    ms: Option<u64>,
}

impl For {
    fn duration(&self) -> Option<Duration> {
        self.ms.map(Duration::from_millis)
    }
}

/// `POST /fault/unready[?ms=N]`: `/health` and `/readyz` say no.
pub(crate) async fn unready(State(service): State<Arc<AppState>>, Query(window): Query<For>) -> &'static str {
    warn!(ms = window.ms, "made unready");
    service.health.make_unready(window.duration());
    "not ready from now on\n"
}

/// `POST /fault/hang[?ms=N]`: `/livez` does not answer. All else does, so that traffic need not notice the restart.
pub(crate) async fn hang(State(service): State<Arc<AppState>>, Query(window): Query<For>) -> &'static str {
    warn!(ms = window.ms, "liveness made to hang");
    service.health.hang(window.duration());
    "liveness hangs from now on\n"
}

/// `POST /fault/panic`: panics in the handler. The client gets 500, the process lives.
pub(crate) async fn panic() -> StatusCode {
    panic!("asked for by /fault/panic")
}
