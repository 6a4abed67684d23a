//! Where a live view goes: standard output, a log, or a terminal. Only the view's thread and the threads that animate its spinners write
//! there, because an unread pipe or a stopped terminal blocks the writer.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar};

use super::change::Change;
use super::spinner::spinner;
use crate::report::printable::printable;

/// The time after which a log reports that work is still running.
const INTERVAL: Duration = Duration::from_secs(30);

/// The same for a check.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// An event, as a screen shows it.
pub(super) struct Shown {
    /// The time since the view's start.
    pub(super) at: Duration,
    pub(super) change: Change<'static>,
    pub(super) line: Option<String>,
}

pub(super) enum Screen {
    /// With the first error, after which nothing more is written.
    Json {
        failed: Option<io::Error>,
    },
    Log {
        running: BTreeMap<String, Running>,
        name_width: usize,
    },
    Terminal {
        bars: MultiProgress,
        running: BTreeMap<String, ProgressBar>,
        prints_lines: bool,
    },
}

/// Work in a log.
pub(super) struct Running {
    /// The time at which it started or last printed a line.
    since: Duration,
    /// The time at which the log last reported it.
    reported: Duration,
    interval: Duration,
    has_printed: bool,
    progress: Option<String>,
}

impl Screen {
    pub(super) fn show(&mut self, shown: &Shown) {
        let Shown { at, change, line } = shown;
        match self {
            Self::Json { failed: Some(_) } => {}
            Self::Json { failed } => {
                if let Some(line) = line {
                    *failed = writeln!(io::stdout(), "{line}").err();
                }
            }
            Self::Log { running, name_width } => {
                for line in log(change, running, *name_width, *at).iter().chain(line) {
                    print(*at, line);
                }
            }
            Self::Terminal { bars, running, prints_lines } => {
                let is_below = draw(change, bars, running, *prints_lines);
                if let Some(line) = line.as_ref().filter(|_| !is_below) {
                    let _ = bars.println(format!("{} {}", seconds(*at), printable(line)));
                }
            }
        }
    }

    /// Says how many lines are missing.
    pub(super) fn show_dropped(&mut self, count: usize, at: Duration) {
        let line = match self {
            Self::Json { .. } => format!(r#"{{"event":"lines_dropped","count":{count}}}"#),
            Self::Log { .. } | Self::Terminal { .. } => {
                format!("this output was not read, so lines are missing that the logs of the jobs have: {count}")
            }
        };
        self.show(&Shown { at, change: Change::Nothing, line: Some(line) });
    }

    /// Reports long-running work, at most once in each interval. To be called every second.
    pub(super) fn heartbeat(&mut self, at: Duration) {
        let Self::Log { running, .. } = self else { return };
        let long = still_running(running, at);
        if !long.is_empty() {
            print(at, &format!("still running: {}", long.join(", ")));
        }
    }

    /// The error after which no event was written any more.
    pub(super) fn failure(&mut self) -> Option<io::Error> {
        match self {
            Self::Json { failed } => failed.take(),
            Self::Log { .. } | Self::Terminal { .. } => None,
        }
    }
}

impl Running {
    fn new(since: Duration, interval: Duration) -> Self {
        Self { since, reported: since, interval, has_printed: false, progress: None }
    }

    fn is_due(&self, at: Duration) -> bool {
        at.saturating_sub(self.reported) >= self.interval
    }

