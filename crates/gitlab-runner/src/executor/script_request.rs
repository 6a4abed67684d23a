//! The messages between the runner and a supervisor: a script to run, and how it ended.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, PipeWriter};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use super::script_end::ScriptEnd;

/// Maximum length of a path: `PATH_MAX`.
const MAX_PATH: usize = 4096;

/// A script that the runner sends.
#[derive(Debug)]
pub(super) struct ScriptRequest {
    /// The directory in which the script starts.
    pub(super) dir: PathBuf,
    /// The script, as the shell's standard input.
    pub(super) script: OwnedFd,
    /// The shell's standard output.
    pub(super) output: OwnedFd,
    /// The shell's standard error.
    pub(super) errors: OwnedFd,
}

/// Sends a request, as one message: the path of the directory, with the three files.
///
/// # Errors
/// The supervisor has ended, or the connection cannot take the message now ([`io::ErrorKind::WouldBlock`]).
pub(super) fn send(
    supervisor: impl AsFd,
    dir: &Path,
    script: &File,
    [output, errors]: [&PipeWriter; 2],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(3))];
    let mut files = SendAncillaryBuffer::new(&mut space);
    let handles = [script.as_fd(), output.as_fd(), errors.as_fd()];
    files.push(SendAncillaryMessage::ScmRights(&handles));
    let path = [IoSlice::new(dir.as_os_str().as_bytes())];
    // Without a signal if the supervisor has ended.
    sendmsg(supervisor, &path, &mut files, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives the next request, and confirms it with one byte: without it, the runner would not know whether a supervisor that was killed
/// has begun with the script. `None` if the runner has closed the connection, or has ended.
///
/// # Errors
/// The message has not three files.
pub(super) fn receive(runner: impl AsFd) -> io::Result<Option<ScriptRequest>> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(3))];
    let mut path = [0; MAX_PATH];
    let (length, files) = loop {
        let mut received = RecvAncillaryBuffer::new(&mut space);
        let mut buffer = [IoSliceMut::new(&mut path)];
        match recvmsg(&runner, &mut buffer, &mut received, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(message) => break (message.bytes, files(&mut received)),
        }
    };
    if length == 0 {
        return Ok(None);
    }
    let [script, output, errors] = files.try_into().map_err(|_| io::Error::other("the runner has sent no script"))?;
    let dir = PathBuf::from(OsStr::from_bytes(path.get(..length).unwrap_or_default()));
    rustix::io::write(runner, &[0])?;
    Ok(Some(ScriptRequest { dir, script, output, errors }))
}

fn files(received: &mut RecvAncillaryBuffer<'_>) -> Vec<OwnedFd> {
    let messages = received.drain();
    messages
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => Some(files),
            _ => None,
        })
        .flatten()
        .collect()
}

/// A supervisor's report of the end of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// How the shell ended.
    pub(super) end: ScriptEnd,
    /// Whether nothing of the script runs any more. The supervisor then waits for the next request. Otherwise it ends what is left,
    /// and then itself.
    pub(super) is_complete: bool,
}

impl Report {
    /// The length of a message, in bytes.
    pub(super) const LENGTH: usize = 5;

    /// The message.
    pub(super) fn to_bytes(self) -> [u8; Self::LENGTH] {
        let [a, b, c, d] = self.end.number().to_le_bytes();
        [a, b, c, d, self.is_complete.into()]
    }

    /// The report in a message.
    pub(super) fn from_bytes([a, b, c, d, is_complete]: [u8; Self::LENGTH]) -> Self {
        let end = ScriptEnd::from_number(i32::from_le_bytes([a, b, c, d]));
        Self { end, is_complete: is_complete != 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use rstest::rstest;

    use super::*;
    use crate::executor::shell_process;

    #[test]
    fn a_request_arrives_with_its_files() {
        let (mut runner, supervisor) = UnixStream::pair().unwrap();
        let (mut output, writer) = io::pipe().unwrap();
        let script = shell_process::input(b"echo").unwrap();
        for dir in ["/a", "/b b"] {
            send(&runner, Path::new(dir), &script, [&writer, &writer]).unwrap();
            let request = receive(&supervisor).unwrap().unwrap();
            runner.read_exact(&mut [1]).unwrap();
            assert_eq!(request.dir, Path::new(dir));
            File::from(request.output).write_all(b"out").unwrap();
            File::from(request.errors).write_all(b"err").unwrap();
        }
        drop(writer);
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        assert_eq!(text, "outerrouterr");
        drop(runner);
        assert!(receive(&supervisor).unwrap().is_none());
    }

    #[test]
    fn a_message_without_files_is_an_error() {
        let (mut runner, supervisor) = UnixStream::pair().unwrap();
        runner.write_all(b"/a").unwrap();
        assert_eq!(receive(&supervisor).unwrap_err().to_string(), "the runner has sent no script");
    }

    #[rstest]
    #[case(ScriptEnd::Code(0), true)]
    #[case(ScriptEnd::Code(255), false)]
    #[case(ScriptEnd::Signal(9), true)]
    fn a_report_arrives_as_it_was_sent(#[case] end: ScriptEnd, #[case] is_complete: bool) {
        let report = Report { end, is_complete };
        assert_eq!(Report::from_bytes(report.to_bytes()), report);
    }
}
