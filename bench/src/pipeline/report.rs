//! Formats the measurements for people.

use std::path::PathBuf;

use super::measurement::{CONCURRENCY, Measurement, SIZES};
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
    /// The number of rounds.
    pub(super) rounds: u32,
    /// The directory for the files of both programs.
    pub(super) dir: PathBuf,
    /// The figures.
    pub(super) found: Measurement,
}

impl Comparison for Report {
    fn command(&self) -> String {
        format!("make bench-pipeline BENCH_FLAGS='--rounds {}'", self.rounds)
    }

    fn notes(&self) -> Vec<String> {
        vec![
            format!("machine: {}; {}", self.machine, self.day),
            format!(
                "method: {} rounds, alternating; times include process start; both programs run jobs in separate checkouts, \
                 {CONCURRENCY} at a time, in {}; median (least–greatest)",
                self.rounds,
                self.dir.display()
            ),
            format!(
                "for the article's pipeline, gitlab-ci-local lists {} that GitLab would not run for the branch, because it ignores \
                 `only` and `except`",
                jobs(self.found.extra_jobs)
            ),
        ]
    }

    fn table(&self) -> Table {
        let Measurement { article, article_other, plans, hundred_other, run, run_other, .. } = &self.found;
        let [hundred, thousand, ten_thousand] = plans;
        let faster = |ours, theirs, least: f64| verdict(&format!("≥ {least}×"), speedup(ours, theirs) >= least);
        // From the difference between two plans, because the start of the program takes most of the time of a small plan.
        let per_job = |number: usize| {
            let more = plans.get(number).zip(SIZES.get(number)).map(|(plan, size)| (plan.median(), *size));
            let less = plans.get(number - 1).zip(SIZES.get(number - 1)).map(|(plan, size)| (plan.median(), *size));
            more.zip(less).map_or(f64::NAN, |((more, many), (less, few))| {
                let jobs = u32::try_from(many - few).map_or(f64::NAN, f64::from);
                (more - less) / jobs
            })
        };
        let (first, second) = (per_job(1), per_job(2));
        let mut rows = vec![
            compared(
                "plan of the article's pipeline",
                article,
                article_other,
                &verdict("≤ 5 ms", article.median() <= 0.005),
            ),
            compared("plan of 100 jobs", hundred, hundred_other, &faster(hundred, hundred_other, 80.0)),
            alone("plan of 1,000 jobs", thousand, "–"),
            alone("plan of 10,000 jobs", ten_thousand, &verdict("≤ 1 s", ten_thousand.median() <= 1.0)),
        ];
        let figure = |measure: &str, seconds: f64, target: &str| {
            [measure, &format!("{:.0} µs", seconds * 1e6), "–", "–", target].map(str::to_owned).to_vec()
        };
        rows.push(figure("each additional job, from 100 to 1,000", first, "–"));
        rows.push(figure(
            "each additional job, from 1,000 to 10,000",
            second,
            &verdict("≤ 1.5 × the row above", second <= 1.5 * first),
        ));
        rows.push(compared("running 100 jobs that do nothing", run, run_other, &faster(run, run_other, 10.0)));
        let each: Sample = [run.median() / 100.0].into_iter().collect();
        let each_other: Sample = [run_other.median() / 100.0].into_iter().collect();
        rows.push(compared("the same, each job", &each, &each_other, &verdict("≤ 10 ms", each.median() <= 0.01)));
        let header = ["measurement", "e2e", "gitlab-ci-local", "speedup", "target"].map(str::to_owned).to_vec();
        Table([vec![header], rows].concat())
    }
}

fn compared(measure: &str, ours: &Sample, theirs: &Sample, target: &str) -> Vec<String> {
    let speedup = speedup(ours, theirs);
    // Without the decimal, a small figure such as 9.6 would look like its target, 10.
    let speedup = if speedup < 100.0 { format!("{speedup:.1}×") } else { format!("{speedup:.0}×") };
    vec![measure.to_owned(), milliseconds(ours), milliseconds(theirs), speedup, target.to_owned()]
}

/// The speed of our program, as a multiple of the other program's.
fn speedup(ours: &Sample, theirs: &Sample) -> f64 {
    theirs.median() / ours.median()
}

fn alone(measure: &str, ours: &Sample, target: &str) -> Vec<String> {
    vec![measure.to_owned(), milliseconds(ours), "–".to_owned(), "–".to_owned(), target.to_owned()]
}

fn jobs(number: usize) -> String {
    if number == 1 { "1 job".to_owned() } else { format!("{number} jobs") }
}

fn milliseconds(sample: &Sample) -> String {
    let (median, (least, greatest)) = (sample.median() * 1e3, sample.range());
    let (least, greatest) = (least * 1e3, greatest * 1e3);
    if least.to_bits() == greatest.to_bits() {
        return format!("{median:.1} ms");
    }
    if median < 100.0 {
        format!("{median:.1} ms ({least:.1}–{greatest:.1})")
    } else {
        format!("{median:.0} ms ({least:.0}–{greatest:.0})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: [f64; 3]) -> Sample {
        values.into_iter().collect()
    }

    #[test]
    fn one_job_is_singular() {
        assert_eq!([jobs(0), jobs(1), jobs(2)], ["0 jobs", "1 job", "2 jobs"]);
    }

    #[test]
    fn the_report_is_a_table_with_notes() {
        let found = Measurement {
            article: sample([0.0041, 0.0046, 0.0044]),
            article_other: sample([0.41, 0.42, 0.43]),
            plans: [sample([0.007; 3]), sample([0.041, 0.042, 0.043]), sample([0.4, 0.41, 0.45])],
            hundred_other: sample([0.6, 0.61, 0.62]),
            run: sample([0.19, 0.2, 0.21]),
            run_other: sample([2.2, 2.3, 2.6]),
            extra_jobs: 2,
        };
        let report = Report {
            machine: "AMD EPYC, 2 cores, Linux 6".to_owned(),
            day: "2026-01-31".to_owned(),
            rounds: 3,
            dir: "/dev/shm".into(),
            found,
        };
        insta::assert_snapshot!(report.markdown());
    }
}
