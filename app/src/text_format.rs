//! Metric families as text.
//!
//! The `prometheus` crate's own encoder allocates a string for every number and label, which is half the time of a scrape.
//! This one writes the same bytes straight into the answer; the test below holds it to the crate's.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::fmt::Write;

use prometheus::TextEncoder;
use prometheus::proto::{LabelPair, MetricFamily, MetricType};

/// Appends `families` to `text`.
///
/// # Errors
/// When a family without a name or metrics is of a kind that is left to the crate's encoder.
pub(crate) fn encode(families: &[MetricFamily], text: &mut String) -> Result<(), prometheus::Error> {
    for family in families {
        let (name, kind) = (family.name(), family.get_field_type());
        let word = match kind {
            MetricType::COUNTER => "counter",
            MetricType::GAUGE => "gauge",
            MetricType::HISTOGRAM => "histogram",
            // Nothing here makes one.
            MetricType::SUMMARY | MetricType::UNTYPED => {
                TextEncoder::new().encode_utf8(std::slice::from_ref(family), text)?;
                continue;
            }
        };
        if !family.help().is_empty() {
            push(text, &["# HELP ", name, " "]);
            push_escaped(text, family.help(), false);
            text.push('\n');
        }
        push(text, &["# TYPE ", name, " ", word, "\n"]);
        for metric in family.get_metric() {
            let labels = metric.get_label();
            let mut sample = |suffix: &str, bound: Option<f64>, value: f64| {
                push(text, &[name, suffix]);
                push_labels(text, labels, bound);
                text.push(' ');
                push_number(text, value);
                text.push('\n');
            };
            match kind {
                MetricType::COUNTER => sample("", None, metric.get_counter().get_value()),
                MetricType::GAUGE => sample("", None, metric.get_gauge().get_value()),
                _ => {
                    let histogram = metric.get_histogram();
                    for bucket in histogram.get_bucket() {
                        sample("_bucket", Some(bucket.upper_bound()), count(bucket.cumulative_count()));
                    }
                    // The crate's buckets stop at the last finite bound.
                    sample("_bucket", Some(f64::INFINITY), count(histogram.get_sample_count()));
                    sample("_sum", None, histogram.get_sample_sum());
                    sample("_count", None, count(histogram.get_sample_count()));
                }
            }
        }
    }
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "every value of the format is floating point; 2^53 requests are not in sight"
)]
fn count(number: u64) -> f64 {
    number as f64
}

fn push(text: &mut String, parts: &[&str]) {
    for part in parts {
        text.push_str(part);
    }
}

fn push_labels(text: &mut String, labels: &[LabelPair], bound: Option<f64>) {
    let mut before = '{';
    for label in labels {
        text.push(before);
        push(text, &[label.name(), "=\""]);
        push_escaped(text, label.value(), true);
        text.push('"');
        before = ',';
    }
    if let Some(bound) = bound {
        text.push(before);
        text.push_str("le=\"");
        push_number(text, bound);
        text.push('"');
        before = ',';
    }
    if before == ',' {
        text.push('}');
    }
}

fn push_escaped(text: &mut String, value: &str, quotes: bool) {
    if !value.contains(['\\', '\n', '"']) {
        return text.push_str(value);
    }
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if quotes => text.push_str("\\\""),
            _ => text.push(character),
        }
    }
}

fn push_number(text: &mut String, number: f64) {
    // Most values are whole, and whole numbers are written several times faster as integers. Above 2^53 they need not be
    // what was counted, and -0 is not 0.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and within 0 to 2^53")]
    let written = if number.is_sign_positive() && number < EXACT && number.fract() == 0.0 {
        write!(text, "{}", number as u64)
    } else if number == f64::INFINITY {
        text.write_str("+Inf")
    } else {
        write!(text, "{number}")
    };
    // Writing to a `String` cannot fail.
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use prometheus::proto::{Bucket, Counter, Gauge, Histogram, Metric};
    use proptest::prelude::*;

    use super::*;

    fn label() -> impl Strategy<Value = LabelPair> {
        ("[a-z_]{1,8}", any::<String>()).prop_map(|(name, value)| {
            let mut label = LabelPair::default();
            label.set_name(name);
            label.set_value(value);
            label
        })
    }

    fn number() -> impl Strategy<Value = f64> {
        // Whole numbers around the one where they stop being exact, zeros, and everything else but not-a-number.
        prop_oneof![
            any::<u32>().prop_map(f64::from),
            (9_007_199_254_740_980_u64..9_007_199_254_741_010).prop_map(count),
            Just(-0.0),
            any::<f64>()
                .prop_filter("a histogram's bounds are numbers", |number| !number.is_nan() && number.is_finite()),
        ]
    }

    fn metric(kind: MetricType) -> impl Strategy<Value = Metric> {
        let buckets = prop::collection::vec((number(), any::<u64>()), 0..4);
        (prop::collection::vec(label(), 0..3), number(), buckets, any::<u64>()).prop_map(
            move |(labels, value, buckets, requests)| {
                let mut metric = Metric::default();
                metric.set_label(labels);
                match kind {
                    MetricType::COUNTER => {
                        let mut counter = Counter::default();
                        counter.set_value(value);
                        metric.set_counter(counter);
                    }
                    MetricType::GAUGE => {
                        let mut gauge = Gauge::default();
                        gauge.set_value(value);
                        metric.set_gauge(gauge);
                    }
                    _ => {
                        let mut histogram = Histogram::default();
                        histogram.set_sample_sum(value);
                        histogram.set_sample_count(requests);
                        histogram.set_bucket(
                            buckets
                                .iter()
                                .map(|(bound, requests)| {
                                    let mut bucket = Bucket::default();
                                    bucket.set_upper_bound(*bound);
                                    bucket.set_cumulative_count(*requests);
                                    bucket
                                })
                                .collect(),
                        );
                        metric.set_histogram(histogram);
                    }
                }
                metric
            },
        )
    }

    fn family() -> impl Strategy<Value = MetricFamily> {
        let kind = prop_oneof![Just(MetricType::COUNTER), Just(MetricType::GAUGE), Just(MetricType::HISTOGRAM)];
        ("[a-z_]{1,12}", any::<String>(), kind)
            .prop_flat_map(|(name, help, kind)| (Just((name, help, kind)), prop::collection::vec(metric(kind), 1..3)))
            .prop_map(|((name, help, kind), metrics)| {
                let mut family = MetricFamily::default();
                family.set_name(name);
                family.set_help(help);
                family.set_field_type(kind);
                family.set_metric(metrics);
                family
            })
    }

    proptest! {
        #[test]
        fn the_same_as_the_crates_encoder(families in prop::collection::vec(family(), 0..4)) {
            let mut text = String::new();
            encode(&families, &mut text).unwrap();
            prop_assert_eq!(text, TextEncoder::new().encode_to_string(&families).unwrap());
        }
    }
}
