//! The metrics that Prometheus scrapes.

use axum::http::Method;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::build_info::BuildInfo;

/// The label value for unknown methods and routes, so that a scanner that requests a thousand paths creates only one
/// series.
pub(crate) const UNKNOWN: &str = "unknown";

/// The metrics and their registry.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    in_flight: IntGauge,
    ready: IntGauge,
}

impl Metrics {
    /// All metrics, at zero.
    ///
    /// # Errors
    /// When two metrics have the same name or a name is invalid, which is a mistake in this file.
    pub fn new(build_info: &BuildInfo) -> Result<Self, prometheus::Error> {
        let build = IntGaugeVec::new(
            Opts::new("app_build_info", "Build information: constant 1, with labels."),
            &["version", "revision", "branch", "rustc"],
        )?;
        let BuildInfo { version, revision, branch, rustc, .. } = build_info;
        build.with_label_values(&[version, revision, branch, rustc]).set(1);
        let requests = IntCounterVec::new(
            Opts::new(
                "http_requests_total",
                "Requests that ended, by method, matched route and status; 499: the client disconnected.",
            ),
            &["method", "route", "status"],
        )?;
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "http_request_duration_seconds",
                "Time from a request's head to the head of its answer, or until the client disconnected.",
            ),
            &["method", "route"],
        )?;
        let in_flight = IntGauge::new("http_requests_in_flight", "Requests that are being answered now.")?;
        let ready = IntGauge::new("app_ready", "Whether the service is ready: 1 or 0.")?;

        let registry = Registry::new();
        let collectors: [Box<dyn Collector>; 6] = [
            Box::new(ProcessCollector::for_self()),
            Box::new(build),
            Box::new(requests.clone()),
            Box::new(durations.clone()),
            Box::new(in_flight.clone()),
            Box::new(ready.clone()),
        ];
        for collector in collectors {
            registry.register(collector)?;
        }
        Ok(Self { registry, requests, durations, in_flight, ready })
    }

    /// Counts a request in flight.
    pub(crate) fn request_started(&self) {
        self.in_flight.inc();
    }

    /// Counts the end of a request that took `seconds`.
    pub(crate) fn request_ended(&self, method: &str, route: &str, status: u16, seconds: f64) {
        self.in_flight.dec();
        self.requests.with_label_values(&[method, route, &status.to_string()]).inc();
        self.durations.with_label_values(&[method, route]).observe(seconds);
    }

    /// All metrics in the Prometheus text format.
    ///
    /// # Errors
    /// When a collector returns a family without a name or metrics.
    pub fn render(&self, ready: bool) -> Result<String, prometheus::Error> {
        self.ready.set(ready.into());
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// The methods of RFC 9110 and RFC 5789.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// A method as a label value: one of [`METHODS`], or [`UNKNOWN`].
pub(crate) fn method_label(method: &Method) -> &'static str {
    METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_every_bucket_from_its_own_on() {
        let metrics = Metrics::new(&BuildInfo::current()).unwrap();
        metrics.request_started();
        metrics.request_ended("GET", "/", 200, 0.02);
        let text = metrics.render(true).unwrap();
        let buckets = text
            .lines()
            .filter_map(|line| line.strip_prefix("http_request_duration_seconds_bucket{"))
            .collect::<Vec<_>>();
        let expected = [
            ("0.005", 0),
            ("0.01", 0),
            ("0.025", 1),
            ("0.05", 1),
            ("0.1", 1),
            ("0.25", 1),
            ("0.5", 1),
            ("1", 1),
            ("2.5", 1),
            ("5", 1),
            ("10", 1),
            ("+Inf", 1),
        ];
        assert_eq!(buckets, expected.map(|(bound, count)| format!(r#"method="GET",route="/",le="{bound}"}} {count}"#)));
        assert!(text.contains(r#"http_request_duration_seconds_sum{method="GET",route="/"} 0.02"#), "{text}");
    }
}
