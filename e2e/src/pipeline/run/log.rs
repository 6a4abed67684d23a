//! The log of a job: what it writes, masked, with times, in a file as GitLab keeps it, and line by line for whoever watches.
//!
//! Every line begins with its time, the number of its stream, `O` or `E`, and a space, or `+` where it goes on with the one
//! before. <https://docs.gitlab.com/administration/cicd/job_logs/>, GitLab Runner's `FF_TIMESTAMPS`

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::event::{Event, Tell};
use crate::pipeline::expression::pattern::Pattern;
use crate::pipeline::mask::Masker;

/// How many of the last lines are kept for the end.
pub const LAST_LINES: usize = 20;

/// A line that is longer is cut in the view and in memory, and not in the file.
const LONGEST_LINE: usize = 16 * 1024;

/// Where bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, and what the runner itself says.
    Out,
    /// Standard error.
    Err,
}

/// The log of a job.
pub struct JobLog {
    job: Arc<str>,
    path: PathBuf,
    tell: Arc<Tell>,
    inner: Mutex<Inner>,
}

struct Inner {
    file: BufWriter<File>,
    out: Half,
    err: Half,
    last_lines: VecDeque<String>,
    coverage: Option<Pattern>,
    covered: Option<f64>,
    /// How many bytes may still be written.
    left: usize,
    limit: usize,
}

/// One of the two streams.
struct Half {
    masker: Masker,
    line: Vec<u8>,
    /// Whether the file's line has begun.
    has_begun: bool,
}

impl Half {
    fn new(masker: Masker) -> Self {
        Self { masker, line: Vec::new(), has_begun: false }
    }
}

