//! The Go service: `bench/go-service`, built from Debian's packages so that nothing is downloaded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::error::{Context, Error};
use crate::progress;
use crate::tools::Need;

/// What its build needs.
pub(crate) const NEEDS: &[Need] = &[
    Need::command("go", "golang-go"),
    Need::path(
        "/usr/share/gocode/src/github.com/prometheus/client_golang/prometheus/promhttp",
        "golang-github-prometheus-client-golang-dev",
    ),
];

/// Where Debian puts the sources of Go packages.
const DEBIAN_GOPATH: &str = "/usr/share/gocode";

/// Below `target`, which is nobody's to commit.
const PROGRAM: &str = "target/bench/go-service";

/// A first build compiles the client library and what it needs, too.
const PATIENCE: Duration = Duration::from_mins(5);

/// Builds it as the Rust service is built: static and stripped.
pub(crate) async fn build() -> Result<PathBuf, Error> {
    progress("building the Go service");
    let program = Path::new(PROGRAM);
    fs::create_dir_all(program.parent().unwrap_or(program)).context("cannot make a folder for the Go service")?;
    let output = Command::new("go")
        .args(["build", "-trimpath", "-ldflags", "-s -w", "-o", PROGRAM, "./bench/go-service"])
        .envs([("CGO_ENABLED", "0"), ("GO111MODULE", "off"), ("GOFLAGS", ""), ("GOPATH", DEBIAN_GOPATH)])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, output).await.context("go build does not end")?.context("cannot run go")?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(Error::Measurement(format!("go build failed: {}", why.trim())));
    }
    program.canonicalize().context(PROGRAM)
}
