//! A run of the scenario, in a live view. What jobs print is in their logs; a terminal shows their last line.

use super::{Change, LiveEvent};
use crate::record::event::Event;
use crate::record::{IMAGES, Verdict};
use crate::report::run::mark;

impl LiveEvent for Event<'_> {
    fn change(&self) -> Change<'_> {
        match self {
            Self::Began { lane, name } => Change::Starts(work(lane, name).into()),
            Self::Says { lane, name, text } if *lane == IMAGES => {
                Change::Progresses(work(lane, name).into(), (*text).into())
            }
            Self::Says { lane, name, text } => Change::Says(work(lane, name).into(), (*text).into()),
            Self::Ended { span, .. } => Change::Ends(work(&span.lane, &span.name).into()),
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
                format!("{} {}: {outcome} ({:.1} s)", mark(step.verdict), step.name, step.took)
            }
            Self::Ended { span, words } => {
                let words = if words.is_empty() { String::new() } else { format!(", {words}") };
                let duration = span.end - span.start;
                format!("    {} {}: {} {duration:.1} s{words}", mark(span.verdict), span.lane, span.name)
            }
            Self::Note { text } => format!("    {text}"),
            Self::Began { .. } | Self::Says { .. } => return None,
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
    use super::*;
    use crate::record::{Span, Step};

    #[test]
    fn lines() {
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
            took: 61.04,
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
}
