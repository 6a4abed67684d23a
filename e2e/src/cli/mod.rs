//! What all commands share: how they end, and how they write.

pub(crate) mod check;
pub(crate) mod cluster;
pub(crate) mod doctor;
pub(crate) mod images;
pub(crate) mod lesson;
pub(crate) mod pipeline;
pub(crate) mod place;
pub(crate) mod run;

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use clap::ValueEnum;
pub(crate) use container_engine::error_chain::error_chain;

/// What is looked at is not as it should be: a cluster, a pipeline.
pub(crate) const EXIT_NOT_WHOLE: u8 = 1;
/// What was given is not what it must be: usage, a pipeline's file.
pub(crate) const EXIT_BAD_INPUT: u8 = 2;
/// The machine lacks something, or something of it failed.
pub(crate) const EXIT_ENVIRONMENT: u8 = 3;
/// 128 and the number of SIGINT, as shells have it.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;
/// The same of SIGTERM.
pub(crate) const EXIT_TERMINATED: u8 = 143;

/// How a command ends.
pub(crate) type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

/// How a result is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// The cluster that is meant when none is named.
pub(crate) const CLUSTER: &str = "gitlab-ci-k8s-demo";

/// What kind, the engine and Kubernetes all take as a name. kind: `^[a-z0-9.-]+$`; a node's name is it and fourteen characters
/// more, and a host name has at most 63.
pub(crate) fn cluster_name(name: &str) -> Result<String, String> {
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let ends = name.starts_with('-') || name.ends_with('-');
    if name.is_empty() || name.len() > 48 || ends || !name.bytes().all(is_good) {
        return Err("a name has 1 to 48 of a-z, 0-9 and -, and no - at its ends".to_owned());
    }
    Ok(name.to_owned())
}

/// The container engine, or where to read what to do.
pub(crate) async fn connect() -> Result<bollard::Docker, String> {
    container_engine::connect()
        .await
        .map_err(|error| format!("{} (`e2e doctor` tells what to do)", error_chain(&error)))
}

/// The columns of a terminal; nothing of anything else.
pub(crate) fn width(output: impl AsFd) -> Option<u16> {
    rustix::termios::tcgetwinsize(output).ok().map(|size| size.ws_col).filter(|columns| *columns > 0)
}

/// The result goes to standard output. Who has read enough of it, as `head` has, says so by closing it.
pub(crate) fn write(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// The story goes to standard error.
pub(crate) fn tell(text: &str) {
    // Nothing can be done about a standard error that is closed.
    let _ = writeln!(io::stderr(), "{text}");
}