    /// The text of the heartbeat for this work.
    fn text(&self, name: &str, at: Duration) -> String {
        let seconds = at.saturating_sub(self.since).as_secs();
        match &self.progress {
            Some(progress) => format!("{name}: {progress}"),
            None if self.has_printed => format!("{name}, silent for {seconds} s"),
            None => format!("{name} for {seconds} s"),
        }
    }
}

/// The texts of the heartbeat. When one piece of work is due, all with the same interval are reported, so that there are fewer lines.
fn still_running(running: &mut BTreeMap<String, Running>, at: Duration) -> Vec<String> {
    let due: Vec<Duration> = running.values().filter(|it| it.is_due(at)).map(|it| it.interval).collect();
    let long =
        running.iter_mut().filter(|(_, it)| due.contains(&it.interval) && at.saturating_sub(it.since) >= it.interval);
    long.map(|(name, it)| {
        it.reported = at;
        it.text(name, at)
    })
    .collect()
}

/// Writes a line to standard error. If it is closed, the line is lost and the work continues.
fn print(at: Duration, line: &str) {
    // Standard error has no buffer, so `writeln!` would write each argument separately.
    let line = format!("{} {}\n", seconds(at), printable(line));
    let _ = io::stderr().write_all(line.as_bytes());
}

fn seconds(at: Duration) -> String {
    format!("{:>5.1} s", at.as_secs_f64())
}

/// Updates the running work, and returns the line that work has printed.
fn log(
    change: &Change<'_>,
    running: &mut BTreeMap<String, Running>,
    name_width: usize,
    at: Duration,
) -> Option<String> {
    match change {
        Change::Starts(name) => drop(running.insert(name.to_string(), Running::new(at, INTERVAL))),
        Change::StartsCheck(name) => drop(running.insert(name.to_string(), Running::new(at, CHECK_INTERVAL))),
        Change::Progresses(name, text) => {
            if let Some(running) = running.get_mut(&**name) {
                running.progress = Some(text.to_string());
            }
        }
        Change::Prints(name, line) => {
            running.insert(name.to_string(), Running { has_printed: true, ..Running::new(at, INTERVAL) });
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
        Change::Starts(name) | Change::StartsCheck(name) => {
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

    const START: Duration = Duration::ZERO;

    #[test]
    fn a_log_shows_output_at_once_and_progress_with_the_heartbeat() {
        let mut running = BTreeMap::new();
        assert_eq!(log(&Change::Starts("a".into()), &mut running, 3, START), None);
        assert_eq!(log(&Change::Progresses("a".into(), "1 of 2".into()), &mut running, 3, START), None);
        assert_eq!(running["a"].progress.as_deref(), Some("1 of 2"));
        let printed = log(&Change::Prints("b".into(), "text".into()), &mut running, 3, START);
        assert_eq!(printed, Some("b   | text".to_owned()));
        log(&Change::Ends("a".into()), &mut running, 3, START);
        assert_eq!(running.keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_heartbeat_names_long_running_work() {
        let text = |running: Running| {
            let mut all = BTreeMap::from([("a".to_owned(), running)]);
            still_running(&mut all, INTERVAL)
        };
        assert_eq!(text(Running::new(START, INTERVAL)), ["a for 30 s"]);
        assert_eq!(text(Running { has_printed: true, ..Running::new(START, INTERVAL) }), ["a, silent for 30 s"]);
        let progress = Running { progress: Some("1 of 2".to_owned()), ..Running::new(START, INTERVAL) };
        assert_eq!(text(progress), ["a: 1 of 2"]);
        assert_eq!(text(Running::new(INTERVAL, INTERVAL)), Vec::<String>::new());
    }

    #[test]
    fn checks_are_reported_more_often_and_other_work_together() {
        let mut all = BTreeMap::new();
        log(&Change::Starts("a".into()), &mut all, 3, START);
        log(&Change::Starts("b".into()), &mut all, 3, START + CHECK_INTERVAL);
        log(&Change::StartsCheck("c".into()), &mut all, 3, START + CHECK_INTERVAL);
        assert_eq!(still_running(&mut all, CHECK_INTERVAL), Vec::<String>::new());
        assert_eq!(still_running(&mut all, 2 * CHECK_INTERVAL), ["c for 5 s"]);
        log(&Change::Ends("c".into()), &mut all, 3, 3 * CHECK_INTERVAL);
        assert_eq!(still_running(&mut all, INTERVAL), ["a for 30 s"]);
        assert_eq!(still_running(&mut all, INTERVAL + CHECK_INTERVAL), ["a for 35 s", "b for 30 s"]);
        assert_eq!(still_running(&mut all, 2 * INTERVAL), Vec::<String>::new());
    }
}
