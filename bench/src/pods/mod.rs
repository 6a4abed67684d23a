//! Compares jobs in pods with kubectl on the same cluster, the same node and the same image.

mod kubectl;
mod measurement;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::kubectl::Kubectl;
use self::measurement::Measurement;
use self::report::Report;
use crate::comparison::Comparison;
use crate::error::{Context, Error};
use crate::page::Page;
use crate::program::{output, time};
use crate::repository;
use crate::tools::{self, Need};
use crate::{machine, progress};

/// Compares jobs in pods with bare pods: the time of one job, of many parallel jobs, and of a large output.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Number of rounds, in which both programs are measured alternately
    #[arg(long, default_value_t = 5, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// Number of parallel jobs
    #[arg(long, default_value_t = 50, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=90))]
    jobs: u32,

    /// The size of the output of one job, in megabytes
    #[arg(long, default_value_t = 200, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
    megabytes: u32,

    /// The harness's executable
    #[arg(long, default_value = "dist/e2e", value_name = "FILE")]
    e2e: PathBuf,

    /// The directory of the clusters of `e2e up`, one of which must be running
    #[arg(long, default_value = "target/e2e/clusters", value_name = "DIR")]
    state: PathBuf,

    /// Also write the report into this page, between `<!-- bench-pods:begin -->` and `<!-- bench-pods:end -->`
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// The image of all pods: Debian with a shell.
const IMAGE: &str = "debian-forky";

/// The name of the cluster that `e2e up` creates.
const CLUSTER: &str = "gitlab-ci-k8s-demo";

/// Measures, and returns the report for the terminal.
pub(crate) fn run(arguments: &Arguments) -> Result<String, Error> {
    tools::check(
        &[("git", "git"), ("kubectl", "kubernetes-client")].map(|(name, package)| Need::command(name, package)),
    )?;
    if !arguments.e2e.is_file() {
        let e2e = arguments.e2e.display();
        return Err(Error::Environment(format!("{e2e} is missing (make bench-pods builds it)")));
    }
    let kubeconfig = arguments.state.join(CLUSTER).join("kubeconfig");
    if !kubeconfig.is_file() {
        return Err(Error::Environment(format!("{} is missing: run `make up`", kubeconfig.display())));
    }
    let page = arguments.write.clone().map(|page| Page::open(page, "bench-pods")).transpose()?;
    let image = reference(&arguments.e2e)?;
    let kubectl = Kubectl::new(&kubeconfig, &image)?;
    let dir = std::env::temp_dir().join(format!("bench-pods-{}", std::process::id()));
    fs::create_dir_all(&dir).context(dir.display())?;
    let measured = measure(arguments, &kubectl, &dir);
    let _ = fs::remove_dir_all(&dir);
    let report = Report {
        machine: machine::describe()?,
        day: machine::today(),
        rounds: arguments.rounds,
        jobs: arguments.jobs,
        megabytes: arguments.megabytes,
        found: measured?,
    };
    report.write(page)
}

/// The reference of the image on the node.
fn reference(e2e: &Path) -> Result<String, Error> {
    let text = output(Command::new(e2e).args(["images", "--format", "json", IMAGE]))?;
    let images: serde_json::Value = serde_json::from_str(&text).context("e2e images")?;
    Ok(images[0]["reference"].as_str().unwrap_or_default().to_owned())
}

fn measure(arguments: &Arguments, kubectl: &Kubectl, dir: &Path) -> Result<Measurement, Error> {
    let job = |name: &str, script: &str| format!("{name}:\n  image: {IMAGE}\n  script:\n    - {script}\n");
    let megabytes = arguments.megabytes;
    let print = kubectl::print_command(megabytes);
    let one = repository::create(dir, "one", &job("job", "exit 0"))?;
    let many: String = (0..arguments.jobs).map(|number| job(&format!("job-{number}"), "exit 0")).collect();
    let many = repository::create(dir, "many", &many)?;
    let large = repository::create(dir, "large", &job("job", &print))?;
    let config = dir.join("config.toml");
    // In KiB. The default is 4 MiB. The log also has a prefix of 32 bytes before each line, which counts towards the limit.
    fs::write(&config, format!("[[runners]]\noutput_limit = {}\n", megabytes * 2048)).context("config.toml")?;
    let jobs = arguments.jobs.to_string();
    let config = ["--config", &config.to_string_lossy()].map(str::to_owned);
    let pipeline = |repository: &Path, more: &[&str]| {
        let mut command = Command::new(&arguments.e2e);
        command.args(["pipeline", "--executor", "kubernetes", "--namespace", kubectl::NAMESPACE, "--quiet"]);
        command.arg("--directory").arg(repository).args(more);
        time(&mut command)
    };
    progress("a first job, which is not measured: it copies the image to the node");
    pipeline(&one, &[])?;
    let mut found = Measurement::default();
    for round in 1..=arguments.rounds {
        progress(&format!("round {round} of {}", arguments.rounds));
        found.one_bare.push(kubectl.one()?);
        found.one.push(pipeline(&one, &[])?);
        found.many_bare.push(kubectl.many(arguments.jobs)?);
        found.many.push(pipeline(&many, &["--concurrency", &jobs])?);
        let (bare, before) = (kubectl.output(megabytes)?, pipeline(&one, &[])?);
        let duration = pipeline(&large, &[&*config[0], &*config[1]])?;
        found.output_bare.push(f64::from(megabytes) / bare);
        found.output.push(f64::from(megabytes) / (duration - before));
    }
    Ok(found)
}
