//! Programs that are run, and what is told when one fails.

use std::fmt;
use std::fs::{self, File};
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use container_engine::labels;

/// What every program that is run from here has in its environment.
static MARK: OnceLock<String> = OnceLock::new();

/// Marks all programs that are run from now on as run for `cluster`, so that they can be found when this one was killed.
pub fn mark(cluster: &str) {
    // A second mark is for the same cluster: the program works on one.
    let _ = MARK.set(cluster.to_owned());
}

/// How many of a failed program's last lines are kept.
const LAST_LINES: usize = 20;

/// A program that did not do what it was run for.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It is not installed, or may not be run.
    #[error("`{line}` cannot be run")]
    NotRun {
        /// The program and its arguments.
        line: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It ended with another code than 0.
    #[error("`{line}` ended with {status}{}", LastLines(.output))]
    Failed {
        /// The program and its arguments.
        line: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines that it wrote, to standard error and else to standard output.
        output: String,
    },
    /// It took too long and was killed.
    #[error("`{line}` did not end within {limit:?}")]
    TimedOut {
        /// The program and its arguments.
        line: String,
        /// How long it may take.
        limit: Duration,
    },
}

/// Runs `program` with `arguments` for at most `limit`, and returns what it wrote to standard output.
///
/// It leads a process group of its own, so that a Ctrl-C on the terminal reaches this program alone, which decides.
///
/// # Errors
/// When it cannot be run, fails or takes too long.
pub async fn run(program: &str, arguments: &[&str], limit: Duration) -> Result<String, CommandError> {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (line, output) = output(command, limit).await?;
    let standard_output = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(standard_output);
    }
    let standard_error = String::from_utf8_lossy(&output.stderr);
    let said = if standard_error.trim().is_empty() { &standard_output } else { &*standard_error };
    Err(CommandError::Failed { line, status: output.status, output: last_lines(said) })
}

/// Runs `command` for at most `limit`, with all that it writes going to the file `log`.
///
/// # Errors
/// When it cannot be run, fails or takes too long.
pub async fn run_logged(mut command: Command, log: &Path, limit: Duration) -> Result<(), CommandError> {
    let line = line(&command);
    let not_run = |source| CommandError::NotRun { line: line.clone(), source };
    let file = File::create(log).map_err(not_run)?;
    command.stdout(file.try_clone().map_err(not_run)?).stderr(file);
    let (line, output) = output(command, limit).await?;
    if output.status.success() {
        return Ok(());
    }
    // What cannot be read again is in the file all the same.
    let said = fs::read_to_string(log).unwrap_or_default();
    let output_text = format!("{}\nthe whole log is {}", last_lines(&said), log.display());
    Err(CommandError::Failed { line, status: output.status, output: output_text })
}

async fn output(mut command: Command, limit: Duration) -> Result<(String, Output), CommandError> {
    let line = line(&command);
    let not_run = |source| CommandError::NotRun { line: line.clone(), source };
    if let Some(cluster) = MARK.get() {
        command.env(labels::VARIABLE, cluster);
    }
    let child = command.stdin(Stdio::null()).process_group(0).spawn().map_err(not_run)?;
    let mut group = ProcessGroup::of(&child);
    let output = tokio::time::timeout(limit, child.wait_with_output()).await;
    let output = output.map_err(|_| CommandError::TimedOut { line: line.clone(), limit })?.map_err(not_run)?;
    group.ended();
    Ok((line, output))
}

/// The program and its arguments.
fn line(command: &Command) -> String {
    let command = command.as_std();
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A program and all that it has started. They are asked to end when this is dropped before they have: when the caller
/// gives up, or was itself given up.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    fn ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may have ended in this moment.
            let _ = kill_process_group(leader, Signal::TERM);
        }
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

struct LastLines<'output>(&'output str);

impl fmt::Display for LastLines<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.lines().try_for_each(|line| write!(formatter, "\n  {line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn what_a_program_writes_is_returned() {
        assert_eq!(run("echo", &["a", "b"], LIMIT).await.unwrap(), "a b\n");
    }

    #[tokio::test]
    async fn a_failure_has_the_last_lines() {
        let error = run("sh", &["-c", "seq 30 >&2; exit 7"], LIMIT).await.unwrap_err().to_string();
        assert!(error.starts_with("`sh -c seq 30 >&2; exit 7` ended with exit status: 7\n  11\n"), "{error}");
        assert!(error.ends_with("\n  30"), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there() {
        let error = run("no-such-program", &["x"], LIMIT).await.unwrap_err();
        assert_eq!(error.to_string(), "`no-such-program x` cannot be run");
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_killed() {
        // What it has started ends with it: `sleep` would otherwise write the file.
        let file = std::env::temp_dir().join(format!("e2e-command-{}", std::process::id()));
        let script = format!("(sleep 1; touch {0}) & sleep 1000", file.display());
        let error = run("sh", &["-c", &script], Duration::from_millis(50)).await.unwrap_err();
        assert!(error.to_string().ends_with("did not end within 50ms"), "{error}");
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(!file.exists());
    }
}
