//! Determines the progress of a build from its growing log.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::record::event::Compiled;

/// The log of a build, read while it grows.
///
/// `images/go/build-programs` prints `packages: N` and then the name of each package that it compiles. `BuildKit` prefixes each line
/// with the number of the step and the elapsed seconds.
#[derive(Debug)]
pub(super) struct BuildLog {
    file: File,
    /// The beginning of an incomplete line.
    rest: Vec<u8>,
    compiled: Option<Compiled>,
    started: Option<Instant>,
    /// The step that needs the compiler's cache and has printed nothing yet. Recipes use the cache one at a time.
    waiting: Option<String>,
}

impl BuildLog {
    /// Opens a log file, which may be empty. Returns `None` if it cannot be opened: then no progress is shown.
    pub(super) fn open(path: &Path) -> Option<Self> {
        Some(Self { file: File::open(path).ok()?, rest: Vec::new(), compiled: None, started: None, waiting: None })
    }

    /// Reads the lines that were added since the last call. Returns the compiler's progress, or `None` before it has started.
    pub(super) fn read(&mut self) -> Option<Compiled> {
        let mut text = std::mem::take(&mut self.rest);
        // After an error, the next call reads the rest.
        let _ = self.file.read_to_end(&mut text);
        let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.rest = text.split_off(end);
        for line in String::from_utf8_lossy(&text).lines() {
            self.add(line);
        }
        self.compiled
    }

    fn add(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let (Some(step), Some(seconds), Some(word)) = (words.next(), words.next(), words.next()) else { return };
        if !step.starts_with('#') {
            return;
        }
        // The name of a step contains its command.
        if seconds.starts_with('[') && line.contains("sharing=locked") {
            self.waiting = Some(step.to_owned());
            return;
        }
        self.waiting.take_if(|waiting| waiting == step);
        if seconds.parse::<f64>().is_err() {
            return;
        }
        match (word, words.next(), words.next()) {
            ("packages:", Some(number), None) => {
                let Ok(number) = number.parse::<u32>() else { return };
                self.started.get_or_insert_with(Instant::now);
                let compiled = self.compiled.get_or_insert(Compiled { done: 0, total: 0 });
                compiled.total = compiled.total.saturating_add(number);
            }
            (_, None, None) => {
                if let Some(compiled) = &mut self.compiled {
                    compiled.done = compiled.done.saturating_add(1).min(compiled.total);
                }
            }
            _ => {}
        }
    }

    /// Whether the build waits for another one that has the compiler's cache.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Estimates the remaining time: at first from `expected`, which was measured on another machine, and increasingly from the pace of
    /// this build. `duration` is the time since the build started. Returns `None` for a build that waits for another one, or exceeds
    /// `expected` without compiling.
    pub(super) fn remaining(&self, expected: Duration, duration: Duration) -> Option<Duration> {
        if self.is_waiting() {
            return None;
        }
        let prior = expected.saturating_sub(duration);
        let unknown = (!prior.is_zero()).then_some(prior);
        let (Some(Compiled { done, total }), Some(started)) = (self.compiled, self.started) else { return unknown };
        if done == 0 || total == 0 {
            return unknown;
        }
        let share = f64::from(done) / f64::from(total);
        let pace = started.elapsed().mul_f64((1.0 - share) / share);
        Some(prior.mul_f64(1.0 - share) + pace.mul_f64(share))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn packages_are_counted_as_the_log_grows() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut log = BuildLog::open(file.path()).unwrap();
        let mut write = |text: &str| file.write_all(text.as_bytes()).unwrap();
        write("#5 [build 1/5] FROM go\n#9 0.211 go: downloading k8s.io/api v0.37.0\n#9 1.5 fmt\n");
        assert_eq!(log.read(), None, "nothing is compiled yet");
        write("#10 5.169 packages: 3\n#10 9.1 internal/abi\n#10 9.2 uni");
        assert_eq!(log.read(), Some(Compiled { done: 1, total: 3 }), "an incomplete line does not count");
        write("code\n#10 9.3 # a warning\n#10 ...\n#11 [cni 2/2]\n");
        assert_eq!(log.read(), Some(Compiled { done: 2, total: 3 }));
        write("#12 1.0 packages: 2\n#12 1.1 fmt\n#12 1.2 os\n#12 1.3 io\n#12 1.4 net\n");
        assert_eq!(log.read(), Some(Compiled { done: 5, total: 5 }), "a second program, and never more than all");
    }

    #[test]
    fn a_build_waits_for_the_compilers_cache_until_its_step_prints_something() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut log = BuildLog::open(file.path()).unwrap();
        let mut waits = |text: &str| {
            file.write_all(text.as_bytes()).unwrap();
            log.read();
            (log.is_waiting(), log.remaining(Duration::from_mins(1), Duration::from_secs(1)).is_some())
        };
        assert_eq!(waits("#8 [build 4/5] RUN build-programs fetch\n#8 DONE 1.0s\n"), (false, true));
        assert_eq!(waits("#9 [build 5/5] RUN --mount=type=cache,sharing=locked build-programs build\n"), (true, false));
        assert_eq!(waits("#7 [files 2/2] COPY a b\n#7 DONE 0.1s\n"), (true, false));
        assert_eq!(waits("#9 75.3 packages: 3\n"), (false, true));
    }

    #[test]
    fn the_remaining_time_shifts_from_the_expected_time_to_the_pace() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut log = BuildLog::open(file.path()).unwrap();
        let seconds = Duration::from_secs;
        assert_eq!(log.remaining(seconds(480), seconds(30)), Some(seconds(450)));
        assert_eq!(log.remaining(seconds(480), seconds(500)), None, "the build exceeds the expected time");
        log.started = Instant::now().checked_sub(seconds(100));
        log.compiled = Some(Compiled { done: 50, total: 100 });
        let remaining = log.remaining(seconds(480), seconds(120)).unwrap();
        assert!((seconds(225)..seconds(235)).contains(&remaining), "half of 360 and half of 100, not {remaining:?}");
    }
}
