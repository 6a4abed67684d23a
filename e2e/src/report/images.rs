//! Images: what is going on with them, and what came of it.

use comfy_table::{Table, presets};

use crate::images::{Obtained, Progress, Source};

/// One line of the story.
pub fn line(progress: &Progress) -> String {
    match progress {
        Progress::Pulling { name, reference } => format!("{name}: pulling {reference}"),
        Progress::NotPulled { name, reason } => format!("{name}: cannot be pulled: {reason}"),
        Progress::Building { name, log } => format!("{name}: building, log in {}", log.display()),
        Progress::Obtained(Obtained { name, source: Source::Here, .. }) => format!("{name}: here"),
        Progress::Obtained(Obtained { name, source, took, .. }) => {
            format!("{name}: {} in {:.1} s", source.word(), took.as_secs_f64())
        }
    }
}

/// All that was obtained, as a table.
pub fn table(obtained: &[Obtained]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["image", "from", "seconds", "reference"]);
    for Obtained { name, reference, source, took } in obtained {
        table.add_row([*name, source.word(), &format!("{:.1}", took.as_secs_f64()), reference]);
    }
    format!("{}\n", table.trim_fmt())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn obtained(name: &'static str, source: Source, millis: u64) -> Obtained {
        let reference = format!("gitlab-ci-k8s-demo/{name}:0123456789ab");
        Obtained { name, reference, source, took: Duration::from_millis(millis) }
    }

    #[test]
    fn a_story() {
        let story = [
            Progress::Pulling { name: "dind", reference: "docker.io/library/docker:28.5.1-dind" },
            Progress::NotPulled { name: "dind", reason: "no route to the registry".to_owned() },
            Progress::Building { name: "dind", log: "target/e2e/images/dind.log".into() },
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
