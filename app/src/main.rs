//! The demo service's program: arguments in, exit code out. `app --help` tells the rest.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::{error, io};

use app::arguments::{Arguments, one_line};
use app::build_info::BuildInfo;
use app::health::Health;
use app::log;
use app::metrics::Metrics;
use app::router::router;
use app::server::{Limits, Shutdown, ShutdownOutcome, Signals, listen, serve};
use app::state::AppState;
use clap::Parser;
use tokio::runtime::Runtime;
use tracing::info;

type Error = Box<dyn error::Error>;

/// Stopped before all requests were answered.
const EXIT_CUT: u8 = 1;
/// The command line is wrong.
const EXIT_USAGE: u8 = 2;
/// Cannot listen, or cannot log.
const EXIT_ENVIRONMENT: u8 = 3;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // `--help` comes this way too.
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => {
            let _ = writeln!(io::stderr(), "app: {}", one_line(&error));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if arguments.version {
        return match writeln!(io::stdout(), "{}", BuildInfo::current()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(EXIT_ENVIRONMENT),
        };
    }
    match run(arguments) {
        Ok(ShutdownOutcome::Complete) => ExitCode::SUCCESS,
        Ok(ShutdownOutcome::Cut) => ExitCode::from(EXIT_CUT),
        Err(error) => {
            // Nothing can be done about a standard error that is closed.
            let _ = writeln!(io::stderr(), "app: {}", chain(&*error));
            ExitCode::from(EXIT_ENVIRONMENT)
        }
    }
}

fn run(arguments: Arguments) -> Result<ShutdownOutcome, Error> {
    // Written out, so that a flag which is forgotten here does not compile.
    let Arguments {
        listen_address,
        ready_after,
        shutdown_delay,
        shutdown_timeout,
        log_format,
        log_filter,
        enable_faults,
        max_connections,
        header_read_timeout,
        idle_timeout,
        max_header_bytes,
        max_body_bytes,
        version: _,
    } = arguments;
    let build_info = BuildInfo::current();
    let service = Arc::new(AppState {
        host: host(),
        health: Health::new(ready_after),
        metrics: Metrics::new(&build_info)?,
        max_body_bytes,
        faults: enable_faults,
        build_info,
    });
    let limits = Limits { max_connections, header_read_timeout, idle_timeout, max_header_bytes };
    let shutdown = Shutdown { delay: shutdown_delay, timeout: shutdown_timeout };
    log::start(log_format, log_filter)?;
    Runtime::new()?.block_on(async {
        let listener = listen(listen_address)?;
        let signals = Signals::listen()?;
        info!(
            address = %listener.local_addr()?,
            version = service.build_info.version,
            revision = service.build_info.revision,
            faults = enable_faults,
            "listening"
        );
        tokio::spawn({
            let service = Arc::clone(&service);
            async move {
                service.health.started().await;
                if service.health.ready().is_ok() {
                    info!("ready");
                }
            }
        });
        Ok(serve(listener, router(Arc::clone(&service)), &service.health, limits, shutdown, signals).await)
    })
}

/// The host's name, which Kubernetes sets to the pod's.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// An error and all its causes, on one line.
fn chain(error: &dyn error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
