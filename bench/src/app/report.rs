//! Formats the results for people.

use super::measure::{Found, Plan};
use crate::comparison::{Comparison, verdict};
use crate::sample::Sample;
use crate::table::Table;

/// Everything that a reader needs to judge the figures.
#[derive(Debug)]
pub(crate) struct Report {
    /// The machine that they were measured on.
    pub(crate) machine: String,
    /// The date of the measurement.
    pub(crate) day: String,
    /// The command that measured them.
    pub(crate) command: String,
    /// The extent of the measurement.
    pub(crate) plan: Plan,
    /// The results for the Rust service.
    pub(crate) rust: Found,
    /// The results for the Go service.
    pub(crate) go: Found,
}

/// The target of the Rust service, relative to the Go service.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// At least this many times the value of the Go service.
    AtLeast(f64),
    /// At most the value of the Go service divided by this number.
    AtMostOneIn(f64),
}

/// The format of a value.
#[derive(Clone, Copy, Debug)]
enum Unit {
    /// A rate, rounded to an integer.
    PerSecond,
    /// A time in seconds, printed in milliseconds.
    Milliseconds,
    /// A size in bytes, printed in units of 1024 × 1024 bytes.
    Mebibytes,
    Bytes,
    /// A share from 0 to 1, printed as a percentage.
    Percent,
}

/// The expected minimum use of a core. A service that used less of its core shared it with another process or waited for the load
/// generator.
const BUSY: f64 = 0.95;

impl Comparison for Report {
    fn command(&self) -> String {
        self.command.clone()
    }

    fn notes(&self) -> Vec<String> {
        let Self { machine, day, plan, rust, go, .. } = self;
        let Plan { rounds, seconds, starts, connections } = plan;
        let mut notes = vec![
            format!("machine: {machine}; {}, {}; {day}", rust.compiler, go.compiler),
            format!(
                "method: {rounds} × {seconds} s on each route over {connections} connections, {starts} starts; \
                 server and load generator on separate cores; median (least–greatest)"
            ),
        ];
        for (name, found) in [("Rust", rust), ("Go", go)] {
            for (path, route) in [("/health", &found.health), ("/metrics", &found.metrics)] {
                if route.busy.median() < BUSY {
                    let busy = Unit::Percent.write(route.busy.median());
                    notes.push(format!(
                        "caution: on {path} the {name} service used only {busy} of its core, so it was not the bottleneck"
                    ));
                }
            }
        }
        notes
    }

    fn table(&self) -> Table {
        use Target::{AtLeast, AtMostOneIn};
        use Unit::{Bytes, Mebibytes, Milliseconds, PerSecond, Percent};

        let mut rows = vec![["measurement", "Rust", "Go", "Rust : Go", "target"].map(str::to_owned).to_vec()];
        let mut row = |measure: &str, unit: Unit, sample: &dyn Fn(&Found) -> &Sample, target: Option<Target>| {
            let (rust, go) = (sample(&self.rust), sample(&self.go));
            let ratio = rust.median() / go.median();
            let verdict = target.map_or("–".to_owned(), |target| target.verdict(ratio));
            rows.push(vec![measure.to_owned(), cell(unit, rust), cell(unit, go), write_ratio(ratio), verdict]);
        };
        row("/health, requests per second", PerSecond, &|found| &found.health.per_second, Some(AtLeast(1.5)));
        row("/health, latency p50", Milliseconds, &|found| &found.health.p50, None);
        row("/health, latency p99", Milliseconds, &|found| &found.health.p99, None);
        row("/metrics, requests per second", PerSecond, &|found| &found.metrics.per_second, Some(AtLeast(3.0)));
        row("/metrics, latency p50", Milliseconds, &|found| &found.metrics.p50, None);
        row("/metrics, latency p99", Milliseconds, &|found| &found.metrics.p99, None);
        row("/metrics, size", Bytes, &|found| &found.exposition, None);
        row("access log, size of a line", Bytes, &|found| &found.log_line, None);
        row("CPU utilization, /health", Percent, &|found| &found.health.busy, None);
        row("CPU utilization, /metrics", Percent, &|found| &found.metrics.busy, None);
        row("resident memory, idle", Mebibytes, &|found| &found.idle_memory, None);
        row("resident memory, peak", Mebibytes, &|found| &found.peak_memory, Some(AtMostOneIn(4.0)));
        row("start-up to first 200", Milliseconds, &|found| &found.start_up, Some(AtMostOneIn(2.0)));
        row("executable", Mebibytes, &|found| &found.executable, Some(AtMostOneIn(3.0)));
        Table(rows)
    }
}

