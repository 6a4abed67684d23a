//! The load generator: <https://github.com/wg/wrk>.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::error::{Context, Error};

/// The results of one run. Times are in seconds.
#[derive(Debug, PartialEq)]
pub(crate) struct Load {
    /// Requests that were answered.
    pub(crate) requests: f64,
    /// Answered requests per second.
    pub(crate) per_second: f64,
    /// Median latency.
    pub(crate) p50: f64,
    /// 99th percentile of the latency.
    pub(crate) p99: f64,
}

/// Maximum time that a run takes in addition to its duration.
const OVERHEAD: Duration = Duration::from_secs(15);

/// Requests `path` as fast as the server answers, over `connections` connections for `seconds` seconds.
///
/// wrk uses one thread, because it has one core. At the end, each connection may have one more request that was answered, but
/// not counted.
pub(crate) async fn run(address: SocketAddr, path: &str, connections: u32, seconds: u32) -> Result<Load, Error> {
    let url = format!("http://{address}{path}");
    let output = Command::new("wrk")
        .args(["--latency", "--threads", "1"])
        .args(["--connections", &connections.to_string()])
        .args(["--duration", &format!("{seconds}s"), &url])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(Duration::from_secs(seconds.into()) + OVERHEAD, output)
        .await
        .context(format_args!("wrk does not end on {url}"))?
        .context("cannot run wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(Error::Measurement(format!(
            "wrk failed on {url}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        )));
    }
    parse(&text).context(format_args!("wrk on {url}"))
}

fn parse(text: &str) -> Result<Load, String> {
    let lines = || text.lines().map(str::trim);
    for bad in ["Non-2xx or 3xx responses:", "Socket errors:"] {
        if let Some(line) = lines().find(|line| line.starts_with(bad)) {
            return Err(format!("some requests failed: {line}"));
        }
    }
    let missing = |what: &str| format!("its output has no {what}: {text}");
    let after = |prefix: &str| lines().find_map(|line| line.strip_prefix(prefix)).map(str::trim);
    let requests = lines().find_map(|line| line.split_once(" requests in ")?.0.parse().ok());
    let latency = |prefix: &str| after(prefix).and_then(duration);
    Ok(Load {
        requests: requests.ok_or_else(|| missing("number of requests"))?,
        per_second: after("Requests/sec:").and_then(|rate| rate.parse().ok()).ok_or_else(|| missing("rate"))?,
        p50: latency("50%").ok_or_else(|| missing("median latency"))?,
        p99: latency("99%").ok_or_else(|| missing("99th percentile"))?,
    })
}

/// Converts a time in wrk's format to seconds.
fn duration(text: &str) -> Option<f64> {
    let unit_at = text.find(|character: char| character.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let unit = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * unit)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const OUTPUT: &str = "\
Running 2s test @ http://127.0.0.1:18081/health
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   317.85us   86.63us   2.75ms   93.35%
    Req/Sec   101.22k     1.72k  103.42k    66.67%
  Latency Distribution
     50%  304.00us
     75%  318.00us
     90%  352.00us
     99%    1.46ms
  211041 requests in 2.10s, 33.61MB read
Requests/sec: 100453.05
Transfer/sec:     16.00MB
";

    #[test]
    fn the_figures_are_read() {
        let expected = Load { requests: 211_041.0, per_second: 100_453.05, p50: 304.0 * 1e-6, p99: 1.46 * 1e-3 };
        assert_eq!(parse(OUTPUT), Ok(expected));
    }

    #[rstest]
    #[case::status("Non-2xx or 3xx responses: 110049")]
    #[case::socket("Socket errors: connect 0, read 3, write 0, timeout 1")]
    fn failed_requests_are_an_error(#[case] line: &str) {
        let output = OUTPUT.replace("Requests/sec:", &format!("  {line}\nRequests/sec:"));
        assert_eq!(parse(&output), Err(format!("some requests failed: {line}")));
    }

    #[rstest]
    #[case::requests(" requests in ", "its output has no number of requests")]
    #[case::rate("Requests/sec:", "its output has no rate")]
    #[case::median("50%", "its output has no median latency")]
    #[case::tail("99%", "its output has no 99th percentile")]
    fn a_missing_figure_is_an_error(#[case] part: &str, #[case] message: &str) {
        assert!(parse(&OUTPUT.replace(part, "?")).unwrap_err().starts_with(message));
    }

    #[rstest]
    #[case("2.50us", Some(2.5 * 1e-6))]
    #[case("12.00ms", Some(12.0 * 1e-3))]
    #[case("1.02s", Some(1.02))]
    #[case("1.50m", Some(90.0))]
    #[case("1.00h", Some(3600.0))]
    #[case("7", None)]
    #[case("7 parsecs", None)]
    fn durations(#[case] text: &str, #[case] expected: Option<f64>) {
        assert_eq!(duration(text), expected);
    }
}
