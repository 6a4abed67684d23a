//! The Go service: `bench/go-service`, a Go module. Its first build downloads modules, as configured in Go's settings.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use std::{env, fs};

use tokio::process::Command;
use tokio::time::timeout;

use crate::error::{Context, Error};
use crate::progress;
use crate::tools::Need;

/// The compiler. `go` itself reports if it is older than `go.mod` requires.
pub(crate) const NEED: Need = Need::command("go", "golang-go");

const MODULE: &str = "bench/go-service";

/// Below `target`, which git ignores.
const PROGRAM: &str = "target/bench/go-service";

/// The first build also downloads and compiles the client library.
const TIMEOUT: Duration = Duration::from_mins(5);

/// Builds the service like the Rust service: static and stripped.
pub(crate) async fn build() -> Result<PathBuf, Error> {
    progress("building the Go service");
    let program = Path::new(PROGRAM);
    fs::create_dir_all(program.parent().unwrap_or(program)).context("cannot create a directory for the Go service")?;
    let absolute = env::current_dir().context("cannot find the current directory")?.join(PROGRAM);
    let output = Command::new("go")
        .args(["build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o"])
        .arg(&absolute)
        .current_dir(MODULE)
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(TIMEOUT, output).await.context("go build does not end")?.context("cannot run go")?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(Error::Measurement(format!("go build failed: {}", reason.trim())));
    }
    program.canonicalize().context(PROGRAM)
}
