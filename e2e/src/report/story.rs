//! A story while it is told: whole lines for logs, and on a terminal below them what goes on now and for how long. What jobs write is
//! in their logs; on a terminal their last line is shown.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar};

use super::pipeline_view::Mode;
use super::run::mark;
use super::spinner::spinner;
use crate::record::IMAGES;
use crate::record::Verdict;
use crate::record::event::Event;

/// How long a log may be silent while something goes on.
pub const HEARTBEAT: Duration = Duration::from_secs(30);

/// Where it is shown.
pub struct StoryView {
    began: Instant,
    kind: Kind,
}

type Key = (String, String);

enum Kind {
    Quiet,
    Json,
    Plain { running: Mutex<BTreeMap<Key, Running>> },
    Terminal { bars: MultiProgress, running: Mutex<BTreeMap<Key, ProgressBar>> },
}

/// Something that goes on, in a log.
struct Running {
    began: Instant,
    /// How far an image is.
    progress: Option<String>,
}

impl StoryView {
    /// A view of what standard error can carry, or as it is asked for.
    pub fn new(mode: Mode) -> Self {
        let kind = match mode {
            Mode::Quiet => Kind::Quiet,
            Mode::Json => Kind::Json,
            Mode::People if io::stderr().is_terminal() => {
                Kind::Terminal { bars: MultiProgress::new(), running: Mutex::default() }
            }
            Mode::People => Kind::Plain { running: Mutex::default() },
        };
        Self { began: Instant::now(), kind }
    }

    /// Shows that something happened.
    pub fn show(&self, event: &Event<'_>) {
        match &self.kind {
            Kind::Quiet => {}
            Kind::Json => {
                // What cannot be written is nothing that the story could do anything about.
                if let Ok(line) = serde_json::to_string(event) {
                    let _ = writeln!(io::stdout(), "{line}");
                }
            }
            Kind::Plain { running } => {
                let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
                match event {
                    Event::Began { lane, name } => {
                        drop(running.insert(key(lane, name), Running { began: Instant::now(), progress: None }));
                    }
                    // What jobs say is in their logs; an image's progress comes with the next heartbeat.
                    Event::Says { lane, name, text } if *lane == IMAGES => {
                        if let Some(running) = running.get_mut(&key(lane, name)) {
                            running.progress = Some((*text).to_owned());
                        }
                    }
                    Event::Ended { span, .. } => drop(running.remove(&key(&span.lane, &span.name))),
                    _ => {}
                }
                if let Some(line) = line(event) {
                    let _ = writeln!(io::stderr(), "{} {line}", elapsed(self.began.elapsed()));
                }
            }
            Kind::Terminal { bars, running } => {
                let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
                match event {
                    Event::Began { lane, name } => {
                        running.insert(key(lane, name), bars.add(spinner(&format!("{lane}: {name}"))));
                        return;
                    }
                    Event::Says { lane, name, text } => {
                        if let Some(bar) = running.get(&key(lane, name)) {
                            bar.set_message((*text).to_owned());
                            return;
                        }
                    }
                    Event::Ended { span, .. } => {
                        if let Some(bar) = running.remove(&key(&span.lane, &span.name)) {
                            bar.finish_and_clear();
                            bars.remove(&bar);
                        }
                    }
                    _ => {}
                }
                if let Some(line) = line(event) {
                    let _ = bars.println(format!("{} {line}", elapsed(self.began.elapsed())));
                }
            }
        }
    }

    /// Tells, where nothing moves by itself, what goes on and has for long. To be called every [`HEARTBEAT`].
    pub fn heartbeat(&self) {
        if let Kind::Plain { running } = &self.kind {
            let running = running.lock().unwrap_or_else(PoisonError::into_inner);
            let long = running.iter().filter(|(_, running)| running.began.elapsed() >= HEARTBEAT);
            let words: Vec<_> = long
                .map(|((lane, name), Running { began, progress })| match progress {
                    Some(progress) => format!("{lane}: {name}: {progress}"),
                    None => format!("{lane}: {name} for {} s", began.elapsed().as_secs()),
                })
                .collect();
            if !words.is_empty() {
                let at = elapsed(self.began.elapsed());
                let _ = writeln!(io::stderr(), "{at} still at work: {}", words.join(", "));
            }
        }
    }
}

fn key(lane: &str, name: &str) -> Key {
    (lane.to_owned(), name.to_owned())
}

/// One line of the story, or none where there is nothing to tell.
fn line(event: &Event<'_>) -> Option<String> {
    Some(match event {
        Event::StepBegan { name } => format!("▶ {name}"),
        Event::StepEnded(step) if step.verdict == Verdict::NotRun => {
            format!("– {}: not done, {}", step.name, step.outcome)
        }
        Event::StepEnded(step) => {
            let outcome = step.outcome.lines().next().unwrap_or_default();
            format!("{} {}: {outcome} ({:.1} s)", mark(step.verdict), step.name, step.took)
        }
        Event::Ended { span, words } => {
            let words = if words.is_empty() { String::new() } else { format!(", {words}") };
            let took = span.end - span.start;
            format!("    {} {}: {} {took:.1} s{words}", mark(span.verdict), span.lane, span.name)
        }
        Event::Note { text } => format!("    {text}"),
        Event::Began { .. } | Event::Says { .. } => return None,
    })
}

fn elapsed(time: Duration) -> String {
    format!("{:>5.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Span, Step};

    #[test]
    fn a_story() {
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
        insta::assert_snapshot!(events.iter().filter_map(line).collect::<Vec<_>>().join("\n"));
    }
}
