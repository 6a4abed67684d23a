//! Runs external programs, and reports the last lines of one that fails.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use private_dir::PrivateDir;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use container_engine::labels;

/// The name of the cluster, which every program started here gets in its environment.
static CLUSTER_NAME: OnceLock<String> = OnceLock::new();

/// Sets the cluster that all programs started from now on belong to, so that `e2e down` finds them after this process was killed.
pub fn set_cluster(cluster: &str) {
    // A process works on one cluster only, so a second call sets the same name.
    let _ = CLUSTER_NAME.set(cluster.to_owned());
}

/// Number of lines of a failed program's output that the error keeps.
const MAX_LINES: usize = 20;

/// A program could not be started, failed or timed out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The program is not installed or not executable.
    #[error("cannot run `{line}`")]
    NotRun {
        /// The program and its arguments.
        line: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The log file cannot be created.
    #[error("cannot create the log {}", path.display())]
    Log {
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The program exited with a code other than 0, or a signal killed it.
    #[error("`{line}` failed with {status}{}", IndentedLines(.output))]
    Failed {
        /// The program and its arguments.
        line: String,
        /// The exit code or signal.
        status: ExitStatus,
        /// The last lines of standard error, or of standard output if standard error is empty.
        output: String,
    },
    /// The program exceeded its time limit and was terminated.
    #[error("`{line}` did not finish within {limit:?}")]
    TimedOut {
        /// The program and its arguments.
        line: String,
        limit: Duration,
    },
}

/// Quotes a word for a shell if necessary.
pub fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-:@+=,".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Runs `program` with `arguments` for at most `limit`, and returns its standard output.
///
/// The program gets its own process group, so that Ctrl-C on the terminal reaches only `e2e`, which then stops the program.
///
/// # Errors
/// If the program cannot be started, fails or exceeds `limit`.
pub async fn run(program: &str, arguments: &[&str], limit: Duration) -> Result<String, CommandError> {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (line, output) = output(command, limit).await?;
    let standard_output = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(standard_output);
    }
    let standard_error = String::from_utf8_lossy(&output.stderr);
    let text = if standard_error.trim().is_empty() { &standard_output } else { &*standard_error };
    Err(CommandError::Failed { line, status: output.status, output: last_lines(text) })
}

/// Runs `command` for at most `limit`, and writes its standard output and standard error to the file `log`.
///
/// # Errors
/// If the program cannot be started, fails or exceeds `limit`.
pub async fn run_logged(mut command: Command, log: &Path, limit: Duration) -> Result<(), CommandError> {
    let line = line(&command);
    let not_run = |source| CommandError::NotRun { line: line.clone(), source };
    let file = create_log(log).map_err(|source| CommandError::Log { path: log.to_owned(), source })?;
    command.stdout(file.try_clone().map_err(not_run)?).stderr(file);
    let (line, output) = output(command, limit).await?;
    if output.status.success() {
        return Ok(());
    }
    // If the log cannot be read, the error still names the file.
    let text = fs::read_to_string(log).unwrap_or_default();
    let output_text = format!("{}\nsee the complete log in {}", last_lines(&text), log.display());
    Err(CommandError::Failed { line, status: output.status, output: output_text })
}

/// Creates a log file and its directory. Whatever has the name of the file is removed before; a link is not followed.
fn create_log(path: &Path) -> std::io::Result<File> {
    let dir = PrivateDir::open_chosen(path.parent().unwrap_or(Path::new(".")))?;
    let name = path.file_name().unwrap_or_default();
    dir.remove_file(name)?;
    dir.create_file(name)
}

async fn output(mut command: Command, limit: Duration) -> Result<(String, Output), CommandError> {
    let line = line(&command);
    let not_run = |source| CommandError::NotRun { line: line.clone(), source };
    if let Some(cluster) = CLUSTER_NAME.get() {
        command.env(labels::CLUSTER_VARIABLE, cluster);
    }
    let child = command.stdin(Stdio::null()).process_group(0).spawn().map_err(not_run)?;
    let mut group = ProcessGroup::new(&child);
    let output = tokio::time::timeout(limit, child.wait_with_output()).await;
    let output = output.map_err(|_| CommandError::TimedOut { line: line.clone(), limit })?.map_err(not_run)?;
    group.disarm();
    Ok((line, output))
}

/// The program and its arguments.
fn line(command: &Command) -> String {
    let command = command.as_std();
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The process group of a program and its descendants. If this is dropped before the program has ended (the time limit is exceeded,
/// or the caller's future is dropped), the group gets SIGTERM.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn new(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // The group may have ended just now.
            let _ = kill_process_group(leader, Signal::TERM);
        }
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(MAX_LINES)..].join("\n")
}

struct IndentedLines<'output>(&'output str);

impl fmt::Display for IndentedLines<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.lines().try_for_each(|line| write!(formatter, "\n  {line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn standard_output_is_returned() {
        assert_eq!(run("echo", &["a", "b"], LIMIT).await.unwrap(), "a b\n");
    }

    #[tokio::test]
    async fn a_failure_shows_the_last_lines() {
        let error = run("sh", &["-c", "seq 30 >&2; exit 7"], LIMIT).await.unwrap_err().to_string();
        assert!(error.starts_with("`sh -c seq 30 >&2; exit 7` failed with exit status: 7\n  11\n"), "{error}");
        assert!(error.ends_with("\n  30"), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_installed_is_an_error() {
        let error = run("no-such-program", &["x"], LIMIT).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot run `no-such-program x`");
    }

    #[tokio::test]
    async fn a_program_that_times_out_is_terminated_with_its_children() {
        // If its child survived, `touch` would create the file.
        let file = std::env::temp_dir().join(format!("e2e-command-{}", std::process::id()));
        let script = format!("(sleep 1; touch {0}) & sleep 1000", file.display());
        let error = run("sh", &["-c", &script], Duration::from_millis(50)).await.unwrap_err();
        assert!(error.to_string().ends_with("did not finish within 50ms"), "{error}");
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(!file.exists());
    }
}
