//! Runs programs.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::error::{Context, Error};

/// Runs a program that must succeed, and returns its duration in seconds.
pub(crate) fn time(command: &mut Command) -> Result<f64, Error> {
    let started = Instant::now();
    output(command.stdout(Stdio::null()))?;
    Ok(started.elapsed().as_secs_f64())
}

/// Runs a program that must succeed, and returns what it writes to standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, Error> {
    let program = command.get_program().to_owned();
    let run = command.stdin(Stdio::null()).output();
    let output = run.context(format_args!("cannot run {}", program.display()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(Error::Measurement(format!("{command:?} failed: {}", stderr.trim())))
}
