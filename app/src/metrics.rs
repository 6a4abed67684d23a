//! What the service tells Prometheus.

use axum::http::Method;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    HistogramVec, IntCounterVec, IntGauge, Registry, TextEncoder, histogram_opts, opts,
    register_histogram_vec_with_registry, register_int_counter_vec_with_registry, register_int_gauge_vec_with_registry,
    register_int_gauge_with_registry,
};

use crate::build_info::BuildInfo;

/// The label value of every method and route that the service does not know: the thousand paths of a scanner are one
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
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let BuildInfo { version, revision, branch, rustc, .. } = build_info;
        register_int_gauge_vec_with_registry!(
            opts!("app_build_info", "What was built: constant 1, labelled with the facts of the build."),
            &["version", "revision", "branch", "rustc"],
            registry
        )?
        .with_label_values(&[version, revision, branch, rustc])
        .set(1);
        Ok(Self {
            requests: register_int_counter_vec_with_registry!(
                opts!("http_requests_total", "Requests answered, by method, matched route and status."),
                &["method", "route", "status"],
                registry
            )?,
            durations: register_histogram_vec_with_registry!(
                histogram_opts!("http_request_duration_seconds", "Time from a request's head to its answer's."),
                &["method", "route"],
                registry
            )?,
            in_flight: register_int_gauge_with_registry!(
                opts!("http_requests_in_flight", "Requests that are being answered now."),
                registry
            )?,
            ready: register_int_gauge_with_registry!(
                opts!("app_ready", "Whether the service wants traffic: 1 or 0."),
                registry
            )?,
            registry,
        })
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

/// A method as a label value: one of HTTP's own (RFC 9110, RFC 5789), or [`UNKNOWN`].
pub(crate) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => UNKNOWN,
    }
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
