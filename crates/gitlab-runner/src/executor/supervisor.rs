//! How to start a supervisor, a process between the runner and a job's shell: see [`supervise`](super::supervise).

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

/// A program that calls `supervise::supervise`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supervisor {
    program: PathBuf,
    argument: OsString,
}

impl Supervisor {
    /// The program that runs now, with its first argument. The pipeline must run on a thread that does not end before the process does:
    /// the kernel reports the end of the thread, not of the process, to what it has started. `None` on other systems than Linux, which
    /// cannot supervise.
    pub fn this_program(argument: impl Into<OsString>) -> Option<Self> {
        // This path is valid even after the file was replaced or removed.
        cfg!(target_os = "linux").then(|| Self { program: "/proc/self/exe".into(), argument: argument.into() })
    }

    /// The command that runs `program` under the supervisor.
    pub(super) fn command(&self, program: &OsStr) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(&self.argument).arg(std::process::id().to_string()).arg(program);
        command
    }
}
