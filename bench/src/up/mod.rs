//! Compares `e2e up` with the `kind create cluster` that it contains, on the same base image.

mod measurement;
mod report;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use tokio::process::Command;

use self::measurement::Measurement;
use self::report::Report;
use crate::comparison::Comparison;
use crate::error::{Context, Error};
use crate::page::Page;
use crate::tools::{self, Need};
use crate::{machine, progress};

/// Compares `e2e up` with `kind create cluster`: the time to create a cluster and to delete it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Number of clusters that each program creates, alternately
    #[arg(long, default_value_t = 3, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,

    /// The harness's executable
    #[arg(long, default_value = "target/debug/e2e", value_name = "FILE")]
    e2e: PathBuf,

    /// Also write the report into this page, between `<!-- bench-up:begin -->` and `<!-- bench-up:end -->`
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// The name of all clusters that this benchmark creates.
const NAME: &str = "bench-up";

/// Measures, and returns the report for the terminal.
pub(crate) async fn run(arguments: &Arguments) -> Result<String, Error> {
    tools::check(&[Need::command("kind", "kind"), Need::command("docker", "docker-cli")])?;
    if !arguments.e2e.is_file() {
        let e2e = arguments.e2e.display();
        return Err(Error::Environment(format!("{e2e} is missing: run `cargo build -p e2e` in this directory")));
    }
    let page = arguments.write.clone().map(|page| Page::open(page, "bench-up")).transpose()?;
    let e2e = arguments.e2e.to_string_lossy().into_owned();
    // Obtain the images first, so that no measurement includes it.
    progress("images");
    run_program(&e2e, &["images"]).await?;
    let node = output(&e2e, &["images", "--format", "json", "kind-node-1.37"]).await?;
    let node: serde_json::Value = serde_json::from_str(&node).context("e2e images")?;
    let node = node[0]["reference"].as_str().unwrap_or_default().to_owned();
    let dir = std::env::temp_dir().join(format!("{NAME}-{}", std::process::id()));
    let kubeconfig = dir.with_extension("kubeconfig").to_string_lossy().into_owned();
    let state = dir.to_string_lossy().into_owned();

    let alone = ["create", "cluster", "--name", NAME, "--config", "kind-config.yaml", "--image", &node];
    let alone = [&alone[..], &["--kubeconfig", &kubeconfig]].concat();
    let delete = ["delete", "cluster", "--name", NAME, "--kubeconfig", &kubeconfig];
    let up = ["up", "--quiet", "--name", NAME, "--state-dir", &state];
    let down = ["down", "--name", NAME, "--state-dir", &state];
    // Remove the leftovers of an interrupted measurement.
    run_program("kind", &delete).await?;
    run_program(&e2e, &down).await?;
    // The first cluster builds the node image with the add-ons' images.
    progress("a first cluster, which is not measured");
    run_program(&e2e, &up).await?;
    run_program(&e2e, &down).await?;
    let networks = output("docker", &["network", "ls", "--format", "{{.Name}}"]).await?;
    let mut found = Measurement::default();
    for round in 1..=arguments.rounds {
        progress(&format!("round {round} of {}: kind alone", arguments.rounds));
        found.kind.push(run_program("kind", &alone).await?);
        found.kind_delete.push(run_program("kind", &delete).await?);
        progress(&format!("round {round} of {}: e2e up", arguments.rounds));
        found.up.push(run_program(&e2e, &up).await?);
        found.again.push(run_program(&e2e, &up).await?);
        found.down.push(run_program(&e2e, &down).await?);
    }
    if !networks.lines().any(|network| network == "kind") {
        // kind's own network, which kind keeps for its next cluster.
        run_program("docker", &["network", "rm", "kind"]).await?;
    }
    for left in [PathBuf::from(&state), PathBuf::from(&kubeconfig)] {
        // The kubeconfig is a file, and the state directory is an empty directory. Either may be gone already.
        let _ = std::fs::remove_file(&left).or_else(|_| std::fs::remove_dir(&left));
    }
    let report = Report { machine: machine::describe()?, day: machine::today(), node, rounds: arguments.rounds, found };
    report.write(page)
}

/// Runs a program that must succeed, and returns its duration in seconds.
async fn run_program(program: &str, arguments: &[&str]) -> Result<f64, Error> {
    let started = Instant::now();
    output(program, arguments).await?;
    Ok(started.elapsed().as_secs_f64())
}

async fn output(program: &str, arguments: &[&str]) -> Result<String, Error> {
    let mut command = Command::new(program);
    let command = command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.context(program)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let line = [program].iter().chain(arguments).copied().collect::<Vec<_>>().join(" ");
    Err(Error::Measurement(format!("`{line}` failed: {}", stderr.trim())))
}
