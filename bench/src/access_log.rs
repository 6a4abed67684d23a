//! Reads a server's log from a pipe, as a container runtime gets it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use memchr::{memmem, memrchr};
use rustix::pipe::fcntl_setpipe_size;

/// A field that occurs once in each line about a request, and in no other line.
const REQUEST_FIELD: &[u8] = br#""request_id":"#;

/// Size of the pipe: enough for the lines between two reads, even if the reader gets its core late. Any user may set this size.
const PIPE_BYTES: usize = 1024 * 1024;

/// Interval between two reads.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// The lines that a server has written to its standard output, which is a pipe, as in a container.
///
/// The reader polls the pipe instead of waiting for each line. Otherwise a server that writes each line with its own system
/// call would have to wake the reader each time, and the result would depend on how fast a container runtime reads.
#[derive(Debug)]
pub(crate) struct AccessLog {
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: AtomicU32,
    first: OnceLock<String>,
}

impl AccessLog {
    /// Reads `pipe` until the server has ended.
    pub(crate) fn read(pipe: OwnedFd) -> io::Result<Self> {
        fcntl_setpipe_size(&pipe, PIPE_BYTES)?;
        let seen = Arc::new(Seen::default());
        let log = Self { seen: Arc::clone(&seen) };
        thread::Builder::new().name("access log".to_owned()).spawn(move || {
            // If a read fails, lines are missing, and the comparison with the server's own count reports that.
            let _ = drain(File::from(pipe), &seen);
        })?;
        Ok(log)
    }

    /// The number of lines about requests.
    pub(crate) fn requests(&self) -> u32 {
        self.seen.requests.load(Ordering::Relaxed)
    }

    /// The first line about a request.
    pub(crate) fn first(&self) -> Option<&str> {
        self.seen.first.get().map(String::as_str)
    }
}

fn drain(mut pipe: impl Read, seen: &Seen) -> io::Result<()> {
    let mut buffer = vec![0; PIPE_BYTES];
    let mut filled = 0;
    loop {
        let read = pipe.read(&mut buffer[filled..])?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        // Count only complete lines. An incomplete last line stays in the buffer until the rest arrives.
        if let Some(newline) = memrchr(b'\n', &buffer[..filled]) {
            count(&buffer[..newline], seen);
            buffer.copy_within(newline + 1..filled, 0);
            filled -= newline + 1;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

fn count(lines: &[u8], seen: &Seen) {
    let requests = memmem::find_iter(lines, REQUEST_FIELD).count();
    seen.requests.fetch_add(u32::try_from(requests).unwrap_or(u32::MAX), Ordering::Relaxed);
    if requests > 0 {
        seen.first.get_or_init(|| {
            let line = lines.split(|byte| *byte == b'\n').find(|line| memmem::find(line, REQUEST_FIELD).is_some());
            String::from_utf8_lossy(line.unwrap_or_default()).into_owned()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Yields `rest` a few bytes at a time, so that a read may end anywhere in a line or a field.
    struct SlowReader<'text> {
        rest: &'text [u8],
        step: usize,
    }

    impl Read for SlowReader<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let (now, later) = self.rest.split_at(self.step.min(self.rest.len()));
            buffer[..now.len()].copy_from_slice(now);
            self.rest = later;
            Ok(now.len())
        }
    }

    #[test]
    fn lines_are_counted_however_they_arrive() {
        let text = concat!(
            "{\"msg\":\"listening\"}\n{\"path\":\"/\",\"request_id\":\"1\"}\n{\"msg\":\"ready\"}\n",
            "{\"path\":\"/\",\"request_id\":\"2\"}\n{\"path\":\"/\",\"request_id\":\"3\" and no end"
        )
        .as_bytes();
        for step in [1, 2, 7, 31, text.len()] {
            let seen = Seen::default();
            drain(SlowReader { rest: text, step }, &seen).unwrap();
            let log = AccessLog { seen: Arc::new(seen) };
            assert_eq!(log.requests(), 2, "{step} bytes at a time");
            assert_eq!(log.first(), Some(r#"{"path":"/","request_id":"1"}"#));
        }
    }
}
