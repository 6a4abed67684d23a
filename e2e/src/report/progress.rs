//! What goes on, while it goes on: lines that stay, and on a terminal below them what runs now and for how long.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar};

use super::images;
use super::spinner::spinner;
use crate::environment::images::Progress as ImageProgress;
use crate::environment::progress::Progress;

/// How long a log may be silent while something goes on.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Where progress is shown: standard error, or nowhere.
pub struct Display {
    began: Instant,
    view: View,
}

enum View {
    Quiet,
    /// Whole lines, for logs.
    Plain {
        running: Mutex<BTreeMap<&'static str, Running>>,
    },
    Terminal {
        bars: MultiProgress,
        running: Mutex<BTreeMap<&'static str, ProgressBar>>,
    },
}

/// Something that goes on, in a log.
struct Running {
    began: Instant,
    /// How far it is, where that is known.
    progress: Option<String>,
}

impl Display {
    /// A display that says nothing if it is `quiet`, and else what standard error can carry.
    pub fn new(quiet: bool) -> Self {
        let view = if quiet {
            View::Quiet
        } else if std::io::stderr().is_terminal() {
            View::Terminal { bars: MultiProgress::new(), running: Mutex::default() }
        } else {
            View::Plain { running: Mutex::default() }
        };
        Self { began: Instant::now(), view }
    }

    /// Shows that something goes on.
    pub fn show(&self, progress: &Progress) {
        match &self.view {
            View::Quiet => {}
            View::Plain { running } => {
                let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
                match subject(progress) {
                    // A log gets it with the next heartbeat.
                    Some((name, true)) if matches!(progress, Progress::Image(ImageProgress::Continues { .. })) => {
                        if let Some(running) = running.get_mut(name) {
                            running.progress = line(progress);
                        }
                        return;
                    }
                    Some((name, true)) => drop(running.insert(name, Running { began: Instant::now(), progress: None })),
                    Some((name, false)) => drop(running.remove(name)),
                    None => {}
                }
                if let Some(line) = line(progress) {
                    // Nothing can be done about a standard error that is closed.
                    let _ = writeln!(std::io::stderr(), "{} {line}", elapsed(self.began.elapsed()));
                }
            }
            View::Terminal { bars, running } => {
                let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
                match subject(progress) {
                    Some((name, true)) => {
                        let bar = running.entry(name).or_insert_with(|| bars.add(spinner("")));
                        bar.set_message(line(progress).unwrap_or_default());
                    }
                    Some((name, false)) => {
                        if let Some(bar) = running.remove(name) {
                            bar.finish_and_clear();
                        }
                        self.keep(bars, progress);
                    }
                    None => self.keep(bars, progress),
                }
            }
        }
    }

    /// Waits for `work`, and meanwhile reports every 30 s what still runs.
    pub async fn watch<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return result,
                () = tokio::time::sleep(HEARTBEAT) => self.heartbeat(),
            }
        }
    }

    /// Reports, where nothing moves by itself, what has run for long.
    fn heartbeat(&self) {
        if let View::Plain { running } = &self.view {
            let running = running.lock().unwrap_or_else(PoisonError::into_inner);
            let long = running.iter().filter(|(_, running)| running.began.elapsed() >= HEARTBEAT);
            let words: Vec<_> = long
                .map(|(name, Running { began, progress })| match progress {
                    Some(progress) => progress.clone(),
                    None => format!("{name} for {} s", began.elapsed().as_secs()),
                })
                .collect();
            if !words.is_empty() {
                let _ = writeln!(
                    std::io::stderr(),
                    "{} still at work: {}",
                    elapsed(self.began.elapsed()),
                    words.join(", ")
                );
            }
        }
    }

    fn keep(&self, bars: &MultiProgress, progress: &Progress) {
        if let Some(line) = line(progress) {
            let _ = bars.println(format!("{} {line}", elapsed(self.began.elapsed())));
        }
    }
}

/// What a progress is about, and whether it runs now.
fn subject(progress: &Progress) -> Option<(&'static str, bool)> {
    Some(match progress {
        Progress::Started { part, .. } => (part, true),
        Progress::Done { part, .. } | Progress::Failed { part, .. } => (part, false),
        Progress::Note(_) => return None,
        Progress::Image(image) => match image {
            ImageProgress::Pulling { name, .. }
            | ImageProgress::Building { name, .. }
            | ImageProgress::Continues { name, .. } => (name, true),
            ImageProgress::NotPulled { name, .. } => (name, false),
            ImageProgress::Obtained(obtained) => (obtained.name, false),
        },
    })
}

/// One line of the story, or none where there is nothing to tell.
fn line(progress: &Progress) -> Option<String> {
    Some(match progress {
        Progress::Started { part, log: None } => format!("{part} …"),
        Progress::Started { part, log: Some(log) } => format!("{part} … log in {}", log.display()),
        Progress::Done { part, took } => format!("{part}: {:.1} s", took.as_secs_f64()),
        Progress::Failed { part, took } => format!("{part}: failed after {:.1} s", took.as_secs_f64()),
        Progress::Note(note) => note.clone(),
        // What is here already is what is expected.
        Progress::Image(ImageProgress::Obtained(obtained))
            if obtained.source == crate::environment::images::Source::Here =>
        {
            return None;
        }
        Progress::Image(image) => format!("image {}", images::line(image)),
    })
}

fn elapsed(time: Duration) -> String {
    format!("{:>5.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::images::Obtained;
    use crate::environment::images::Source;

    #[test]
    fn a_story() {
        let took = Duration::from_millis(26_040);
        let here =
            Obtained { name: "registry", reference: "r:1".to_owned(), upstream: None, source: Source::Here, took };
        let story = [
            Progress::Note("cluster demo was half made or stopped: it is made anew".to_owned()),
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
        insta::assert_snapshot!(story.iter().filter_map(line).collect::<Vec<_>>().join("\n"));
    }
}
