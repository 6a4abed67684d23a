//! git as a program.

use std::path::Path;
use std::process::Command;

use super::error::GitError;

/// The variables by which git tells the programs that it runs, hooks above all, which repository it works on. Who has a folder of
/// another one in mind must not have them. `git rev-parse --local-env-vars`, without those that only configure
pub const OF_A_REPOSITORY: [&str; 12] = [
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

/// git, which knows of no repository but the one that it is told.
pub fn program() -> Command {
    let mut command = Command::new("git");
    for variable in OF_A_REPOSITORY {
        command.env_remove(variable);
    }
    command
}

/// A git that is to be run. Nothing is asked for, and no word is translated.
pub(super) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = program();
    command.arg("-C").arg(folder).args(arguments).env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    command
}

/// Runs git in a folder, and returns what it prints.
pub(super) fn git(folder: &Path, arguments: &[&str]) -> Result<String, GitError> {
    let output = command(folder, arguments).output().map_err(GitError::NotRun)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(GitError::Failed { line: arguments.join(" "), said })
}
