//! Verifies that a service has done the work that was measured. The figures of a service that drops log lines or miscounts requests
//! would be meaningless.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::error::{Context, Error};
use crate::http;
use crate::metrics_text::{label, samples};
use crate::server_process::ServerProcess;

/// The load on a route.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) path: &'static str,
    /// Requests whose answers the load generator counted.
    pub(crate) least: f64,
    /// Maximum number of further requests that the service answered, but that were not counted because the load ended.
    pub(crate) uncounted: f64,
}

/// The data that the service has reported about itself.
#[derive(Debug)]
pub(crate) struct Audited {
    pub(crate) compiler: String,
    /// Size of its metrics, in bytes.
    pub(crate) exposition: f64,
    /// Size of a line of its access log, in bytes.
    pub(crate) log_line: f64,
}

/// Maximum time until the last requests are answered and the last lines are written.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Interval between two comparisons.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The fields that both services log about a request.
const FIELDS: [&str; 7] = ["method", "route", "path", "status", "duration_ms", "remote", "request_id"];

/// Compares the counts of the load generator, of the service's own counter and of its access log.
pub(crate) async fn audit(name: &str, process: &ServerProcess, sent: &[Sent]) -> Result<Audited, Error> {
    let started = Instant::now();
    let mut scrapes = 0.0;
    let text = loop {
        let answer =
            http::get(process.address, "/metrics").context(format_args!("{name} does not return its metrics"))?;
        let counted = total(&answer.body);
        sleep(POLL_INTERVAL).await;
        // A request is counted after it has been answered, so this one is in the log, but not in its own answer.
        let (logged, expected) = (f64::from(process.log.requests()), counted + 1.0);
        if (logged - expected).abs() < 0.5 {
            break answer.body;
        }
        if started.elapsed() > TIMEOUT {
            let reason = format!("{name} answered {expected} requests by its own count, and logged {logged}");
            return Err(Error::Measurement(reason));
        }
        scrapes += 1.0;
    };
    let own = Own { health: 1.0, not_ready: process.not_ready.into(), scrapes };
    compare(&text, sent, &own).context(name)?;
    let line = process.log.first().unwrap_or_default();
    if let Some(field) = FIELDS.iter().find(|field| !line.contains(&format!("\"{field}\":"))) {
        return Err(Error::Measurement(format!("{name} logs a request without {field}: {line}")));
    }
    Ok(Audited { compiler: compiler(&text), exposition: size(&text), log_line: size(line) })
}

/// The requests of this benchmark itself, in addition to the load.
struct Own {
    /// To `/health`, answered with 200.
    health: f64,
    /// To `/health`, answered with anything else.
    not_ready: f64,
    /// To `/metrics`.
    scrapes: f64,
}

fn compare(text: &str, sent: &[Sent], own: &Own) -> Result<(), String> {
    let counted = |path: &str| {
        let is_counted = |labels: &str| label(labels, "route") == Some(path) && label(labels, "status") == Some("200");
        samples(text, "http_requests_total")
            .filter(|(labels, _)| is_counted(labels))
            .map(|(_, value)| value)
            .sum::<f64>()
    };
    let mut good = 0.0;
    for Sent { path, least, uncounted } in sent {
        let own = if *path == "/health" { own.health } else { own.scrapes };
        let (counted, least) = (counted(path), least + own);
        if !(least..=least + uncounted).contains(&counted) {
            let most = least + uncounted;
            return Err(format!("{counted} requests to {path} by its own count, expected {least} to {most}"));
        }
        good += counted;
    }
    let others = total(text) - good;
    if (others - own.not_ready).abs() > 0.5 {
        return Err(format!("{others} answers that do not belong to the load, instead of {}", own.not_ready));
    }
    Ok(())
}

fn total(text: &str) -> f64 {
    samples(text, "http_requests_total").map(|(_, value)| value).sum()
}

fn compiler(text: &str) -> String {
    let label_of = |metric, name| samples(text, metric).find_map(|(labels, _)| label(labels, name));
    label_of("app_build_info", "rustc")
        .or_else(|| label_of("go_info", "version"))
        .unwrap_or("unknown compiler")
        .to_owned()
}

fn size(text: &str) -> f64 {
    f64::from(u32::try_from(text.len()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const OWN: Own = Own { health: 1.0, not_ready: 2.0, scrapes: 0.0 };

    fn text(health: u32, metrics: u32, not_ready: u32, unknown: u32) -> String {
        [("/health", 200, health), ("/metrics", 200, metrics), ("/health", 500, not_ready), ("unknown", 404, unknown)]
            .map(|(route, status, count)| {
                format!("http_requests_total{{method=\"GET\",route=\"{route}\",status=\"{status}\"}} {count}\n")
            })
            .concat()
    }

    fn sent() -> [Sent; 2] {
        [
            Sent { path: "/health", least: 1000.0, uncounted: 64.0 },
            Sent { path: "/metrics", least: 100.0, uncounted: 64.0 },
        ]
    }

    #[rstest]
    #[case::exact(text(1001, 100, 2, 0))]
    #[case::some_uncounted(text(1065, 164, 2, 0))]
    fn counts_that_agree_are_accepted(#[case] text: String) {
        assert_eq!(compare(&text, &sent(), &OWN), Ok(()));
    }

    #[rstest]
    #[case::too_few(text(1000, 100, 2, 0), "1000 requests to /health by its own count, expected 1001 to 1065")]
    #[case::too_many(text(1001, 165, 2, 0), "165 requests to /metrics by its own count, expected 100 to 164")]
    #[case::not_ready(text(1001, 100, 9, 0), "9 answers that do not belong to the load, instead of 2")]
    #[case::unexpected_requests(text(1001, 100, 2, 5), "7 answers that do not belong to the load, instead of 2")]
    fn counts_that_differ_are_an_error(#[case] text: String, #[case] reason: &str) {
        assert_eq!(compare(&text, &sent(), &OWN), Err(reason.to_owned()));
    }

    #[rstest]
    #[case::rust(
        r#"app_build_info{rustc="rustc 1.95.0 (59807616e 2026-04-14)",version="1"} 1"#,
        "rustc 1.95.0 (59807616e 2026-04-14)"
    )]
    #[case::go(r#"go_info{version="go1.26.8"} 1"#, "go1.26.8")]
    #[case::neither("up 1", "unknown compiler")]
    fn the_compiler_is_read_from_the_metrics(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(compiler(text), expected);
    }
}
