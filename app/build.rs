//! Puts the facts of the build into the binary, where `build_info.rs` reads them.
//!
//! Each fact comes from the environment or from the commit, and none from a clock: two builds of the same commit are
//! byte-identical.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    watch_git_head();
    // GitLab's variables take precedence: in a job the checkout is a detached HEAD without a branch.
    emit("BUILD_VERSION", &["VERSION", "CI_COMMIT_TAG"], || env::var("CARGO_PKG_VERSION").ok());
    emit("BUILD_REVISION", &["CI_COMMIT_SHA"], || git(&["rev-parse", "HEAD"]));
    emit("BUILD_BRANCH", &["CI_COMMIT_REF_NAME"], || git(&["rev-parse", "--abbrev-ref", "HEAD"]));
    emit("BUILD_USER", &["BUILD_USER", "GITLAB_USER_LOGIN"], || None);
    // Seconds since 1970-01-01 UTC. https://reproducible-builds.org/specs/source-date-epoch/
    emit("BUILD_DATE", &["SOURCE_DATE_EPOCH"], || git(&["log", "-1", "--format=%ct"]));
    emit("BUILD_RUSTC", &[], || {
        let rustc = env::var("RUSTC").ok()?;
        output_of(Command::new(rustc).arg("--version"))
    });
}

/// Sets the compile-time variable `name` to the first of `variables` that is not empty, else to `otherwise`.
fn emit(name: &str, variables: &[&str], otherwise: impl FnOnce() -> Option<String>) {
    for variable in variables {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let value = variables
        .iter()
        .find_map(|variable| env::var(variable).ok().filter(|value| !value.is_empty()))
        .or_else(otherwise)
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env={name}={value}");
}

/// Runs this script again when another commit or branch is checked out.
fn watch_git_head() {
    println!("cargo::rerun-if-changed=build.rs");
    // The log of HEAD grows with every commit. A fresh clone may have only HEAD.
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    output_of(Command::new("git").args(arguments))
}

/// The first line that a command prints, or `None` if the command fails or is not installed.
fn output_of(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(str::to_owned)
}
