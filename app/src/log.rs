//! Log lines on standard output: text for people, JSON for programs.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::panic;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::ValueEnum;
use tracing::Subscriber;
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

/// What is written with one system call at the most.
const BUFFER_BYTES: usize = 64 * 1024;

/// Lines on their way to standard output. They are written by [`flush`](Self::flush), which the runtime calls whenever a
/// thread runs out of work, or when the buffer is full: under load many lines take one system call, and without load no
/// line waits. A reader that stops reading stops the service, as with any program that writes its log itself; an access
/// log with holes would be worse.
#[derive(Clone, Debug)]
pub struct Log(Arc<Mutex<BufWriter<File>>>);

impl Log {
    /// Starts logging. Panics are logged too.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn start(format: LogFormat, filter: Targets) -> io::Result<Self> {
        let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let log = Self(Arc::new(Mutex::new(BufWriter::with_capacity(BUFFER_BYTES, stdout))));
        tracing_subscriber::registry().with(layer(format, filter, log.clone())).init();
        panic::set_hook(Box::new(|panic| {
            // `panic!` with a literal carries a `&str`, with a format a `String`.
            let payload = panic.payload();
            let text = payload.downcast_ref().copied().or_else(|| payload.downcast_ref().map(String::as_str));
            tracing::error!(
                location = panic.location().map(tracing::field::display),
                "panicked: {}",
                text.unwrap_or("?")
            );
        }));
        Ok(log)
    }

    /// Writes what has not been written.
    pub fn flush(&self) {
        // There is nowhere to say that the log cannot be written.
        let _ = self.make_writer().0.flush();
    }
}

/// The log, while one line is put into it.
#[derive(Debug)]
pub struct Line<'log>(MutexGuard<'log, BufWriter<File>>);

impl<'log> MakeWriter<'log> for Log {
    type Writer = Line<'log>;

    fn make_writer(&'log self) -> Line<'log> {
        Line(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    /// Lines are flushed by the runtime, not by whoever writes them.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn layer<S>(format: LogFormat, filter: Targets, log: Log) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let layer = fmt::layer().with_writer(log).log_internal_errors(false);
    match format {
        LogFormat::Text => layer.with_filter(filter).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
    }
}
