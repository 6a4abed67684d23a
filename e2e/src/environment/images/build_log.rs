//! How far a build is, as its log shows while it grows.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

/// How many packages of a Go program are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The packages that were compiled in this build.
    pub done: u32,
    /// All packages of the program. What an earlier build has compiled is not compiled again, and not counted as done.
    pub total: u32,
}

/// The log of a build, read as it grows.
///
/// `images/go/build-programs` prints `packages: N` and then the name of each package that is compiled. `BuildKit` puts the number
/// of the step and its seconds before each line.
#[derive(Debug)]
pub(super) struct BuildLog {
    file: File,
    /// The beginning of a line whose end is not written yet.
    rest: Vec<u8>,
    compiled: Option<Compiled>,
    began: Option<Instant>,
}

impl BuildLog {
    /// The log in a file, which may be empty. `None` where it cannot be opened: then there is no progress to show.
    pub(super) fn open(path: &Path) -> Option<Self> {
        Some(Self { file: File::open(path).ok()?, rest: Vec::new(), compiled: None, began: None })
    }

    /// Reads what was written since the last time. Returns how far the compiler is, once it has begun.
    pub(super) fn read(&mut self) -> Option<Compiled> {
        let mut text = std::mem::take(&mut self.rest);
        // What cannot be read now is read the next time.
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
        if !step.starts_with('#') || seconds.parse::<f64>().is_err() {
            return;
        }
        match (word, words.next(), words.next()) {
            ("packages:", Some(number), None) => {
                let Ok(number) = number.parse::<u32>() else { return };
                self.began.get_or_insert_with(Instant::now);
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

    /// How long the rest takes, roughly: by `expected`, which was measured elsewhere, at the beginning, and more and more by
    /// the pace of this build. `took` is the time since the build began. Nothing is known of a build that takes longer than
    /// expected and does not compile: it may wait for another one that does.
    pub(super) fn left(&self, expected: Duration, took: Duration) -> Option<Duration> {
        let prior = expected.saturating_sub(took);
        let unknown = (!prior.is_zero()).then_some(prior);
        let (Some(Compiled { done, total }), Some(began)) = (self.compiled, self.began) else { return unknown };
        if done == 0 || total == 0 {
            return unknown;
        }
        let share = f64::from(done) / f64::from(total);
        let pace = began.elapsed().mul_f64((1.0 - share) / share);
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
        assert_eq!(log.read(), Some(Compiled { done: 1, total: 3 }), "a line that is not written yet does not count");
        write("code\n#10 9.3 # a warning\n#10 ...\n#11 [cni 2/2]\n");
        assert_eq!(log.read(), Some(Compiled { done: 2, total: 3 }));
        write("#12 1.0 packages: 2\n#12 1.1 fmt\n#12 1.2 os\n#12 1.3 io\n#12 1.4 net\n");
        assert_eq!(log.read(), Some(Compiled { done: 5, total: 5 }), "a second program, and never more than all");
    }

    #[test]
    fn the_time_left_is_what_was_measured_and_then_what_is_seen() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut log = BuildLog::open(file.path()).unwrap();
        let seconds = Duration::from_secs;
        assert_eq!(log.left(seconds(480), seconds(30)), Some(seconds(450)));
        assert_eq!(log.left(seconds(480), seconds(500)), None, "it takes longer than what was measured");
        log.began = Instant::now().checked_sub(seconds(100));
        log.compiled = Some(Compiled { done: 50, total: 100 });
        let left = log.left(seconds(480), seconds(120)).unwrap();
        assert!((seconds(225)..seconds(235)).contains(&left), "half of 360 and half of 100, not {left:?}");
    }
}
