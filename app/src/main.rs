//! The entry point of the demo service: parses the arguments and returns the exit code. `app --help` describes both.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use app::arguments::{Arguments, one_line};
use app::build_info::BuildInfo;
use app::health::Health;
use app::log;
use app::metrics::Metrics;
use app::router::router;
use app::server::{Signals, listen, serve};
use app::state::AppState;
use clap::Parser;
use tokio::runtime::Runtime;
use tracing::info;

/// Stopped before all requests were answered.
const EXIT_CUT: u8 = 1;
/// The command line is wrong.
const EXIT_USAGE: u8 = 2;
/// The service cannot start, for example because its address is in use, or standard output cannot be written.
const EXIT_ENVIRONMENT: u8 = 3;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // `--help` is an error to clap, too.
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => return fail(&one_line(&error), EXIT_USAGE),
    };
    let ended = if arguments.version { print_version() } else { run(&arguments) };
    match ended {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(EXIT_CUT),
        Err(error) => fail(&error.to_string(), EXIT_ENVIRONMENT),
    }
}

fn fail(message: &str, code: u8) -> ExitCode {
    // If standard error is closed, only the exit code reports the error.
    let _ = writeln!(io::stderr(), "app: {message}");
    ExitCode::from(code)
}

fn print_version() -> Result<usize, Box<dyn Error>> {
    writeln!(io::stdout(), "{}", BuildInfo::current())?;
    Ok(0)
}

/// Serves until a signal arrives. Returns the number of requests that were cut.
fn run(arguments: &Arguments) -> Result<usize, Box<dyn Error>> {
    let build_info = BuildInfo::current();
    let state = Arc::new(AppState {
        // In a pod, this is the pod's name.
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        health: Health::new(arguments.ready_after),
        metrics: Metrics::new(&build_info)?,
        max_body_bytes: arguments.max_body_bytes,
        faults: arguments.enable_faults,
        build_info,
    });
    log::start(arguments.log_format, arguments.log_filter.clone())?;
    Runtime::new()?.block_on(async {
        let listener = listen(arguments.listen_address)?;
        let signals = Signals::listen()?;
        info!(
            address = %listener.local_addr()?,
            version = state.build_info.version,
            revision = state.build_info.revision,
            faults = state.faults,
            "listening"
        );
        tokio::spawn(log_readiness(Arc::clone(&state)));
        let router = router(Arc::clone(&state));
        Ok(serve(listener, router, &state.health, arguments.limits, arguments.shutdown, signals).await)
    })
}

async fn log_readiness(state: Arc<AppState>) {
    state.health.started().await;
    if state.health.ready().is_ok() {
        info!("ready");
    }
}