impl JobLog {
    /// Opens, or goes on with, the log at `path`. At most `limit` bytes of output are kept.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn open(job: Arc<str>, path: &Path, masker: &Masker, limit: usize, tell: Arc<Tell>) -> io::Result<Self> {
        let file = BufWriter::new(OpenOptions::new().create(true).append(true).open(path)?);
        let inner = Inner {
            file,
            out: Half::new(masker.clone()),
            err: Half::new(masker.clone()),
            last_lines: VecDeque::new(),
            coverage: None,
            covered: None,
            left: limit,
            limit,
        };
        Ok(Self { job, path: path.to_owned(), tell, inner: Mutex::new(inner) })
    }

    /// The job.
    pub fn job(&self) -> &Arc<str> {
        &self.job
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks for `coverage` in every line from now on. <https://docs.gitlab.com/ci/yaml/#coverage>
    pub fn watch_coverage(&self, coverage: Pattern) {
        self.lock().coverage = Some(coverage);
    }

    /// The coverage of the last line that had one, in percent.
    pub fn coverage(&self) -> Option<f64> {
        self.lock().covered
    }

    /// What a job writes, as it comes.
    pub fn write(&self, stream: Stream, bytes: &[u8]) {
        self.with(|inner, lines| {
            let bytes = inner.within_limit(bytes);
            let half = inner.half(stream);
            let mut masked = Vec::with_capacity(bytes.len());
            half.masker.push(bytes, &mut masked);
            inner.take(stream, &masked, lines);
            if inner.left == 0 && inner.limit > 0 {
                let kib = inner.limit / 1024;
                inner.limit = 0;
                let text =
                    format!("\nJob's log exceeded limit of {kib} KiB. The job goes on, its output is left out.\n");
                inner.take(Stream::Out, text.as_bytes(), lines);
            }
            // Somebody may be reading it. A disk that is full does not end the job.
            let _ = inner.file.flush();
        });
    }

    /// A line of the runner's own.
    pub fn say(&self, text: &str) {
        self.with(|inner, lines| {
            let mut masked = Vec::new();
            inner.out.masker.push(format!("{text}\n").as_bytes(), &mut masked);
            inner.out.masker.finish(&mut masked);
            inner.take(Stream::Out, &masked, lines);
        });
    }

    /// A warning of the runner's own, in yellow.
    pub fn warn(&self, text: &str) {
        self.say(&format!("\x1b[0;33mWARNING: {text}\x1b[0;m"));
    }

    /// Begins a section; its end comes when the result is dropped. `helpers/build_section.go`
    pub fn section(self: &Arc<Self>, name: &'static str, title: &str) -> Section {
        self.mark(&format!("section_start:{}:{name}\r\x1b[0K", unix_time()));
        self.say(&format!("\x1b[0;36;1m{title}\x1b[0;m"));
        (self.tell)(Event::Step { job: Arc::clone(&self.job), step: name });
        Section { log: Arc::clone(self), name }
    }

    /// Marks stand on lines of their own.
    fn mark(&self, mark: &str) {
        self.flush();
        self.with(|inner, lines| inner.take(Stream::Out, mark.as_bytes(), lines));
    }

    /// Writes what is held back, and ends a line that has no end.
    pub fn flush(&self) {
        self.with(|inner, lines| {
            for stream in [Stream::Out, Stream::Err] {
                let half = inner.half(stream);
                let mut masked = Vec::new();
                half.masker.finish(&mut masked);
                inner.take(stream, &masked, lines);
                if !inner.half(stream).line.is_empty() {
                    inner.take(stream, b"\n", lines);
                }
            }
            // A disk that is full is told of by what reads the log.
            let _ = inner.file.flush();
        });
    }

    /// The last lines of all, without colours.
    pub fn last_lines(&self) -> Vec<String> {
        self.lock().last_lines.iter().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the log, and tells the lines that it made when the log is free again.
    fn with(&self, work: impl FnOnce(&mut Inner, &mut Vec<String>)) {
        let mut lines = Vec::new();
        work(&mut self.lock(), &mut lines);
        for line in lines {
            (self.tell)(Event::Line { job: Arc::clone(&self.job), line });
        }
    }
}

impl Inner {
    fn half(&mut self, stream: Stream) -> &mut Half {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }

    fn within_limit<'bytes>(&mut self, bytes: &'bytes [u8]) -> &'bytes [u8] {
        let taken = bytes.get(..self.left).unwrap_or(bytes);
        self.left -= taken.len();
        taken
    }

    /// Takes bytes that are masked.
    fn take(&mut self, stream: Stream, bytes: &[u8], lines: &mut Vec<String>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            // A disk that is full does not end the job: its output is seen all the same.
            let _ = self.keep(stream, piece);
            let half = self.half(stream);
            half.line.extend_from_slice(piece);
            if half.line.len() > LONGEST_LINE {
                half.line.truncate(LONGEST_LINE);
                if piece.ends_with(b"\n") {
                    half.line.push(b'\n');
                }
            }
            if half.line.ends_with(b"\n") {
                let line = String::from_utf8_lossy(&half.line).trim_end_matches(['\n', '\r']).to_owned();
                half.line.clear();
                self.end_line(&line, lines);
            }
        }
    }

    fn keep(&mut self, stream: Stream, piece: &[u8]) -> io::Result<()> {
        let kind = if stream == Stream::Out { 'O' } else { 'E' };
        let has_begun = self.half(stream).has_begun;
        self.half(stream).has_begun = !piece.ends_with(b"\n");
        // A line that goes on does so behind its own marks: between them the other stream may have had its say.
        let mark = if has_begun { '+' } else { ' ' };
        let time = humantime::format_rfc3339_micros(SystemTime::now());
        write!(self.file, "{time} 00{kind}{mark}")?;
        self.file.write_all(piece)?;
        if !piece.ends_with(b"\n") {
            self.file.write_all(b"\n")?;
        }
        Ok(())
    }

    fn end_line(&mut self, line: &str, lines: &mut Vec<String>) {
        let line = without_marks(line);
        let Some(line) = line else { return };
        let plain = without_colours(&line);
        if let Some(coverage) = &self.coverage
            && let Some(found) = coverage.find(&plain)
        {
            self.covered = number(found).or(self.covered);
        }
        if self.last_lines.len() == LAST_LINES {
            self.last_lines.pop_front();
        }
        self.last_lines.push_back(plain);
        lines.push(line);
    }
}

/// A section that goes on until this is dropped.
pub struct Section {
    log: Arc<JobLog>,
    name: &'static str,
}

impl Drop for Section {
    fn drop(&mut self) {
        self.log.mark(&format!("section_end:{}:{}\r\x1b[0K\n", unix_time(), self.name));
    }
}

fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A line without the marks of sections; nothing if there was nothing else. What stands before a carriage return would be
/// written over.
fn without_marks(line: &str) -> Option<String> {
    let has_mark = line.contains("section_start:") || line.contains("section_end:");
    if !has_mark {
        return Some(line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default().to_owned());
    }
    let parts = line.split("\x1b[0K").filter(|part| !part.starts_with("section_"));
    let rest = parts.collect::<String>();
    (!rest.is_empty()).then_some(rest)
}

