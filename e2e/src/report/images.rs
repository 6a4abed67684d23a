//! Images: what is going on with them, and what came of it.

use std::time::Duration;

use comfy_table::{Table, presets};

use crate::environment::images::Compiled;
use crate::environment::images::Obtained;
use crate::environment::images::Progress;
use crate::environment::images::Source;

/// One line of the story.
pub fn line(progress: &Progress) -> String {
    match progress {
        Progress::Pulling { name, reference } => format!("{name}: pulling {reference}"),
        Progress::NotPulled { name, reason } => format!("{name}: cannot be pulled: {reason}"),
        Progress::Building { name, log, expected } => {
            format!("{name}: building, about {}, log in {}", duration(*expected), log.display())
        }
        Progress::Continues { name, compiled, took, left } => format!("{name}: {}", pace(*compiled, *took, *left)),
        Progress::Obtained(Obtained { name, source: Source::Here, .. }) => format!("{name}: here"),
        Progress::Obtained(Obtained { name, source, took, .. }) => {
            format!("{name}: {} in {:.1} s", source.word(), took.as_secs_f64())
        }
    }
}

/// How far a build is.
pub fn pace(compiled: Option<Compiled>, took: Duration, left: Option<Duration>) -> String {
    let compiled = compiled.map(|Compiled { done, total }| format!("{done} of {total} packages compiled, "));
    let left = match left {
        Some(left) => format!("about {} left", duration(left)),
        None => format!("for {} s, longer than expected", took.as_secs()),
    };
    compiled.unwrap_or_default() + &left
}

/// How long something takes that is not known to the second: minutes, or tens of seconds.
fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..90 => format!("{} s", seconds.div_ceil(10).max(1) * 10),
        _ => format!("{} min", (seconds + 30) / 60),
    }
}

/// All that was obtained, as a table.
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
    #[case::over(0, "10 s")]
    #[case::seconds(41, "50 s")]
    #[case::more_than_a_minute(89, "90 s")]
    #[case::minutes(90, "2 min")]
    #[case::many(449, "7 min")]
    fn durations(#[case] seconds: u64, #[case] expected: &str) {
        assert_eq!(duration(Duration::from_secs(seconds)), expected);
    }

    fn obtained(name: &'static str, source: Source, millis: u64) -> Obtained {
        let reference = format!("gitlab-ci-k8s-demo/{name}:0123456789ab");
        Obtained { name, reference, upstream: None, source, took: Duration::from_millis(millis) }
    }

    #[test]
    fn a_story() {
        let story = [
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
        insta::assert_snapshot!(story.iter().map(line).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn a_table() {
        let all = [obtained("dind", Source::Built, 12_345), obtained("kubectl", Source::Here, 1)];
        insta::assert_snapshot!(table(&all));
    }
}
