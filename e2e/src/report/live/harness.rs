//! The harness, in a live view: a cluster that comes up, images, or a run of the scenario. The output of jobs is in their logs; a
//! terminal shows only their last line.

use super::change::{Change, LiveEvent};
use crate::record::event::{Event, ImageProgress};
use crate::record::{IMAGES, Verdict};
use crate::report::run::symbol;
use crate::report::{checks, images};

impl LiveEvent for Event<'_> {
    fn change(&self) -> Change<'_> {
        match self {
            Self::Began { lane, name } => Change::Starts(work(lane, name).into()),
            Self::Says { lane, name, text } if *lane == IMAGES => {
                Change::Progresses(work(lane, name).into(), (*text).into())
            }
            Self::Says { lane, name, text } => Change::Says(work(lane, name).into(), (*text).into()),
            Self::Ended { span, .. } => Change::Ends(work(&span.lane, &span.name).into()),
            Self::PartBegan { part, .. } => Change::Starts((*part).into()),
            Self::PartEnded { part, .. } => Change::Ends((*part).into()),
            Self::Image { name, progress } => match progress {
                ImageProgress::Pulling { .. } | ImageProgress::Building { .. } => Change::Starts((*name).into()),
                ImageProgress::Continues(progress) => {
                    Change::Progresses((*name).into(), images::build_progress(*progress).into())
                }
                ImageProgress::NotPulled { .. } | ImageProgress::Obtained { .. } => Change::Ends((*name).into()),
            },
            Self::CheckBegan { environment, name } => Change::StartsCheck(work(environment, name).into()),
            Self::CheckEnded(check) => Change::Ends(work(&check.environment, &check.name).into()),
            Self::StepBegan { .. } | Self::StepEnded(_) | Self::Note { .. } => Change::Nothing,
        }
    }

    fn line(&self) -> Option<String> {
        Some(match self {
            Self::StepBegan { name } => format!("▶ {name}"),
            Self::StepEnded(step) if step.verdict == Verdict::NotRun => {
                format!("– {}: not done, {}", step.name, step.outcome)
            }
            Self::StepEnded(step) => {
                let outcome = step.outcome.lines().next().unwrap_or_default();
                format!("{} {}: {outcome} ({:.1} s)", symbol(step.verdict), step.name, step.duration)
            }
            Self::Ended { span, words } => {
                let words = if words.is_empty() { String::new() } else { format!(", {words}") };
                let duration = span.end - span.start;
                format!("    {} {}: {} {duration:.1} s{words}", symbol(span.verdict), span.lane, span.name)
            }
            Self::Note { text } => format!("    {text}"),
            Self::PartBegan { part, log: None } => format!("{part} …"),
            Self::PartBegan { part, log: Some(log) } => format!("{part} … log in {}", log.display()),
            Self::PartEnded { part, verdict: Verdict::Passed, duration } => {
                format!("{part}: {:.1} s", duration.as_secs_f64())
            }
            Self::PartEnded { part, duration, .. } => format!("{part}: failed after {:.1} s", duration.as_secs_f64()),
            Self::Image { name, progress } => format!("image {}", images::news(name, *progress)?),
            Self::Began { .. } | Self::Says { .. } | Self::CheckBegan { .. } => return None,
            Self::CheckEnded(check) => checks::line(check),
        })
    }

    fn json(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

fn work(lane: &str, name: &str) -> String {
    format!("{lane}: {name}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::record::event::ImageOrigin;
    use crate::record::{Span, Step};

    #[test]
    fn lines_of_a_run() {
        let span = |verdict| Span {
            lane: "pipeline 3".to_owned(),
            name: "compile".to_owned(),
            start: 1.0,
            end: 13.26,
            verdict,
        };
        let step = |verdict, outcome: &str| Step {
            name: "A push to branch feature/e2e".to_owned(),
            verdict,
            start: 0.0,
            duration: 61.04,
            outcome: outcome.to_owned(),
        };
        let events = [
            Event::StepBegan { name: "A push to branch feature/e2e" },
            Event::Note { text: "pipeline 3: 6 jobs" },
            Event::Began { lane: "pipeline 3", name: "compile" },
            Event::Says { lane: "pipeline 3", name: "compile", text: "Compiling app" },
            Event::Ended { span: &span(Verdict::Passed), words: "" },
            Event::Ended { span: &span(Verdict::Failed), words: "exit code 101" },
            Event::StepEnded(&step(Verdict::Passed, "5 passed")),
            Event::StepEnded(&step(Verdict::Failed, "1 failed\nand more")),
            Event::StepEnded(&step(Verdict::NotRun, "no job stops it")),
        ];
        insta::assert_snapshot!(events.iter().filter_map(LiveEvent::line).collect::<Vec<_>>().join("\n"));
    }
    #[test]
    fn lines_of_a_setup() {
        let duration = Duration::from_millis(26_040);
        let image = |name, progress| Event::Image { name, progress };
        let building = ImageProgress::Building { log: Path::new("kind-node.log"), expected: Duration::from_mins(1) };
        let events = [
            Event::Note { text: "cluster `demo` is incomplete or stopped; recreating it" },
            image("registry", ImageProgress::Obtained { origin: ImageOrigin::Local, duration }),
            image("kind-node", building),
            Event::PartBegan { part: "cluster", log: Some(Path::new("/x/kind.log")) },
            Event::PartBegan { part: "registry", log: None },
            Event::PartEnded { part: "registry", verdict: Verdict::Passed, duration: Duration::from_millis(900) },
            Event::PartEnded { part: "cluster", verdict: Verdict::Failed, duration },
        ];
        insta::assert_snapshot!(events.iter().filter_map(LiveEvent::line).collect::<Vec<_>>().join("\n"));
    }
}
