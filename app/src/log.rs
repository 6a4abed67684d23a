//! Log lines on standard output: text for people, JSON for programs.

use std::panic;

use clap::ValueEnum;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt, registry};

/// The format of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `2026-01-31T12:00:00.000000Z  INFO access: method="GET" route="/health" …`
    Text,
    /// One object per line, its fields at the top level.
    Json,
}

/// Starts the log. Panics are logged too.
///
/// If the reader of standard output stops reading, the service blocks: an access log with gaps would be worse.
///
/// # Errors
/// The log was already started.
pub fn start(format: LogFormat, filter: Targets) -> Result<(), TryInitError> {
    let lines = fmt::layer().log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    registry().with(lines.with_filter(filter)).try_init()?;
    panic::set_hook(Box::new(|panic| {
        // The payload of `panic!` is a `&str` for a literal, and a `String` for a format.
        let payload = panic.payload();
        let text = payload.downcast_ref().copied().or_else(|| payload.downcast_ref().map(String::as_str));
        tracing::error!(location = panic.location().map(tracing::field::display), "panicked: {}", text.unwrap_or("?"));
    }));
    Ok(())
}
