//! Runs the `git` program.

use std::path::Path;
use std::process::Command;

use super::error::GitError;

/// The environment variables by which git passes its repository to hooks and other programs. They must be unset to work on the
/// repository of another directory: `git rev-parse --local-env-vars`, without those that only configure git.
pub const REPOSITORY_VARIABLES: [&str; 12] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// Settings that keep git from running programs that the repository or the user names, and from writing to a repository that is read.
const SETTINGS: [&str; 5] = ["--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"];

/// A `git` command that ignores the repository of the environment, for example when this process runs in a git hook. No other function
/// creates a git command.
pub fn program() -> Command {
    let mut command = Command::new("git");
    command.args(SETTINGS).env_remove("GIT_ATTR_SOURCE").env_remove("GIT_ALLOW_PROTOCOL");
    for variable in REPOSITORY_VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// A `git` command for a directory, without prompts and without translated messages.
pub(crate) fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = program();
    command.arg("-C").arg(dir).args(arguments).env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    command
}

/// Runs git in a directory, and returns its standard output without trailing line breaks.
///
/// # Errors
/// git cannot be started, or ends with an error.
pub fn git(dir: &Path, arguments: &[&str]) -> Result<String, GitError> {
    output(command(dir, arguments), arguments)
}

/// Runs a command that [`command`] has created with `arguments`, and returns its standard output without trailing line breaks.
pub(super) fn output(mut command: Command, arguments: &[&str]) -> Result<String, GitError> {
    let output = command.output().map_err(GitError::NotRun)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(GitError::Failed { line: arguments.join(" "), message })
}
