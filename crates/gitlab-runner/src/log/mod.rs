//! The log of a job: its masked output with timestamps, in a file as GitLab stores it, and line by line as events.
//!
//! Every line of the file starts with the time, a space, `00`, the stream (`O` or `E`), and a space. A `+` replaces the last space if the
//! line continues the previous line of that stream. <https://docs.gitlab.com/administration/cicd/job_logs/>, GitLab Runner's
//! `FF_TIMESTAMPS`

mod line;
mod stored;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use memchr::memchr;

pub use self::line::{Piece, pieces, without_colors};
use self::line::{number, without_section_markers};
use self::stored::PREFIX_LENGTH;
pub use self::stored::{StoredLine, Stream};
use super::event::{Event, EventSink};
use crate::mask::Masker;
use gitlab_ci::expression::pattern::Pattern;

/// Maximum number of lines that [`JobLog::last_lines`] returns.
pub const LAST_LINES: usize = 20;

/// Maximum length of a line in bytes, in memory and in events. The file has the complete line.
const MAX_LINE_LENGTH: usize = 16 * 1024;

/// Size of the buffer of the file, in bytes: a piece of output is at most as large.
const BUFFER: usize = 64 * 1024;

/// The log of a job.
pub struct JobLog {
    job: Arc<str>,
    path: PathBuf,
    notify: Arc<EventSink>,
    inner: Mutex<Inner>,
}

struct Inner {
    file: BufWriter<File>,
    /// When the output that is being written arrived.
    time: String,
    out: StreamState,
    err: StreamState,
    last_lines: VecDeque<String>,
    coverage: Option<Pattern>,
    covered: Option<f64>,
    /// Number of bytes that the file may still get; `None` once the limit was exceeded.
    left: Option<usize>,
    limit: usize,
    /// Why the file is incomplete.
    lost: Option<String>,
}

/// The state of one of the two streams.
struct StreamState {
    masker: Masker,
    line: Vec<u8>,
    /// Whether the last line in the file is incomplete.
    is_line_open: bool,
}

impl StreamState {
    fn new(masker: Masker) -> Self {
        Self { masker, line: Vec::new(), is_line_open: false }
    }
}

impl JobLog {
    /// A log that appends to `file`, which is open at `path`. It gets at most `limit` bytes.
    pub fn new(
        job: Arc<str>,
        file: File,
        path: PathBuf,
        masker: &Masker,
        limit: usize,
        notify: Arc<EventSink>,
    ) -> Self {
        let file = BufWriter::with_capacity(BUFFER, file);
        let inner = Inner {
            file,
            time: String::new(),
            out: StreamState::new(masker.clone()),
            err: StreamState::new(masker.clone()),
            last_lines: VecDeque::new(),
            coverage: None,
            covered: None,
            left: Some(limit),
            limit,
            lost: None,
        };
        Self { job, path, notify, inner: Mutex::new(inner) }
    }

    /// The name of the job.
    pub fn job(&self) -> &Arc<str> {
        &self.job
    }

    /// The path of the log file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Searches every further line for `coverage`. <https://docs.gitlab.com/ci/yaml/#coverage>
    pub fn watch_coverage(&self, coverage: Pattern) {
        self.lock().coverage = Some(coverage);
    }

    /// Masks the secrets of this log in `text`.
    pub fn masked(&self, text: &str) -> String {
        self.lock().out.masker.masked(text)
    }

    /// The coverage in the last line that had one, in percent.
    pub fn coverage(&self) -> Option<f64> {
        self.lock().covered
    }

    /// Appends output of the job. The chunks may begin and end anywhere.
    pub fn write(&self, stream: Stream, bytes: &[u8]) {
        self.with(|inner, lines| {
            let mut masked = Vec::with_capacity(bytes.len());
            inner.state(stream).masker.push(bytes, &mut masked);
            inner.take(stream, &masked, lines);
            // A user may be following the file.
            inner.flush();
        });
    }

