//! How a script ended.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// The end of a script's shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptEnd {
    /// The shell ended with this exit code.
    Code(i32),
    /// A signal ended the shell. Containers report this as an exit code.
    Signal(i32),
}

impl ScriptEnd {
    /// The code that GitLab Runner reports: −1 for a signal, as Go's `ExitCode` does.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(_) => -1,
        }
    }

    /// A number that [`from_number`](Self::from_number) turns back into this end.
    pub(super) fn number(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => -signal,
        }
    }

    /// The end that a number represents.
    pub(super) fn from_number(number: i32) -> Self {
        if number < 0 { Self::Signal(-number) } else { Self::Code(number) }
    }
}

impl From<ExitStatus> for ScriptEnd {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Code(1),
        }
    }
}

/// The name of a signal in GitLab Runner's messages, which is that of Go's package `syscall`.
pub fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}
