//! Runs git for checkouts, without blocking.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::process_group::KillOnDrop;
use crate::project::git;

/// A checkout could not be created.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{step}: {reason}")]
pub struct SourcesError {
    /// The git command that failed, or a description of the failure, such as `cannot pack the checkout`.
    pub step: String,
    /// The output of git on standard error, or the system's error.
    pub reason: String,
    /// Whether a repository of somewhere else could not be reached.
    pub is_unreachable: bool,
}

pub(super) fn failed(step: &str, reason: &str) -> SourcesError {
    SourcesError { step: step.to_owned(), reason: reason.to_owned(), is_unreachable: false }
}

/// Runs git in a directory, and returns its standard output.
pub(super) async fn git(dir: Option<&Path>, arguments: &[&str]) -> Result<Vec<u8>, SourcesError> {
    // Ignore the repository of the environment, and the user's templates and hooks.
    let mut command = Command::from(git::program());
    command.env_remove("GIT_TEMPLATE_DIR").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").kill_on_drop(true);
    // git starts other programs to fetch, which end with the process group. The group also shields git from a terminal's Ctrl-C: the
    // cancellation of jobs ends it.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(dir) = dir {
        command.arg("-C").arg(dir);
    }
    let step = || format!("git {}", arguments.join(" "));
    let lost = |error: std::io::Error| failed(&step(), &error.to_string());
    let child = command.args(arguments).spawn().map_err(lost)?;
    let ending = KillOnDrop::group_of(&child);
    let output = child.wait_with_output().await.map_err(lost)?;
    ending.disarm();
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(failed(&step(), String::from_utf8_lossy(&output.stderr).trim()))
}

/// An output of one line, without its line break.
pub(super) fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim_end_matches('\n').to_owned()
}

/// The fields of an output of `git … -z`.
pub(super) fn fields(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    output.split(|byte| *byte == 0).filter(|field| !field.is_empty())
}

/// A path in an output of `git … -z`. Names of files are bytes.
pub(super) fn path(field: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(field))
}
