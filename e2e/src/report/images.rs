//! The output about images: their progress, and a table at the end.

use std::time::Duration;

use comfy_table::{Table, presets};

use crate::environment::images::{Compiled, Obtained, Progress, Source};

/// A progress event, on one line.
pub fn line(progress: &Progress) -> String {
    match progress {
        Progress::Pulling { name, reference } => format!("{name}: pulling {reference}"),
        Progress::NotPulled { name, reason } => format!("{name}: pull failed: {reason}"),
        Progress::Building { name, log, expected } => {
            format!("{name}: building, about {}, log in {}", duration(*expected), log.display())
        }
        Progress::Continues { name, compiled, took, left } => format!("{name}: {}", pace(*compiled, *took, *left)),
        Progress::Obtained(Obtained { name, source: Source::Here, .. }) => format!("{name}: already present"),
        Progress::Obtained(Obtained { name, source, took, .. }) => {
            format!("{name}: {} in {:.1} s", source.word(), took.as_secs_f64())
        }
    }
}

/// The progress of a build.
pub fn pace(compiled: Option<Compiled>, took: Duration, left: Option<Duration>) -> String {
    let compiled = compiled.map(|Compiled { done, total }| format!("{done} of {total} packages compiled, "));
    let left = match left {
        Some(left) => format!("about {} left", duration(left)),
        None => format!("running for {} s, longer than expected", took.as_secs()),
    };
    compiled.unwrap_or_default() + &left
}

/// An approximate duration, in minutes or tens of seconds.
fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..90 => format!("{} s", seconds.div_ceil(10).max(1) * 10),
        _ => format!("{} min", (seconds + 30) / 60),
    }
}

/// The obtained images, as a table.
pub fn table(obtained: &[Obtained]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["image", "from", "seconds", "reference"]);
    for Obtained { name, reference, source, took, .. } in obtained {
        table.add_row([*name, source.word(), &format!("{:.1}", took.as_secs_f64()), reference]);
    }
    format!("{}\n", table.trim_fmt())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::zero(0, "10 s")]
    #[case::seconds(41, "50 s")]
    #[case::more_than_a_minute(89, "90 s")]
    #[case::minutes(90, "2 min")]
    #[case::many(449, "7 min")]
    fn a_duration_is_approximate(#[case] seconds: u64, #[case] expected: &str) {
        assert_eq!(duration(Duration::from_secs(seconds)), expected);
    }

    fn obtained(name: &'static str, source: Source, millis: u64) -> Obtained {
        let reference = format!("gitlab-ci-k8s-demo/{name}:0123456789ab");
        Obtained { name, reference, upstream: None, source, took: Duration::from_millis(millis) }
    }

    #[test]
    fn progress_lines() {
        let events = [
            Progress::Pulling { name: "dind", reference: "docker.io/library/docker:28.5.2-dind" },
            Progress::NotPulled { name: "dind", reason: "no route to the registry".to_owned() },
            Progress::Building {
                name: "dind",
                log: "target/e2e/images/dind.log".into(),
                expected: Duration::from_secs(30),
            },
            Progress::Continues {
                name: "dind",
                compiled: None,
                took: Duration::from_secs(18),
                left: Some(Duration::from_secs(12)),
            },
            Progress::Continues { name: "etcd-3.7", compiled: None, took: Duration::from_secs(75), left: None },
            Progress::Continues {
                name: "kubernetes-1.37",
                compiled: Some(Compiled { done: 812, total: 2862 }),
                took: Duration::from_mins(3),
                left: Some(Duration::from_mins(4)),
            },
            Progress::Obtained(obtained("dind", Source::Built, 12_345)),
            Progress::Obtained(obtained("kubectl", Source::Here, 1)),
        ];
        insta::assert_snapshot!(events.iter().map(line).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn a_table_of_images() {
        let all = [obtained("dind", Source::Built, 12_345), obtained("kubectl", Source::Here, 1)];
        insta::assert_snapshot!(table(&all));
    }
}