impl Target {
    fn verdict(self, ratio: f64) -> String {
        let (text, met) = match self {
            Self::AtLeast(bound) => (format!("≥ {bound}×"), ratio >= bound),
            Self::AtMostOneIn(parts) => (format!("≤ 1/{parts}"), ratio * parts <= 1.0),
        };
        verdict(&text, met)
    }
}

impl Unit {
    fn write(self, value: f64) -> String {
        match self {
            Self::PerSecond => thousands(value),
            Self::Milliseconds => format!("{:.2} ms", value * 1e3),
            Self::Mebibytes => format!("{:.1} MiB", value / (1024.0 * 1024.0)),
            Self::Bytes => format!("{} B", thousands(value)),
            Self::Percent => format!("{:.0} %", value * 100.0),
        }
    }
}

/// The median, and the range if its printed ends differ.
fn cell(unit: Unit, sample: &Sample) -> String {
    let (least, greatest) = sample.range();
    let (median, least, greatest) = (unit.write(sample.median()), unit.write(least), unit.write(greatest));
    if least == greatest {
        return median;
    }
    // The median already shows the unit.
    let number = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
    format!("{median} ({}–{})", number(&least), number(&greatest))
}

fn write_ratio(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.2}×") } else { format!("{ratio:.1}×") }
}

