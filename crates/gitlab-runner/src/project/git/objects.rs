//! Reads commits, tags and files of a repository with a single git process, because starting a process costs as much as a thousand
//! answers. <https://git-scm.com/docs/git-cat-file#_batch_output>

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use super::command::command;
use gitlab_ci::plan::commit::Commit;

/// The first lines of a tag's signature, which is not part of its message.
const SIGNATURES: [&str; 2] = ["-----BEGIN PGP SIGNATURE-----", "-----BEGIN SSH SIGNATURE-----"];

/// A running `git cat-file --batch`.
pub(super) struct Objects {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Whether git has ended although it was not asked to.
    has_ended: bool,
}

/// A git object.
pub(super) struct Object {
    /// `commit`, `tag`, `blob` or `tree`.
    pub(super) kind: String,
    pub(super) content: Vec<u8>,
}

impl Objects {
    /// Starts git without waiting for it.
    pub(super) fn start(dir: &std::path::Path) -> io::Result<Self> {
        let mut command = command(dir, &["cat-file", "--batch"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (Some(questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Ok(Self { child, questions: Some(questions), answers: BufReader::new(answers), has_ended: false })
    }

    /// Returns the hash and the object that git finds for a name. Returns `None` if there is no such object, or if git has ended, which
    /// [`Objects::has_ended`] reports.
    pub(super) fn get(&mut self, name: &str) -> Option<(String, Object)> {
        // A request is a single line.
        if name.contains('\n') {
            return None;
        }
        self.ask(name).unwrap_or_else(|_| {
            self.has_ended = true;
            None
        })
    }

    /// Whether git ended before it had answered every request. If so, an object that [`Objects::get`] did not return may exist.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    fn ask(&mut self, name: &str) -> io::Result<Option<(String, Object)>> {
        let questions = self.questions.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        questions.write_all(format!("{name}\n").as_bytes())?;
        let mut head = String::new();
        if self.answers.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // `HASH KIND SIZE`, or the name and the reason, such as `missing`.
        let mut words = head.trim_end().rsplit(' ');
        let (size, kind, sha) = (words.next().and_then(|size| size.parse::<u32>().ok()), words.next(), words.next());
        let (Some(size), Some(kind), Some(sha)) = (size, kind, sha) else { return Ok(None) };
        // A line break follows the content.
        let mut content = vec![0; usize::try_from(size).map_err(io::Error::other)? + 1];
        self.answers.read_exact(&mut content)?;
        content.pop();
        Ok(Some((sha.to_owned(), Object { kind: kind.to_owned(), content })))
    }
}

#[cfg(test)]
impl Objects {
    pub(super) fn kill(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).unwrap();
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        // git has nothing to finish, and its result does not matter.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Object {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }

    /// The message of a tag, without the signature.
    pub(super) fn message(&self) -> String {
        let text = self.text();
        let message = text.split_once("\n\n").map_or("", |(_, message)| message);
        let end = SIGNATURES.iter().filter_map(|signature| message.find(signature)).min();
        message.get(..end.unwrap_or(message.len())).unwrap_or(message).trim_end().to_owned()
    }

    /// Parses a commit: <https://git-scm.com/docs/git-commit-tree>.
    pub(super) fn commit(&self, sha: String) -> Commit {
        let text = self.text();
        let (head, _) = text.split_once("\n\n").unwrap_or((&text, ""));
        let line =
            |key: &str| head.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')).unwrap_or_default();
        let (author, _) = person(line("author"));
        let (_, time) = person(line("committer"));
        // With the line break at its end, as in `CI_COMMIT_MESSAGE`.
        let message = text.split_once("\n\n").map_or("", |(_, message)| message).to_owned();
        Commit { sha, author: author.to_owned(), timestamp: timestamp(time), message }
    }
}

/// Splits a line into `Name <address>` and `SECONDS ZONE`.
fn person(line: &str) -> (&str, &str) {
    let end = line.rfind('>').map_or(0, |at| at + 1);
    (line.get(..end).unwrap_or_default(), line.get(end..).unwrap_or_default().trim())
}

/// Converts seconds since the epoch and a time zone, `1769851230 +0100`, to ISO 8601.
fn timestamp(time: &str) -> String {
    let (seconds, zone) = time.split_once(' ').unwrap_or((time, "+0000"));
    let seconds: i64 = seconds.parse().unwrap_or_default();
    let digits =
        |range: std::ops::Range<usize>| zone.get(range).and_then(|it| it.parse::<i64>().ok()).unwrap_or_default();
    let offset = (digits(1..3) * 60 + digits(3..5)) * if zone.starts_with('-') { -60 } else { 60 };
    let local = u64::try_from(seconds.saturating_add(offset)).unwrap_or_default();
    let utc = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(local)).to_string();
    match (offset, zone.get(..3), zone.get(3..5)) {
        (1.. | ..=-1, Some(hours), Some(minutes)) => format!("{}{hours}:{minutes}", utc.trim_end_matches('Z')),
        _ => utc,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::utc("1769851230 +0000", "2026-01-31T09:20:30Z")]
    #[case::east("1769851230 +0100", "2026-01-31T10:20:30+01:00")]
    #[case::west("1769851230 -0330", "2026-01-31T05:50:30-03:30")]
    #[case::empty("", "1970-01-01T00:00:00Z")]
    #[case::before_the_epoch("-86400 +0000", "1970-01-01T00:00:00Z")]
    fn timestamps_are_iso_8601(#[case] time: &str, #[case] expected: &str) {
        assert_eq!(timestamp(time), expected);
    }

    #[test]
    fn a_tags_message_has_no_signature() {
        let text = "object 01\ntype commit\ntag v1\ntagger A B <a@b.test> 1 +0000\n\ngood\n\n-----BEGIN PGP SIGNATURE-----\nx\n";
        let object = Object { kind: "tag".to_owned(), content: text.as_bytes().to_vec() };
        assert_eq!(object.message(), "good");
    }

    #[test]
    fn a_commit_is_parsed() {
        let text = "tree 01\nparent 02\nauthor A <B> <a@b.test> 1 +0000\ncommitter C <c@d.test> 1769851230 +0100\n\
                    gpgsig -----BEGIN\n author no <no>\n\nTitle\n\nMore\n\n";
        let object = Object { kind: "commit".to_owned(), content: text.as_bytes().to_vec() };
        let expected = Commit {
            sha: "01".to_owned(),
            author: "A <B> <a@b.test>".to_owned(),
            timestamp: "2026-01-31T10:20:30+01:00".to_owned(),
            message: "Title\n\nMore\n\n".to_owned(),
        };
        assert_eq!(object.commit("01".to_owned()), expected);
    }
}
