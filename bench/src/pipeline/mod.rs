//! Compares `e2e plan` and `e2e pipeline` with gitlab-ci-local on the same files, alternately.

mod files;
mod measurement;
mod report;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::measurement::{CONCURRENCY, Measurement, SIZES};
use self::report::Report;
use crate::comparison::Comparison;
use crate::error::{Context, Error};
use crate::page::Page;
use crate::program::{output, time};
use crate::repository;
use crate::tools::{self, Need};
use crate::{machine, progress};

/// Compares the planning and running of pipelines with gitlab-ci-local.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Number of rounds, in which both programs are measured alternately
    #[arg(long, default_value_t = 7, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// The harness's executable
    #[arg(long, default_value = "dist/e2e", value_name = "FILE")]
    e2e: PathBuf,

    /// The directory into which gitlab-ci-local is installed
    #[arg(long, default_value = "target/bench-gitlab-ci-local", value_name = "DIR")]
    install: PathBuf,

    /// The directory for the files of both programs; in memory, because the file operations of one would slow down the other on a disk
    #[arg(long, default_value = "/dev/shm", value_name = "DIR")]
    dir: PathBuf,

    /// Also write the report into this page, between `<!-- bench-pipeline:begin -->` and `<!-- bench-pipeline:end -->`
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// Number of times that the plan of the article's pipeline is measured in each round: it takes milliseconds, and the first one is slower
/// because of cold caches.
const PLANS: u32 = 10;

/// The two programs.
struct Programs {
    e2e: PathBuf,
    gitlab_ci_local: PathBuf,
    /// An empty home directory for gitlab-ci-local, without the user's settings.
    home: PathBuf,
    /// The directory for the temporary files of both programs.
    temporary: PathBuf,
}

/// Measures, and returns the report for the terminal.
pub(crate) fn run(arguments: &Arguments) -> Result<String, Error> {
    let needs = [("git", "git"), ("node", "nodejs"), ("npm", "npm"), ("rsync", "rsync")];
    tools::check(&needs.map(|(command, package)| Need::command(command, package)))?;
    if !arguments.e2e.is_file() {
        let e2e = arguments.e2e.display();
        return Err(Error::Environment(format!("{e2e} is missing (make bench-pipeline builds it)")));
    }
    let page = arguments.write.clone().map(|page| Page::open(page, "bench-pipeline")).transpose()?;
    let dir = arguments.dir.join(format!("bench-pipeline-{}", std::process::id()));
    fs::create_dir_all(&dir).context(dir.display())?;
    let measured = install(&arguments.install).and_then(|gitlab_ci_local| {
        let e2e = std::path::absolute(&arguments.e2e).context("the current directory")?;
        measure(
            arguments.rounds,
            &Programs { e2e, gitlab_ci_local, home: dir.join("home"), temporary: dir.clone() },
            &dir,
        )
    });
    let _ = fs::remove_dir_all(&dir);
    let report = Report {
        machine: machine::describe()?,
        day: machine::today(),
        rounds: arguments.rounds,
        dir: arguments.dir.clone(),
        found: measured?,
    };
    report.write(page)
}

/// Installs the version of gitlab-ci-local in the lock file, unless it is installed already.
fn install(dir: &Path) -> Result<PathBuf, Error> {
    let program = dir.join("node_modules/.bin/gitlab-ci-local");
    let lock = include_str!("../../gitlab-ci-local/package-lock.json");
    let is_installed = fs::read_to_string(dir.join("package-lock.json")).is_ok_and(|known| known == lock);
    if !is_installed || !program.is_file() {
        progress("npm ci");
        fs::create_dir_all(dir).context(dir.display())?;
        fs::write(dir.join("package.json"), include_str!("../../gitlab-ci-local/package.json")).context("npm")?;
        fs::write(dir.join("package-lock.json"), lock).context("npm")?;
        let mut command = Command::new("npm");
        output(command.args(["ci", "--silent", "--no-audit", "--no-fund"]).current_dir(dir))?;
    }
    std::path::absolute(program).context("the current directory")
}