/// A text without the terminal's control sequences.
pub fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let after = from.get(1..).unwrap_or_default();
        rest = match after.strip_prefix('[') {
            // Parameters, then one letter.
            Some(sequence) => {
                let end = sequence.find(|last: char| ('@'..='~').contains(&last));
                end.and_then(|end| sequence.get(end + 1..)).unwrap_or_default()
            }
            None => after,
        };
    }
    plain.push_str(rest);
    plain.retain(|character| character == '\t' || !character.is_control());
    plain
}

/// The first number in a text.
fn number(text: &str) -> Option<f64> {
    let from = text.find(|first: char| first.is_ascii_digit()).and_then(|at| text.get(at..))?;
    let end = from.find(|last: char| !last.is_ascii_digit() && last != '.').unwrap_or(from.len());
    from.get(..end)?.trim_end_matches('.').parse().ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn log(limit: usize) -> (tempfile::TempDir, Arc<JobLog>, Arc<Mutex<Vec<String>>>) {
        let folder = tempfile::tempdir().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&lines);
        let tell: Arc<Tell> = Arc::new(move |event| {
            if let Event::Line { line, .. } = event {
                heard.lock().unwrap().push(line);
            }
        });
        let masker = Masker::new(["s3cr3t-value"]);
        let log = JobLog::open("job".into(), &folder.path().join("job.log"), &masker, limit, tell).unwrap();
        (folder, Arc::new(log), lines)
    }

    #[test]
    fn secrets_are_masked_across_chunks_and_streams() {
        let (_folder, log, lines) = log(1 << 20);
        log.write(Stream::Out, b"a s3cr3t-");
        log.write(Stream::Err, b"other s3cr3t-value\n");
        log.write(Stream::Out, b"value b\nno end");
        log.flush();
        assert_eq!(*lines.lock().unwrap(), ["other [MASKED]", "a [MASKED] b", "no end"]);
        assert_eq!(log.last_lines(), ["other [MASKED]", "a [MASKED] b", "no end"]);
        let file = std::fs::read_to_string(log.path()).unwrap();
        assert!(!file.contains("s3cr3t"), "{file}");
        let kinds: Vec<_> = file.lines().map(|line| &line[28..]).collect();
        assert_eq!(kinds, ["00O a ", "00E other [MASKED]", "00O+[MASKED] b", "00O no end", "00O+"]);
    }

    #[test]
    fn sections_are_in_the_file_and_not_in_the_view() {
        let (_folder, log, lines) = log(1 << 20);
        {
            let _section = log.section("step_script", "Executing");
            log.write(Stream::Out, b"hello\n");
        }
        log.flush();
        assert_eq!(*lines.lock().unwrap(), ["\x1b[0;36;1mExecuting\x1b[0;m", "hello"]);
        let file = std::fs::read_to_string(log.path()).unwrap();
        assert!(file.contains("section_start:") && file.contains(":step_script\r\x1b[0K"), "{file}");
        assert!(file.contains("section_end:"), "{file}");
    }

    #[test]
    fn output_has_a_limit() {
        let (_folder, log, lines) = log(2048);
        for _ in 0..100 {
            log.write(Stream::Out, &[b'x'; 100]);
            log.write(Stream::Out, b"\n");
        }
        log.flush();
        let lines = lines.lock().unwrap();
        assert!(lines.len() < 25, "{}", lines.len());
        assert!(lines.last().unwrap().starts_with("Job's log exceeded limit of 2 KiB."), "{lines:?}");
    }

    #[rstest]
    #[case::last_line_wins("TOTAL 50%\nTOTAL 71.5 %\nend\n", Some(71.5))]
    #[case::none("nothing\n", None)]
    fn coverage(#[case] output: &str, #[case] expected: Option<f64>) {
        let (_folder, log, _) = log(1 << 20);
        log.watch_coverage(Pattern::parse(r"/TOTAL \d+(\.\d+)? ?%/").unwrap());
        log.write(Stream::Out, output.as_bytes());
        assert_eq!(log.coverage(), expected);
    }

    #[rstest]
    #[case::colours("\x1b[32;1mgreen\x1b[0;m x", "green x")]
    #[case::clear("\x1b[0Kx", "x")]
    #[case::other("a\x07b\tc", "ab\tc")]
    #[case::open("a\x1b[3", "a")]
    fn colours(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(without_colours(text), expected);
    }
}