    /// Writes a message of the runner.
    pub fn say(&self, text: &str) {
        self.with(|inner, lines| {
            // Masked on its own: the last chunk of the output may have ended within a secret, which this text does not continue.
            let masked = inner.out.masker.masked(&format!("{text}\n"));
            inner.take(Stream::Out, masked.as_bytes(), lines);
            // A user may be following the file, and wonder what the job waits for.
            inner.flush();
        });
    }

    /// Writes a line of a service, which counts as output of the job. Returns whether the log takes more output.
    pub fn say_output(&self, text: &str) -> bool {
        self.with(|inner, lines| {
            // Masked on its own, like a message of the runner.
            let masked = inner.out.masker.masked(&format!("{text}\n"));
            inner.take(Stream::Out, masked.as_bytes(), lines);
        });
        self.lock().left.is_some()
    }

    /// Writes a warning of the runner, in yellow.
    pub fn warn(&self, text: &str) {
        self.say(&format!("\x1b[0;33mWARNING: {text}\x1b[0;m"));
    }

    /// Starts a section, which ends when the result is dropped: `helpers/build_section.go`.
    pub fn section(self: &Arc<Self>, name: &'static str, title: &str) -> Section {
        self.write_marker(&format!("section_start:{}:{name}\r\x1b[0K", unix_time()));
        self.say(&format!("\x1b[0;36;1m{title}\x1b[0;m"));
        (self.notify)(Event::Step { job: Arc::clone(&self.job), step: name });
        Section { log: Arc::clone(self), name }
    }

    /// Writes a section marker on a line of its own.
    fn write_marker(&self, marker: &str) {
        self.flush();
        self.with(|inner, lines| inner.take(Stream::Out, marker.as_bytes(), lines));
    }

    /// Writes all buffered output, and completes an incomplete line.
    pub fn flush(&self) {
        self.with(|inner, lines| {
            for stream in [Stream::Out, Stream::Err] {
                let state = inner.state(stream);
                let mut masked = Vec::new();
                state.masker.finish(&mut masked);
                inner.take(stream, &masked, lines);
                if !inner.state(stream).line.is_empty() {
                    inner.take(stream, b"\n", lines);
                }
            }
            inner.flush();
        });
    }

    /// Why the file does not contain the whole log, for example because the disk is full.
    pub fn lost(&self) -> Option<String> {
        self.lock().lost.clone()
    }

    /// The last lines of the log, without colors; at most [`LAST_LINES`].
    pub fn last_lines(&self) -> Vec<String> {
        self.lock().last_lines.iter().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the log, and reports the new lines after the lock is released.
    fn with(&self, work: impl FnOnce(&mut Inner, &mut Vec<String>)) {
        let mut lines = Vec::new();
        {
            let mut inner = self.lock();
            inner.time = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
            work(&mut inner, &mut lines);
        }
        for line in lines {
            (self.notify)(Event::Line { job: Arc::clone(&self.job), line });
        }
    }
}

impl Inner {
    fn state(&mut self, stream: Stream) -> &mut StreamState {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }

    /// Appends masked bytes up to the limit, and nothing after it: `helpers/trace/buffer.go`. The limit applies after masking, because half
    /// of a secret would not be masked. It counts what the file gets: a short line is much longer there.
    fn take(&mut self, stream: Stream, masked: &[u8], lines: &mut Vec<String>) {
        let mut rest = masked;
        while !rest.is_empty() {
            let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (piece, after) = rest.split_at_checked(end).unwrap_or_default();
            rest = after;
            let Some(left) = self.left else { return };
            self.left = left.checked_sub(PREFIX_LENGTH + piece.len());
            if self.left.is_some() {
                self.append(stream, piece, lines);
            } else {
                self.append(stream, piece.get(..left.saturating_sub(PREFIX_LENGTH)).unwrap_or_default(), lines);
                self.end_output(lines);
            }
        }
    }

