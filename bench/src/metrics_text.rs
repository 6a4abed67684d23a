//! Parses the part of the Prometheus text format that the two services use.

/// The labels and values of every sample of the metric `name`.
pub(crate) fn samples<'text>(text: &'text str, name: &str) -> impl Iterator<Item = (&'text str, f64)> {
    text.lines().filter_map(move |line| {
        let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} ")?;
        Some((labels, value.parse().ok()?))
    })
}

/// The value of one of `labels`. The values of these services contain no quotes and no backslashes.
pub(crate) fn label<'text>(labels: &'text str, name: &str) -> Option<&'text str> {
    labels.split(',').find_map(|label| label.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# TYPE http_requests_total counter
http_requests_total{method="GET",route="/",status="200"} 3
http_requests_total{method="GET",route="/health",status="500"} 1.234567e+06
http_requests_total_made_up{method="GET"} 4
up 1
"#;

    #[test]
    fn samples_and_labels_are_parsed() {
        let found: Vec<_> = samples(TEXT, "http_requests_total").collect();
        let [(first, 3.0), (second, 1_234_567.0)] = found[..] else { panic!("{found:?}") };
        assert_eq!(first, r#"method="GET",route="/",status="200""#);
        assert_eq!(label(second, "route"), Some("/health"));
        assert_eq!(label(second, "status"), Some("500"));
        assert_eq!(label(second, "code"), None);
        assert_eq!(label(second, "out"), None);
    }
}
