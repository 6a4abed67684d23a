//! The command line. Each flag except `--version` and `--help` can also be set through an environment variable, as manifests do.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser};
use tracing_subscriber::filter::Targets;

use crate::log::LogFormat;

/// A small, instrumented service.
///
/// Exit codes: 0 stopped after all requests were answered, 1 stopped with unanswered requests, 2 bad usage, 3 cannot listen or log.
#[derive(Clone, Debug, Parser)]
#[command(name = "app", disable_version_flag = true)]
pub struct Arguments {
    /// IP address and port to listen on; `[::]` is every address of the host, IPv4 included
    #[arg(long, env = "LISTEN_ADDRESS", default_value = "[::]:8000", value_name = "ADDRESS")]
    pub listen_address: SocketAddr,

    /// Time from the start until /health reports that the service is ready
    #[arg(long, env = "READY_AFTER", default_value = "5s", value_parser = duration, value_name = "DURATION")]
    pub ready_after: Duration,

    /// How the service stops.
    #[command(flatten)]
    pub shutdown: Shutdown,

    /// Format of the log lines
    #[arg(long, env = "LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// What to log: a level, or a list such as `info,access=off`
    #[arg(long, env = "RUST_LOG", default_value = "info", value_parser = log_filter, value_name = "FILTER")]
    pub log_filter: Targets,

    /// Serve /fault/… endpoints, which let any client break the service on purpose
    #[arg(long, env = "ENABLE_FAULTS")]
    pub enable_faults: bool,

    /// Limits for clients.
    #[command(flatten)]
    pub limits: Limits,

    /// Maximum size of the body of a request
    #[arg(long, env = "MAX_BODY_BYTES", default_value_t = 64 * 1024, value_name = "BYTES")]
    pub max_body_bytes: usize,

    /// Print build information and exit
    #[arg(short = 'V', long)]
    pub version: bool,
}

/// The two time limits of a shutdown.
#[derive(Args, Clone, Copy, Debug)]
pub struct Shutdown {
    /// Time from SIGTERM until the listener closes, for the cluster to remove the pod from its endpoints
    #[arg(long = "shutdown-delay", env = "SHUTDOWN_DELAY", default_value = "5s", value_parser = duration, value_name = "DURATION")]
    pub delay: Duration,

    /// Maximum time for requests in flight to complete after the listener has closed
    #[arg(long = "shutdown-timeout", env = "SHUTDOWN_TIMEOUT", default_value = "20s", value_parser = duration, value_name = "DURATION")]
    pub timeout: Duration,
}

/// Limits on each client, and on all clients together.
#[derive(Args, Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum number of concurrent connections; when exceeded, the longest-idle one is closed
    #[arg(long, env = "MAX_CONNECTIONS", default_value_t = 1024, value_parser = at_least_one, value_name = "NUMBER")]
    pub max_connections: usize,

    /// Maximum time for a client to send the head of a request
    #[arg(long, env = "HEADER_READ_TIMEOUT", default_value = "10s", value_parser = duration, value_name = "DURATION")]
    pub header_read_timeout: Duration,

    /// Maximum time between two requests of a connection; must be longer than the idle timeout of proxies in front
    #[arg(long, env = "IDLE_TIMEOUT", default_value = "120s", value_parser = duration, value_name = "DURATION")]
    pub idle_timeout: Duration,

    /// Maximum size of the head of a request
    #[arg(long, env = "MAX_HEADER_BYTES", default_value_t = 16 * 1024, value_name = "BYTES")]
    pub max_header_bytes: usize,
}

/// Formats a command-line error on one line: clap's message and tip, without the usage below them.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let message = text.split("\n\n").filter(|part| !part.starts_with("Usage:") && !part.starts_with("For more"));
    let message =
        message.map(|part| part.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("; ");
    format!("{} (see --help)", message.strip_prefix("error: ").unwrap_or(&message))
}

/// Caps durations, so that sums of them cannot overflow an `Instant`.
const MAX_DURATION: Duration = Duration::from_secs(24 * 3600);

/// Parses a duration with its unit, as Go and Kubernetes write it (`500ms`, `5s`, `1m30s`), or a bare `0`.
fn duration(text: &str) -> Result<Duration, String> {
    let expected = "expected `500ms`, `5s` or `1m30s`, at most a day";
    let parsed = if text == "0" { Ok(Duration::ZERO) } else { humantime::parse_duration(text) };
    let duration = parsed.map_err(|error| format!("{error}: {expected}"))?;
    if duration <= MAX_DURATION { Ok(duration) } else { Err(format!("too long: {expected}")) }
}

/// Parses `Targets` instead of `EnvFilter`, which also filters by the fields of spans and needs a regex engine for that.
fn log_filter(text: &str) -> Result<Targets, String> {
    text.parse().map_err(|_| {
        "expected a level (off, error, warn, info, debug, trace) or a list such as `info,access=off`".to_owned()
    })
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err("expected a number of at least 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use clap::CommandFactory;
    use rstest::rstest;

    use super::*;

    #[test]
    fn the_help_text_has_every_flag() {
        // Without the current values of the variables, which depend on the machine.
        let mut command = Arguments::command().mut_args(|argument| argument.hide_env_values(true));
        insta::assert_snapshot!(command.render_long_help());
    }

    #[test]
    fn every_flag_but_version_has_a_variable() {
        for argument in Arguments::command().get_arguments() {
            let id = argument.get_id().as_str();
            assert_eq!(argument.get_env().is_some(), id != "version", "{id}");
        }
    }

    #[rstest]
    #[case::zero("0", Duration::ZERO)]
    #[case::zero_seconds("0s", Duration::ZERO)]
    #[case::milliseconds("250ms", Duration::from_millis(250))]
    #[case::as_go_writes_it("1m30s", Duration::from_secs(90))]
    #[case::longest("24h", MAX_DURATION)]
    fn durations(#[case] text: &str, #[case] expected: Duration) {
        assert_eq!(duration(text), Ok(expected));
    }

    #[test]
    fn invalid_arguments_are_refused_on_one_line() {
        let cases: &[&[&str]] = &[
            &["--ready-after", "5"],
            &["--shutdown-delay=-1s"],
            &["--idle-timeout", "25h"],
            &["--idle-timeout", "500000000000years"],
            &["--listen-address", "8000"],
            &["--listen-address", ":8000"],
            &["--listen-address", "localhost:8000"],
            &["--max-connections", "0"],
            &["--log-format", "xml"],
            &["--log-filter", "access=loud"],
            &["--enable-fault"],
            &["serve"],
        ];
        let mut refusals = String::new();
        for arguments in cases {
            let error = Arguments::try_parse_from([&["app"], *arguments].concat()).unwrap_err();
            let line = one_line(&error);
            assert!(!line.contains('\n'), "{line}");
            writeln!(refusals, "$ app {}\n{line}\n", arguments.join(" ")).unwrap();
        }
        insta::assert_snapshot!(refusals);
    }
}