    /// Says that the limit is reached.
    fn end_output(&mut self, lines: &mut Vec<String>) {
        for stream in [Stream::Out, Stream::Err] {
            // The buffered bytes may be the beginning of a secret whose rest is discarded.
            self.state(stream).masker.finish(&mut Vec::new());
        }
        let text = format!(
            "\n\x1b[31;1mJob's log exceeded limit of {} bytes.\x1b[0;m\nJob execution will continue but no more output will be collected.\n",
            self.limit
        );
        for piece in text.as_bytes().split_inclusive(|byte| *byte == b'\n') {
            self.append(Stream::Out, piece, lines);
        }
    }

    /// Appends one line or a part of it.
    fn append(&mut self, stream: Stream, piece: &[u8], lines: &mut Vec<String>) {
        if let Err(error) = self.keep(stream, piece) {
            self.lose(&error);
        }
        let state = self.state(stream);
        if state.line.is_empty() && piece.len() <= MAX_LINE_LENGTH && piece.ends_with(b"\n") {
            self.end_line(stream, piece, lines);
            return;
        }
        state.line.extend_from_slice(piece);
        if state.line.len() > MAX_LINE_LENGTH {
            state.line.truncate(MAX_LINE_LENGTH);
            if piece.ends_with(b"\n") {
                state.line.push(b'\n');
            }
        }
        if state.line.ends_with(b"\n") {
            let line = std::mem::take(&mut state.line);
            self.end_line(stream, &line, lines);
        }
    }

    fn flush(&mut self) {
        if let Err(error) = self.file.flush() {
            self.lose(&error);
        }
    }

    /// Notes the first error of the file. The job continues: its output is still reported as events.
    fn lose(&mut self, error: &io::Error) {
        self.lost.get_or_insert_with(|| error.to_string());
    }

    fn keep(&mut self, stream: Stream, piece: &[u8]) -> io::Result<()> {
        let is_line_open = std::mem::replace(&mut self.state(stream).is_line_open, !piece.ends_with(b"\n"));
        self.file.write_all(self.time.as_bytes())?;
        // A continued line gets its own prefix, because the other stream may have written in between.
        self.file.write_all(match (stream, is_line_open) {
            (Stream::Out, false) => b" 00O ",
            (Stream::Out, true) => b" 00O+",
            (Stream::Err, false) => b" 00E ",
            (Stream::Err, true) => b" 00E+",
        })?;
        self.file.write_all(piece)?;
        if !piece.ends_with(b"\n") {
            self.file.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Takes a complete line, with its line break.
    fn end_line(&mut self, stream: Stream, line: &[u8], lines: &mut Vec<String>) {
        let text = String::from_utf8_lossy(line);
        let whole = text.trim_end_matches(['\n', '\r']);
        let Some(shown) = without_section_markers(whole) else { return };
        let plain = match &shown {
            // It has no control characters.
            Cow::Borrowed(shown) => Cow::Borrowed(*shown),
            Cow::Owned(shown) => without_colors(shown),
        };
        // A secret may have been in pieces, with control sequences between them.
        let masked = (plain.len() != whole.len()).then(|| self.state(stream).masker.masked(&plain));
        let masked = masked.filter(|masked| *masked != plain);
        let plain = masked.as_deref().unwrap_or(&plain);
        if let Some(coverage) = &self.coverage
            && let Some(found) = coverage.last_group(plain)
        {
            self.covered = number(found).or(self.covered);
        }
        // The oldest line leaves its memory to the newest one.
        let is_full = self.last_lines.len() == LAST_LINES;
        let mut last = if is_full { self.last_lines.pop_front() } else { None }.unwrap_or_default();
        last.clear();
        last.push_str(plain);
        self.last_lines.push_back(last);
        lines.push(masked.unwrap_or_else(|| shown.into_owned()));
    }
}

/// A section of a log, which ends when this is dropped.
pub struct Section {
    log: Arc<JobLog>,
    name: &'static str,
}

impl Drop for Section {
    fn drop(&mut self) {
        self.log.write_marker(&format!("section_end:{}:{}\r\x1b[0K\n", unix_time(), self.name));
    }
}

fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