/// Formats `1234567.8` as `1,234,568`.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::measure::Route;
    use super::*;

    fn route(per_second: f64, busy: f64) -> Route {
        Route {
            per_second: [per_second, per_second * 1.02, per_second * 0.97].into_iter().collect(),
            p50: [32.0 / per_second].into_iter().collect(),
            p99: [90.0 / per_second].into_iter().collect(),
            busy: [busy].into_iter().collect(),
        }
    }

    fn found(compiler: &str, mebibytes: f64, health: Route, metrics: Route) -> Found {
        let mebibytes = |share: f64| Sample::from_iter([mebibytes * share * 1024.0 * 1024.0]);
        Found {
            compiler: compiler.to_owned(),
            executable: mebibytes(1.0),
            start_up: [0.0019, 0.0021].into_iter().collect(),
            idle_memory: mebibytes(1.1),
            peak_memory: mebibytes(1.5),
            health,
            metrics,
            exposition: [3865.0].into_iter().collect(),
            log_line: [181.0].into_iter().collect(),
        }
    }

    fn report() -> Report {
        Report {
            machine: "AMD EPYC, 2 cores, Linux 6.1.0".to_owned(),
            day: "2026-01-31".to_owned(),
            command: "make bench-app".to_owned(),
            plan: Plan { rounds: 3, seconds: 5, starts: 2, connections: 32 },
            rust: found("rustc 1.95.0", 2.5, route(100_000.0, 0.99), route(20_000.0, 0.8)),
            go: found("go1.26.8", 8.0, route(50_000.0, 1.0), route(2500.0, 1.0)),
        }
    }

    #[test]
    fn plain() {
        insta::assert_snapshot!(report().plain(), @"
        machine: AMD EPYC, 2 cores, Linux 6.1.0; rustc 1.95.0, go1.26.8; 2026-01-31
        method: 3 × 5 s on each route over 32 connections, 2 starts; server and load generator on separate cores; median (least–greatest)
        caution: on /metrics the Rust service used only 80 % of its core, so it was not the bottleneck

        measurement                                        Rust                      Go  Rust : Go         target
        /health, requests per second   100,000 (97,000–102,000)  50,000 (48,500–51,000)      2.00×    ≥ 1.5×: met
        /health, latency p50                            0.32 ms                 0.64 ms      0.50×              –
        /health, latency p99                            0.90 ms                 1.80 ms      0.50×              –
        /metrics, requests per second    20,000 (19,400–20,400)     2,500 (2,425–2,550)      8.00×      ≥ 3×: met
        /metrics, latency p50                           1.60 ms                12.80 ms      0.12×              –
        /metrics, latency p99                           4.50 ms                36.00 ms      0.12×              –
        /metrics, size                                  3,865 B                 3,865 B      1.00×              –
        access log, size of a line                        181 B                   181 B      1.00×              –
        CPU utilization, /health                           99 %                   100 %      0.99×              –
        CPU utilization, /metrics                          80 %                   100 %      0.80×              –
        resident memory, idle                           2.8 MiB                 8.8 MiB      0.31×              –
        resident memory, peak                           3.8 MiB                12.0 MiB      0.31×  ≤ 1/4: missed
        start-up to first 200               2.00 ms (1.90–2.10)     2.00 ms (1.90–2.10)      1.00×  ≤ 1/2: missed
        executable                                      2.5 MiB                 8.0 MiB      0.31×     ≤ 1/3: met
        ");
    }

    #[test]
    fn markdown() {
        insta::assert_snapshot!(report().markdown().trim(), @"
        | measurement                   |                     Rust |                     Go | Rust : Go |        target |
        |:------------------------------|-------------------------:|-----------------------:|----------:|--------------:|
        | /health, requests per second  | 100,000 (97,000–102,000) | 50,000 (48,500–51,000) |     2.00× |   ≥ 1.5×: met |
        | /health, latency p50          |                  0.32 ms |                0.64 ms |     0.50× |             – |
        | /health, latency p99          |                  0.90 ms |                1.80 ms |     0.50× |             – |
        | /metrics, requests per second |   20,000 (19,400–20,400) |    2,500 (2,425–2,550) |     8.00× |     ≥ 3×: met |
        | /metrics, latency p50         |                  1.60 ms |               12.80 ms |     0.12× |             – |
        | /metrics, latency p99         |                  4.50 ms |               36.00 ms |     0.12× |             – |
        | /metrics, size                |                  3,865 B |                3,865 B |     1.00× |             – |
        | access log, size of a line    |                    181 B |                  181 B |     1.00× |             – |
        | CPU utilization, /health      |                     99 % |                  100 % |     0.99× |             – |
        | CPU utilization, /metrics     |                     80 % |                  100 % |     0.80× |             – |
        | resident memory, idle         |                  2.8 MiB |                8.8 MiB |     0.31× |             – |
        | resident memory, peak         |                  3.8 MiB |               12.0 MiB |     0.31× | ≤ 1/4: missed |
        | start-up to first 200         |      2.00 ms (1.90–2.10) |    2.00 ms (1.90–2.10) |     1.00× | ≤ 1/2: missed |
        | executable                    |                  2.5 MiB |                8.0 MiB |     0.31× |    ≤ 1/3: met |

        - machine: AMD EPYC, 2 cores, Linux 6.1.0; rustc 1.95.0, go1.26.8; 2026-01-31
        - method: 3 × 5 s on each route over 32 connections, 2 starts; server and load generator on separate cores; median (least–greatest)
        - caution: on /metrics the Rust service used only 80 % of its core, so it was not the bottleneck
        - command: `make bench-app`
        ");
    }

    #[rstest]
    #[case::met(Target::AtLeast(1.5), 1.5, "≥ 1.5×: met")]
    #[case::missed(Target::AtLeast(3.0), 2.99, "≥ 3×: missed")]
    #[case::small_enough(Target::AtMostOneIn(4.0), 0.25, "≤ 1/4: met")]
    #[case::too_big(Target::AtMostOneIn(3.0), 0.34, "≤ 1/3: missed")]
    #[case::not_measured(Target::AtMostOneIn(3.0), f64::NAN, "≤ 1/3: missed")]
    fn verdicts(#[case] target: Target, #[case] ratio: f64, #[case] expected: &str) {
        assert_eq!(target.verdict(ratio), expected);
    }

    #[rstest]
    #[case(0.0, "0")]
    #[case(999.4, "999")]
    #[case(1000.0, "1,000")]
    #[case(1_234_567.8, "1,234,568")]
    fn grouped(#[case] value: f64, #[case] expected: &str) {
        assert_eq!(thousands(value), expected);
    }
}
