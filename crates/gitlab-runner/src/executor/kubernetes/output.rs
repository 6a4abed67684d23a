//! The output of a script, which is read over one connection after the other.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::progress::Progress;
use crate::log::{JobLog, Stream};

/// Maximum time without output and without a heartbeat, after which a connection counts as lost.
const MAX_SILENCE: Duration = Duration::from_secs(50);

/// Maximum time to wait for output whose size is not known, or for the rest of one stream after the end of the other.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum length of a line about the end of a script. A job can write longer ones to the file, which say nothing.
const MAX_NOTE: usize = 256;

/// The end of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) code: i32,
    /// The size of its output at that time, in bytes.
    size: Option<u64>,
}

/// The part of a script's output that has arrived.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// Number of bytes of the output that have arrived.
    pub(super) offset: u64,
    end: Option<End>,
    /// Counts these bytes, for another task.
    pub(super) progress: Arc<Progress>,
}

impl Received {
    /// The end of the script, if all of its output has arrived.
    fn complete(&self) -> Option<End> {
        self.end.filter(|end| end.size.is_some_and(|size| self.offset >= size))
    }

    /// Reads until the script has ended and all of its output has arrived. Returns `None` if the connection is lost before. What has
    /// arrived by then is read: one stream of a lost connection ends before the other, which may still have buffered output.
    pub(super) async fn read(
        &mut self,
        mut output: impl AsyncRead + Unpin,
        mut notes: impl AsyncRead + Unpin,
        log: &JobLog,
    ) -> Option<End> {
        let (mut piece, mut note, mut line) = (vec![0; 64 * 1024], vec![0; 1024], Vec::new());
        let (mut has_output, mut has_notes) = (true, true);
        loop {
            if let Some(end) = self.complete() {
                return Some(end);
            }
            let silence = match self.end {
                Some(End { size: None, .. }) => OUTPUT_TIMEOUT,
                _ if has_output && has_notes => MAX_SILENCE,
                _ => OUTPUT_TIMEOUT,
            };
            let next = async {
                tokio::select! {
                    count = output.read(&mut piece), if has_output => Some((count.unwrap_or(0), true)),
                    count = notes.read(&mut note), if has_notes => Some((count.unwrap_or(0), false)),
                    else => None,
                }
            };
            match timeout(silence, next).await {
                // The script has ended, and no more output has arrived for a second.
                Err(_) => return self.end.filter(|end| end.size.is_none()),
                Ok(None) => return None,
                Ok(Some((0, true))) => has_output = false,
                Ok(Some((0, false))) => has_notes = false,
                Ok(Some((count, true))) => {
                    self.offset += count as u64;
                    self.progress.add(count);
                    log.write(Stream::Out, piece.get(..count).unwrap_or_default());
                }
                Ok(Some((count, false))) => {
                    line.extend_from_slice(note.get(..count).unwrap_or_default());
                    while let Some(at) = line.iter().position(|byte| *byte == b'\n') {
                        let rest = line.split_off(at + 1);
                        self.end = self.end.or_else(|| parse_end(&String::from_utf8_lossy(&line)));
                        line = rest;
                    }
                    if line.len() > MAX_NOTE {
                        line.clear();
                    }
                }
            }
        }
    }
}

/// Reads a line of the follower: the exit code of the script, and the size of its output. Other lines are heartbeats, or messages of
/// `tail`.
fn parse_end(line: &str) -> Option<End> {
    let (code, size) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    let code = code.parse().ok().filter(|code| (0..=255).contains(code))?;
    Some(End { code, size: size.trim().parse().ok() })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::log::testing::log;

    #[rstest]
    #[case::end("3 200\n", Some((3, Some(200))))]
    #[case::no_output("0 0\n", Some((0, Some(0))))]
    #[case::size_with_spaces("0      12\n", Some((0, Some(12))))]
    #[case::unknown_size("137 \n", Some((137, None)))]
    #[case::heartbeat("\n", None)]
    #[case::message("tail: /.e2e/logs/1.log: file truncated\n", None)]
    #[case::no_exit_code("300 1\n", None)]
    #[case::negative("-1 1\n", None)]
    fn the_end_of_a_script_is_recognized(#[case] line: &str, #[case] expected: Option<(i32, Option<u64>)>) {
        assert_eq!(parse_end(line), expected.map(|(code, size)| End { code, size }));
    }

    /// A pod that is deleted ends both streams at once: 200 KiB of output and the end of the script are buffered then.
    #[rstest]
    #[case::the_script_has_ended("5 204804\n", Some(5))]
    #[case::the_script_was_killed("", None)]
    #[tokio::test]
    async fn buffered_output_of_a_lost_connection_is_read(#[case] note: &str, #[case] code: Option<i32>) {
        for ends_first in ["output", "notes"] {
            let (_dir, log) = log(&[]);
            let (mut from_output, output) = tokio::io::duplex(1 << 20);
            let (mut from_notes, notes) = tokio::io::duplex(1 << 20);
            from_output.write_all(&vec![b'x'; 200 * 1024]).await.unwrap();
            from_output.write_all(b"END\n").await.unwrap();
            from_notes.write_all(note.as_bytes()).await.unwrap();
            // The other stream stays open.
            let _open = if ends_first == "output" {
                drop(from_output);
                from_notes
            } else {
                drop(from_notes);
                from_output
            };
            let mut received = Received::default();
            let end = received.read(output, notes, &log).await;
            assert_eq!((end.map(|end| end.code), received.offset), (code, 200 * 1024 + 4), "{ends_first}");
            assert!(log.last_lines().iter().any(|line| line.starts_with("xxx")), "{ends_first}");
        }
    }

    #[tokio::test]
    async fn the_end_of_a_connection_is_not_the_end_of_the_script() {
        let (_dir, log) = log(&[]);
        let mut received = Received::default();
        assert_eq!(received.read(&b"out"[..], &b"0 5\n"[..], &log).await, None);
        let end = received.read(&b"+2"[..], &b""[..], &log).await;
        assert_eq!(end, Some(End { code: 0, size: Some(5) }));
    }
}
