//! Repeated measurements of one quantity.

/// The values, in the order in which they were measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    /// Adds a value.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The middle value, or the mean of the two middle values; `NaN` if there are no values.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let half = sorted.len() / 2;
        match sorted[..] {
            [] => f64::NAN,
            _ if sorted.len() % 2 == 1 => sorted[half],
            _ => f64::midpoint(sorted[half - 1], sorted[half]),
        }
    }

    /// The median and the range of values in seconds.
    pub(crate) fn seconds(&self) -> String {
        let (least, greatest) = self.range();
        format!("{:.1} s ({least:.1}–{greatest:.1})", self.median())
    }

    /// The minimum and the maximum.
    pub(crate) fn range(&self) -> (f64, f64) {
        self.0.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, greatest), value| {
            (least.min(*value), greatest.max(*value))
        })
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::one(&[4.0], 4.0, (4.0, 4.0))]
    #[case::odd(&[9.0, 1.0, 5.0], 5.0, (1.0, 9.0))]
    #[case::even(&[8.0, 1.0, 2.0, 4.0], 3.0, (1.0, 8.0))]
    fn summaries(#[case] values: &[f64], #[case] median: f64, #[case] range: (f64, f64)) {
        let sample: Sample = values.iter().copied().collect();
        assert_eq!((sample.median().to_bits(), sample.range()), (median.to_bits(), range));
    }

    #[test]
    fn the_median_of_no_measurements_is_nan() {
        assert!(Sample::default().median().is_nan());
    }
}