fn measure(rounds: u32, programs: &Programs, dir: &Path) -> Result<Measurement, Error> {
    let article = repository::create(dir, "article", files::ARTICLE)?;
    let mixed = SIZES.map(|size| repository::create(dir, &size.to_string(), &files::mixed(size)));
    let mixed: Vec<PathBuf> = mixed.into_iter().collect::<Result<_, _>>()?;
    let trivial = repository::create(dir, "trivial", &files::trivial(100))?;
    let hundred = mixed.first().ok_or_else(|| Error::Measurement("no sizes".to_owned()))?;
    let mut found = Measurement { extra_jobs: check(programs, &article, hundred)?, ..Measurement::default() };
    for round in 1..=rounds {
        progress(&format!("round {round} of {rounds}"));
        found.article_other.push(programs.list(&article)?);
        found.hundred_other.push(programs.list(hundred)?);
        for _ in 0..PLANS {
            found.article.push(programs.plan(&article)?);
        }
        for (sample, repository) in found.plans.iter_mut().zip(&mixed) {
            sample.push(programs.plan(repository)?);
        }
        found.run_other.push(programs.run_other(&trivial)?);
        found.run.push(programs.run(&trivial)?);
    }
    Ok(found)
}

/// Checks that both programs read the same jobs. For the pipeline `hundred`, both must list the same 100 names. For the article's
/// pipeline, gitlab-ci-local must list at least the jobs that `e2e` lists. Returns the number of jobs that only gitlab-ci-local lists:
/// it does not support `only` and `except`.
fn check(programs: &Programs, article: &Path, hundred: &Path) -> Result<usize, Error> {
    let (ours, theirs) = (programs.names(hundred)?, programs.names_other(hundred)?);
    if ours != theirs || ours.len() != 100 {
        let (ours, theirs) = (ours.len(), theirs.len());
        return Err(Error::Measurement(format!(
            "expected the same 100 jobs from both programs; e2e lists {ours}, gitlab-ci-local {theirs}"
        )));
    }
    let (ours, theirs) = (programs.names(article)?, programs.names_other(article)?);
    if ours.is_subset(&theirs) {
        return Ok(theirs.len() - ours.len());
    }
    Err(Error::Measurement(format!("gitlab-ci-local does not list all jobs of the article's pipeline: {theirs:?}")))
}

impl Programs {
    fn e2e(&self, repository: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.e2e);
        command.args(arguments).env("TMPDIR", &self.temporary).current_dir(repository);
        command
    }

    fn gitlab_ci_local(&self, repository: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.gitlab_ci_local);
        command.args(arguments).env("HOME", &self.home).env("TMPDIR", &self.temporary).current_dir(repository);
        command
    }

    fn plan(&self, repository: &Path) -> Result<f64, Error> {
        time(&mut self.e2e(repository, &["plan"]))
    }

    fn list(&self, repository: &Path) -> Result<f64, Error> {
        time(&mut self.gitlab_ci_local(repository, &["--list"]))
    }

    fn run(&self, repository: &Path) -> Result<f64, Error> {
        let arguments = ["pipeline", "--executor", "shell", "--quiet", "--concurrency", CONCURRENCY];
        time(&mut self.e2e(repository, &arguments))
    }

    fn run_other(&self, repository: &Path) -> Result<f64, Error> {
        time(&mut self.gitlab_ci_local(repository, &["--shell-isolation", "--quiet", "--concurrency", CONCURRENCY]))
    }

    fn names(&self, repository: &Path) -> Result<BTreeSet<String>, Error> {
        let text = output(&mut self.e2e(repository, &["plan", "--format", "json"]))?;
        let plan: serde_json::Value = serde_json::from_str(&text).context("e2e plan")?;
        let jobs = plan["jobs"].as_array().into_iter().flatten();
        Ok(jobs.filter_map(|job| job["name"].as_str()).map(str::to_owned).collect())
    }

    fn names_other(&self, repository: &Path) -> Result<BTreeSet<String>, Error> {
        let text = output(&mut self.gitlab_ci_local(repository, &["--list-csv"]))?;
        // The first line is the header. The first column is the job's name.
        Ok(text.lines().skip(1).filter_map(|line| line.split(';').next()).map(str::to_owned).collect())
    }
}
