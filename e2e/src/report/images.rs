//! The output about images: their progress, and a table at the end.

use std::time::Duration;

use comfy_table::{Table, presets};

use crate::environment::images::ResolvedImage;
use crate::record::event::{BuildProgress, Compiled, ImageOrigin, ImageProgress};

/// The note for the user about an image, on one line. `None` for an image that is present, because the user expects that, and for the
/// progress of a build, which live views show in another way.
pub fn news(name: &str, progress: ImageProgress<'_>) -> Option<String> {
    match progress {
        ImageProgress::Continues(_) | ImageProgress::Obtained { origin: ImageOrigin::Local, .. } => None,
        _ => Some(line(name, progress)),
    }
}

/// The progress of an image, on one line.
pub fn line(name: &str, progress: ImageProgress<'_>) -> String {
    let text = match progress {
        ImageProgress::Pulling { reference } => format!("pulling {reference}"),
        ImageProgress::NotPulled { reason } => format!("pull failed: {reason}"),
        ImageProgress::Building { log, expected } => {
            format!("building, about {}, log in {}", format_duration(expected), log.display())
        }
        ImageProgress::Continues(progress) => build_progress(progress),
        ImageProgress::Obtained { origin: ImageOrigin::Local, .. } => "already present".to_owned(),
        ImageProgress::Obtained { origin, duration } => format!("{} in {:.1} s", origin.word(), duration.as_secs_f64()),
    };
    format!("{name}: {text}")
}

/// The progress of a build.
pub fn build_progress(progress: BuildProgress) -> String {
    let BuildProgress { compiled, duration, remaining, is_waiting } = progress;
    let compiled = compiled.map(|Compiled { done, total }| format!("{done} of {total} packages compiled, "));
    let remaining = match remaining {
        _ if is_waiting => "waiting for the compiler, which another build is using".to_owned(),
        Some(remaining) => format!("about {} left", format_duration(remaining)),
        None => format!("running for {} s, longer than expected", duration.as_secs()),
    };
    compiled.unwrap_or_default() + &remaining
}

/// An approximate duration, in minutes or tens of seconds.
fn format_duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..90 => format!("{} s", seconds.div_ceil(10).max(1) * 10),
        _ => format!("{} min", (seconds + 30) / 60),
    }
}

pub fn table(obtained: &[ResolvedImage]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["image", "from", "seconds", "reference"]);
    for ResolvedImage { name, reference, origin, duration, .. } in obtained {
        table.add_row([*name, origin.word(), &format!("{:.1}", duration.as_secs_f64()), reference]);
    }
    format!("{}\n", table.trim_fmt())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::zero(0, "10 s")]
    #[case::seconds(41, "50 s")]
    #[case::more_than_a_minute(89, "90 s")]
    #[case::minutes(90, "2 min")]
    #[case::many(449, "7 min")]
    fn a_duration_is_approximate(#[case] seconds: u64, #[case] expected: &str) {
        assert_eq!(format_duration(Duration::from_secs(seconds)), expected);
    }

    fn obtained(name: &'static str, origin: ImageOrigin, millis: u64) -> ResolvedImage {
        let reference = format!("gitlab-ci-k8s-demo/{name}:0123456789ab");
        ResolvedImage { name, reference, upstream: None, origin, duration: Duration::from_millis(millis) }
    }

    #[test]
    fn progress_lines() {
        let minute = Duration::from_mins(1);
        let progress = BuildProgress { compiled: None, duration: minute * 5 / 4, remaining: None, is_waiting: false };
        let compiled = Some(Compiled { done: 812, total: 2862 });
        let events = [
            ("dind", ImageProgress::Pulling { reference: "docker.io/library/docker:28.5.2-dind" }),
            ("dind", ImageProgress::NotPulled { reason: "no route to the registry" }),
            ("dind", ImageProgress::Building { log: Path::new("target/e2e/images/dind.log"), expected: minute / 2 }),
            ("dind", ImageProgress::Continues(BuildProgress { remaining: Some(minute / 5), ..progress })),
            ("etcd-3.7", ImageProgress::Continues(progress)),
            ("etcd-3.7", ImageProgress::Continues(BuildProgress { is_waiting: true, ..progress })),
            (
                "kubernetes-1.37",
                ImageProgress::Continues(BuildProgress { compiled, remaining: Some(minute * 4), ..progress }),
            ),
            ("dind", ImageProgress::Obtained { origin: ImageOrigin::Built, duration: Duration::from_millis(12_345) }),
            ("kubectl", ImageProgress::Obtained { origin: ImageOrigin::Local, duration: Duration::from_millis(1) }),
        ];
        let lines = events.map(|(name, progress)| line(name, progress));
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_table_of_images() {
        let all = [obtained("dind", ImageOrigin::Built, 12_345), obtained("kubectl", ImageOrigin::Local, 1)];
        insta::assert_snapshot!(table(&all));
    }
}
