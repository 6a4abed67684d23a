//! Log lines on standard output: text for people, JSON for programs.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal};
use std::os::fd::AsFd;
use std::panic;

use clap::ValueEnum;
use tracing::Subscriber;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `2026-01-31T12:00:00.000000Z  INFO access: method="GET" route="/health" …`
    Text,
    /// One object per line, its fields at the top level.
    Json,
}

/// Lines that wait for a reader before requests wait for it too. About 2 MiB of access log.
const BUFFERED_LINES: usize = 8192;

/// Starts logging. Lines are written by a thread of their own, many with one system call when they come fast; what is
/// still unwritten when the guard is dropped is written then.
///
/// # Errors
/// When standard output is closed.
pub fn start(format: LogFormat, filter: Targets) -> io::Result<WorkerGuard> {
    let stdout = io::stdout();
    let buffer_bytes = if stdout.is_terminal() { 0 } else { 64 * 1024 };
    let file = File::from(stdout.as_fd().try_clone_to_owned()?);
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(BUFFERED_LINES)
        // An access log with holes is worse than a slow one: a reader that stops reading slows the service down.
        .lossy(false)
        .thread_name("log")
        .finish(BufWriter::with_capacity(buffer_bytes, file));
    tracing_subscriber::registry().with(layer(format, filter, writer)).init();
    panic::set_hook(Box::new(|panic| {
        // `panic!` with a literal carries a `&str`, with a format a `String`.
        let payload = panic.payload();
        let text = payload.downcast_ref().copied().or_else(|| payload.downcast_ref().map(String::as_str));
        tracing::error!(location = panic.location().map(tracing::field::display), "panicked: {}", text.unwrap_or("?"));
    }));
    Ok(guard)
}

fn layer<S, W>(format: LogFormat, filter: Targets, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer);
    match format {
        LogFormat::Text => layer.with_filter(filter).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
    }
}
