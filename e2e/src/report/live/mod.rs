//! A live view of a command: one line for each event. A terminal also shows a spinner for each running piece of work, below these lines.
//! A log also shows a heartbeat, which names long-running work.

pub mod harness;
pub mod pipeline;
mod spinner;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar};

use self::spinner::spinner;
use super::printable::printable;

/// The time after which a log reports that work is still running.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// The maximum width of the name before a line of output, in characters.
const MAX_NAME_WIDTH: usize = 24;

/// The form of the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Quiet,
    /// Lines for people, to standard error.
    People,
    /// Every event as a line of JSON, to standard output.
    Json,
}

/// The change that an event makes to the view. Work is identified by its name.
#[derive(Debug, PartialEq, Eq)]
pub enum Change<'event> {
    /// Work starts, or continues with its next step.
    Starts(Cow<'event, str>),
    /// Work reports its progress. A log shows it with the next heartbeat.
    Progresses(Cow<'event, str>, Cow<'event, str>),
    /// Work reports its current activity. Only a terminal shows it.
    Says(Cow<'event, str>, Cow<'event, str>),
    /// Work prints a line. A log shows it at once.
    Prints(Cow<'event, str>, Cow<'event, str>),
    /// Work ends.
    Ends(Cow<'event, str>),
    Nothing,
}

/// An event that a live view can show.
pub trait LiveEvent {
    /// The change that it makes to the view.
    fn change(&self) -> Change<'_>;

    fn line(&self) -> Option<String>;

    /// The event as one line of JSON, if it is part of the JSON output.
    fn json(&self) -> Option<String>;
}

/// A live view.
pub struct Live {
    started: Instant,
    output: Output,
}

enum Output {
    Nowhere,
    Json,
    Log { running: Mutex<BTreeMap<String, Running>>, name_width: usize },
    Terminal { bars: MultiProgress, running: Mutex<BTreeMap<String, ProgressBar>>, prints_lines: bool },
}

/// Work in a log.
struct Running {
    /// The time at which it started or last printed a line.
    since: Instant,
    has_printed: bool,
    progress: Option<String>,
}

impl Live {
    /// A view of work whose names are not known in advance.
    pub fn new(mode: Mode) -> Self {
        Self::with_output(mode, 0, false)
    }

    /// A view of work that has these names and prints lines. If there is only one piece of work, a terminal shows all of its lines.
    pub fn of_printing_work<'name>(mode: Mode, names: impl Iterator<Item = &'name str>) -> Self {
        let widths: Vec<usize> = names.map(|name| name.chars().count()).collect();
        let prints_lines = widths.len() == 1;
        Self::with_output(mode, widths.into_iter().max().unwrap_or_default().min(MAX_NAME_WIDTH), prints_lines)
    }

    fn with_output(mode: Mode, name_width: usize, prints_lines: bool) -> Self {
        let output = match mode {
            Mode::Quiet => Output::Nowhere,
            Mode::Json => Output::Json,
            Mode::People if io::stderr().is_terminal() => {
                Output::Terminal { bars: MultiProgress::new(), running: Mutex::default(), prints_lines }
            }
            Mode::People => Output::Log { running: Mutex::default(), name_width },
        };
        Self { started: Instant::now(), output }
    }

    pub fn show(&self, event: &impl LiveEvent) {
        // If standard output or standard error is closed, the line is lost and the work continues.
        match &self.output {
            Output::Nowhere => {}
            Output::Json => {
                if let Some(line) = event.json() {
                    let _ = writeln!(io::stdout(), "{line}");
                }
            }
            Output::Log { running, name_width } => {
                if let Some(printed) = log(&event.change(), &mut lock(running), *name_width) {
                    let _ = writeln!(io::stderr(), "{} {}", self.elapsed(), printable(&printed));
                }
                if let Some(line) = event.line() {
                    let _ = writeln!(io::stderr(), "{} {}", self.elapsed(), printable(&line));
                }
            }
            Output::Terminal { bars, running, prints_lines } => {
                let is_below = draw(&event.change(), bars, &mut lock(running), *prints_lines);
                if let Some(line) = event.line().filter(|_| !is_below) {
                    let _ = bars.println(format!("{} {}", self.elapsed(), printable(&line)));
                }
            }
        }
    }

    /// Waits for `work`, with a heartbeat in the log.
    pub async fn watch<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return result,
                () = tokio::time::sleep(HEARTBEAT) => self.heartbeat(),
            }
        }
    }

    fn heartbeat(&self) {
        let Output::Log { running, .. } = &self.output else { return };
        let long = lock(running).iter().filter_map(|(name, running)| running.heartbeat(name)).collect::<Vec<_>>();
        if !long.is_empty() {
            let _ = writeln!(io::stderr(), "{} still running: {}", self.elapsed(), printable(&long.join(", ")));
        }
    }

    fn elapsed(&self) -> String {
        format!("{:>5.1} s", self.started.elapsed().as_secs_f64())
    }
}

