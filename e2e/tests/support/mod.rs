//! Helpers for tests that run real programs.

#![allow(dead_code, reason = "every test program uses its own part of it")]
#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The project's directory.
pub(crate) fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The harness, in the project's directory.
pub(crate) fn e2e(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_e2e"));
    command.current_dir(project()).args(arguments);
    command
}

/// Runs a program that must succeed, and returns what it wrote to standard output.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{error}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Runs a program that must fail, and returns what it wrote to standard error.
pub(crate) fn fail(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{command:?} succeeded: {}", String::from_utf8_lossy(&output.stdout));
    error(&output)
}

/// The standard error of a program.
pub(crate) fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs the engine's client, which must succeed.
pub(crate) fn docker(arguments: &[&str]) -> String {
    run(Command::new("docker").args(arguments))
}

/// Obtains an image of the catalog, and returns its reference.
pub(crate) fn image(name: &str) -> String {
    let images = run(&mut e2e(&["images", "--format", "json", name]));
    let images: serde_json::Value = serde_json::from_str(&images).unwrap();
    images[0]["reference"].as_str().unwrap().to_owned()
}

/// Retries until `ask` succeeds, and fails with its last error if that takes longer than `timeout`.
pub(crate) fn eventually<T>(what: &str, timeout: Duration, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    // Less and less often: most questions start a program, which would take time from what is waited for.
    let mut pause = Duration::from_millis(100);
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(error) => assert!(started.elapsed() < timeout, "{what}, after {timeout:?}: {error}"),
        }
        std::thread::sleep(pause);
        pause = (pause * 3 / 2).min(Duration::from_secs(1));
    }
}
