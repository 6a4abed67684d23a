//! How a cluster and its images come up, in a live view.

use super::{Change, LiveEvent};
use crate::environment::images::Progress as ImageProgress;
use crate::environment::images::Source;
use crate::environment::progress::Progress;
use crate::report::images;

impl LiveEvent for Progress {
    fn change(&self) -> Change<'_> {
        match self {
            Self::Started { part, .. } => Change::Starts((*part).into()),
            Self::Done { part, .. } | Self::Failed { part, .. } => Change::Ends((*part).into()),
            Self::Note(_) => Change::Nothing,
            Self::Image(image) => match image {
                ImageProgress::Pulling { name, .. } | ImageProgress::Building { name, .. } => {
                    Change::Starts((*name).into())
                }
                ImageProgress::Continues { name, compiled, took, left } => {
                    Change::Progresses((*name).into(), images::pace(*compiled, *took, *left).into())
                }
                ImageProgress::NotPulled { name, .. } => Change::Ends((*name).into()),
                ImageProgress::Obtained(obtained) => Change::Ends(obtained.name.into()),
            },
        }
    }

    fn line(&self) -> Option<String> {
        Some(match self {
            Self::Started { part, log: None } => format!("{part} …"),
            Self::Started { part, log: Some(log) } => format!("{part} … log in {}", log.display()),
            Self::Done { part, took } => format!("{part}: {:.1} s", took.as_secs_f64()),
            Self::Failed { part, took } => format!("{part}: failed after {:.1} s", took.as_secs_f64()),
            Self::Note(note) => note.clone(),
            Self::Image(ImageProgress::Continues { .. }) => return None,
            // An image that is present is what the user expects.
            Self::Image(ImageProgress::Obtained(obtained)) if obtained.source == Source::Here => return None,
            Self::Image(image) => format!("image {}", images::line(image)),
        })
    }

    fn json(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::environment::images::{Obtained, Source};

    #[test]
    fn lines() {
        let took = Duration::from_millis(26_040);
        let here =
            Obtained { name: "registry", reference: "r:1".to_owned(), upstream: None, source: Source::Here, took };
        let events = [
            Progress::Note("cluster `demo` is incomplete or stopped; recreating it".to_owned()),
            Progress::Image(ImageProgress::Obtained(here)),
            Progress::Image(ImageProgress::Building {
                name: "kind-node",
                log: "kind-node.log".into(),
                expected: Duration::from_mins(1),
            }),
            Progress::Started { part: "cluster", log: Some("/x/kind.log".into()) },
            Progress::Started { part: "registry", log: None },
            Progress::Done { part: "registry", took: Duration::from_millis(900) },
            Progress::Failed { part: "cluster", took },
        ];
        insta::assert_snapshot!(events.iter().filter_map(LiveEvent::line).collect::<Vec<_>>().join("\n"));
    }
}
