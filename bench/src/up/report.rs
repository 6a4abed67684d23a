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
    /// The node image, the same for `e2e up` and for kind alone.
    pub(super) node: String,
    /// Number of clusters that `e2e up` and kind alone create each.
    pub(super) rounds: u32,
    /// The figures.
    pub(super) found: Measurement,
}

impl Comparison for Report {
    fn command(&self) -> String {
        format!("make bench-up BENCH_FLAGS='--rounds {}'", self.rounds)
    }

    fn notes(&self) -> Vec<String> {
        vec![
            format!("machine: {}; node image {}; {}", self.machine, self.node, self.day),
            format!(
                "method: {} clusters of each program, alternating; all images present; median (least–greatest)",
                self.rounds
            ),
        ]
    }

    fn table(&self) -> Table {
        let Measurement { kind, kind_delete, up, again, down } = &self.found;
        // The registry and the add-ons may add at most half of kind's own time.
        let ratio = verdict("≤ 1.5×", up.median() <= 1.5 * kind.median());
        let rows = [
            row("cluster created", up, Some(kind), &ratio),
            row("again, on a running cluster", again, None, &verdict("≤ 5 s", again.median() <= 5.0)),
            row("deleted", down, Some(kind_delete), "–"),
        ];
        let header = ["measurement", "e2e", "kind alone", "e2e : kind", "target"].map(str::to_owned).to_vec();
        Table([vec![header], rows.to_vec()].concat())
    }
}

fn row(measure: &str, e2e: &Sample, kind: Option<&Sample>, target: &str) -> Vec<String> {
    let (alone, ratio) = match kind {
        Some(kind) => (kind.seconds(), format!("{:.2}×", e2e.median() / kind.median())),
        None => ("–".to_owned(), "–".to_owned()),
    };
    vec![measure.to_owned(), e2e.seconds(), alone, ratio, target.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: [f64; 3]) -> Sample {
        values.into_iter().collect()
    }

    #[test]
    fn the_report_is_a_table_with_notes() {
        let found = Measurement {
            kind: sample([26.0, 24.0, 25.0]),
            kind_delete: sample([1.0, 1.1, 1.2]),
            up: sample([51.0, 44.0, 45.0]),
            again: sample([5.1, 5.2, 5.3]),
            down: sample([2.0, 2.1, 2.2]),
        };
        let report = Report {
            machine: "AMD EPYC, 2 cores, Linux 6".to_owned(),
            day: "2026-01-31".to_owned(),
            node: "gitlab-ci-k8s-demo/kind-node-1.37:0123456789ab".to_owned(),
            rounds: 3,
            found,
        };
        insta::assert_snapshot!(report.markdown());
    }
}
