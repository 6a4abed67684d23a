//! Formats the measurements for people.

use super::measurement::Measurement;
use crate::comparison::{Comparison, verdict};
use crate::sample::Sample;
use crate::table::Table;

/// The figures, and the facts that a reader needs to judge them.
#[derive(Debug)]
pub(super) struct Report {
    /// The machine that they were measured on.
    pub(super) machine: String,
    /// The date of the measurement.
    pub(super) day: String,
    pub(super) rounds: u32,
    /// Number of parallel jobs.
    pub(super) jobs: u32,
    /// Size of the output of one job.
    pub(super) megabytes: u32,
    /// The figures.
    pub(super) found: Measurement,
}

impl Comparison for Report {
    fn command(&self) -> String {
        format!("make bench-pods BENCH_FLAGS='--rounds {} --jobs {}'", self.rounds, self.jobs)
    }

    fn notes(&self) -> Vec<String> {
        vec![
            format!("machine: {}; {}", self.machine, self.day),
            format!(
                "method: {} rounds, alternating, on a cluster of one node; the image is on the node; median (least–greatest)",
                self.rounds
            ),
        ]
    }

    fn table(&self) -> Table {
        let Measurement { one, one_bare, many, many_bare, output, output_bare } = &self.found;
        let ratio = |sample: &Sample, bare: &Sample| format!("{:.2}×", sample.median() / bare.median());
        let rows = [
            vec![
                "one job that does nothing".to_owned(),
                one.seconds(),
                one_bare.seconds(),
                ratio(one, one_bare),
                verdict("≤ 1.3×", one.median() <= 1.3 * one_bare.median()),
            ],
            vec![
                format!("{} such jobs at the same time", self.jobs),
                many.seconds(),
                many_bare.seconds(),
                ratio(many, many_bare),
                "–".to_owned(),
            ],
            vec![
                format!("output of {} MB", self.megabytes),
                rate(output),
                rate(output_bare),
                ratio(output, output_bare),
                verdict("≥ 50 MB/s", output.median() >= 50.0),
            ],
        ];
        let header = ["measurement", "e2e", "kubectl", "e2e : kubectl", "target"].map(str::to_owned).to_vec();
        Table([vec![header], rows.to_vec()].concat())
    }
}

fn rate(sample: &Sample) -> String {
    let (least, greatest) = sample.range();
    format!("{:.0} MB/s ({least:.0}–{greatest:.0})", sample.median())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_a_table_with_notes() {
        let sample = |values: [f64; 3]| values.into_iter().collect();
        let found = Measurement {
            one: sample([3.1, 3.0, 3.2]),
            one_bare: sample([2.5, 2.6, 2.4]),
            many: sample([61.0, 60.0, 62.0]),
            many_bare: sample([50.0, 49.0, 51.0]),
            output: sample([61.0, 49.0, 40.0]),
            output_bare: sample([70.0, 71.0, 72.0]),
        };
        let report = Report {
            machine: "AMD EPYC, 2 cores, Linux 6".to_owned(),
            day: "2026-01-31".to_owned(),
            rounds: 3,
            jobs: 50,
            megabytes: 200,
            found,
        };
        insta::assert_snapshot!(report.markdown());
    }
}