impl Running {
    fn new() -> Self {
        Self { since: Instant::now(), has_printed: false, progress: None }
    }

    /// The text of the heartbeat for this work; `None` if it has not been running for long.
    fn heartbeat(&self, name: &str) -> Option<String> {
        let seconds = Some(self.since.elapsed()).filter(|since| *since >= HEARTBEAT)?.as_secs();
        Some(match &self.progress {
            Some(progress) => format!("{name}: {progress}"),
            None if self.has_printed => format!("{name}, silent for {seconds} s"),
            None => format!("{name} for {seconds} s"),
        })
    }
}

fn lock<T>(running: &Mutex<T>) -> MutexGuard<'_, T> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Updates the running work, and returns the line that work has printed.
fn log(change: &Change<'_>, running: &mut BTreeMap<String, Running>, name_width: usize) -> Option<String> {
    match change {
        Change::Starts(name) => drop(running.insert(name.to_string(), Running::new())),
        Change::Progresses(name, text) => {
            if let Some(running) = running.get_mut(&**name) {
                running.progress = Some(text.to_string());
            }
        }
        Change::Prints(name, line) => {
            running.insert(name.to_string(), Running { has_printed: true, ..Running::new() });
            return Some(format!("{name:name_width$} | {line}"));
        }
        Change::Ends(name) => drop(running.remove(&**name)),
        Change::Says(..) | Change::Nothing => {}
    }
    None
}

/// Draws a change below the lines. Returns whether this shows the event, so that the event needs no line.
fn draw(
    change: &Change<'_>,
    bars: &MultiProgress,
    running: &mut BTreeMap<String, ProgressBar>,
    prints_lines: bool,
) -> bool {
    match change {
        Change::Starts(name) => {
            running.entry(name.to_string()).or_insert_with(|| bars.add(spinner(name)));
            return true;
        }
        Change::Prints(_, line) if prints_lines => {
            let _ = bars.println(printable(line));
            return true;
        }
        Change::Progresses(name, text) | Change::Says(name, text) | Change::Prints(name, text) => {
            if let Some(bar) = running.get(&**name) {
                bar.set_message(printable(text).into_owned());
                return true;
            }
        }
        Change::Ends(name) => {
            if let Some(bar) = running.remove(&**name) {
                bar.finish_and_clear();
                bars.remove(&bar);
            }
        }
        Change::Nothing => {}
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_shows_output_at_once_and_progress_with_the_heartbeat() {
        let mut running = BTreeMap::new();
        assert_eq!(log(&Change::Starts("a".into()), &mut running, 3), None);
        assert_eq!(log(&Change::Progresses("a".into(), "1 of 2".into()), &mut running, 3), None);
        assert_eq!(running["a"].progress.as_deref(), Some("1 of 2"));
        assert_eq!(log(&Change::Prints("b".into(), "text".into()), &mut running, 3), Some("b   | text".to_owned()));
        log(&Change::Ends("a".into()), &mut running, 3);
        assert_eq!(running.keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_heartbeat_names_what_has_been_running_for_long() {
        let long_ago = Instant::now().checked_sub(HEARTBEAT).unwrap();
        let running = Running { since: long_ago, ..Running::new() };
        assert_eq!(running.heartbeat("a").as_deref(), Some("a for 30 s"));
        let printed = Running { since: long_ago, has_printed: true, progress: None };
        assert_eq!(printed.heartbeat("a").as_deref(), Some("a, silent for 30 s"));
        let progress = Running { since: long_ago, progress: Some("1 of 2".to_owned()), ..Running::new() };
        assert_eq!(progress.heartbeat("a").as_deref(), Some("a: 1 of 2"));
        assert_eq!(Running::new().heartbeat("a"), None);
    }
}
