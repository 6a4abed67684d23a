//! `e2e check`

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use clap::ValueEnum;
use container_engine::error_chain::error_chain;
use e2e::checks::about;
use e2e::checks::discovery::discover;
use e2e::checks::environment::Environment;
use e2e::checks::extra_pod::sweep;
use e2e::checks::report::{AccessList, Summary};
use e2e::checks::run;
use e2e::checks::{self, CHECKS, Check};
use e2e::record::check_report::Mode as CheckMode;
use e2e::record::event::{Event, EventSink};
use e2e::record::{Check as CheckRecord, Record, Verdict};
use e2e::report;
use e2e::report::check::history::{History, HistoryError};
use e2e::report::live::{Live, Mode};
use e2e::report::run::junit;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::output::print;
use super::report_config_map::{ReportConfigMap, Stage};
use super::target_args::TargetArgs;
use super::{CliError, EXIT_FAILED, Outcome, write};

/// The format of the result.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs: all results, as in docs/report.schema.json.
    Json,
    /// Statistics of each environment, in the form of Gateway API's conformance report.
    Yaml,
}

/// Checks a deployed environment of the service
///
/// The default is the cluster of `e2e up`, and in a pod the cluster of the pod, with the pod's account; --context or
/// --kubeconfig selects another one. Exit codes: 0 every check that could run passed, 1 a check failed, or a named check
/// could not run, 2 the command line is wrong, 3 the cluster does not answer, or a report cannot be written.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArguments {
    /// Checks that must run; by default, all that can run
    #[arg(value_name = "NAME", value_parser = check)]
    names: Vec<&'static Check>,

    /// List the checks, and what each of them verifies
    #[arg(long)]
    list: bool,

    /// The slug of an environment, the value of the label `ref`; repeatable [default: all in the namespace]
    #[arg(long = "ref", value_name = "REF")]
    references: Vec<String>,

    /// The host of the one environment of --ref [default: that of its Ingress, else `REF.BASE_DOMAIN`]
    #[arg(long, value_name = "HOST", requires = "references")]
    host: Option<String>,

    /// The commit that was deployed to the one environment of --ref [default: the one in the Deployment's annotation]
    #[arg(long, value_name = "COMMIT", requires = "references")]
    commit: Option<String>,

    /// Change nothing in the cluster: read objects, and send requests through its API server
    #[arg(long, conflicts_with = "report_configmap")]
    read_only: bool,

    /// Another environment of the service, whose pods must not answer for this host; repeatable [default: those that are
    /// checked as well]
    #[arg(long = "other", value_name = "REF=HOST", value_parser = other)]
    others: Vec<(String, String)>,

    /// Maximum time to wait for each expected state
    #[arg(long, default_value = "2m", value_name = "DURATION", value_parser = humantime::parse_duration)]
    patience: Duration,

    #[command(flatten)]
    target_args: TargetArgs,

    /// The format of the result
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    format: Format,

    /// Also write a `JUnit` report for a CI system
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Also write a page for a browser, with commands that reproduce each result
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Also append a line per check to this CSV file
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,

    /// Also write the result, the table, the JSON and the `JUnit` report to this `ConfigMap`, in the namespace of the pod or
    /// else of the context
    #[arg(long, value_name = "NAME")]
    report_configmap: Option<String>,

    /// Print nothing before the result
    #[arg(long, short)]
    quiet: bool,
}

fn check(name: &str) -> Result<&'static Check, String> {
    checks::find(name).map_err(|nearest| {
        let names = CHECKS.iter().map(|check| check.name).collect::<Vec<_>>().join(", ");
        format!("unknown check, did you mean `{nearest}`? The checks are {names}")
    })
}

fn other(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(reference, host)| !reference.is_empty() && !host.is_empty());
    pair.map(|(reference, host)| (reference.to_owned(), host.to_owned())).ok_or_else(|| "expected REF=HOST".to_owned())
}

/// Runs the checks, and prints the result.
pub(crate) async fn run(arguments: CheckArguments, cancel: CancellationToken) -> Outcome {
    if arguments.list {
        write(&report::checks::list(CHECKS))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (host, commit) = (arguments.host, arguments.commit);
    if arguments.references.len() > 1 && (host.is_some() || commit.is_some()) {
        return Err(CliError::Usage("--host and --commit are those of one environment: give one --ref".to_owned()));
    }
    let mut selection = arguments.target_args.selection(arguments.references, arguments.read_only);
    selection.host = host;
    let mut target = arguments.target_args.answering_target().await?;
    target.patience = arguments.patience;
    let history = arguments.history.as_deref().map(History::open).transpose().map_err(history_error)?;
    let config_map = match &arguments.report_configmap {
        Some(name) => Some(ReportConfigMap::begin(&target.client, name).await?),
        None => None,
    };
    let found = tokio::select! {
        found = discover(&target, &selection) => found,
        () = cancel.cancelled() => return Err(CliError::Interrupted),
    };
    let found = match (found, &config_map) {
        (Ok(found), _) => found,
        (Err(error), None) => return Err(error.into()),
        (Err(error), Some(config_map)) => {
            config_map.end(Stage::Failed, &[("report.txt", &format!("{}\n", error_chain(&error)))]).await?;
            return Err(error.into());
        }
    };
    if !arguments.quiet {
        print(&report::discovery::text(&found.choices));
    }
    let mut environments = found.environments.clone();
    for environment in &mut environments {
        environment.commit.clone_from(&commit);
        environment.others.extend(arguments.others.iter().cloned());
    }
    let are_named = !arguments.names.is_empty();
    let chosen = if arguments.names.is_empty() { CHECKS.iter().collect() } else { arguments.names };
    let live = Live::new(if arguments.quiet { Mode::Quiet } else { Mode::People });
    let show = |event: &Event<'_>| live.show(event);
    let began_at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let started = Instant::now();
    let run = async { tokio::join!(run_all(&chosen, &environments, started, &show), about::cluster(&target.client)) };
    let (checks, cluster) = tokio::select! {
        ended = live.watch(run) => ended,
        () = cancel.cancelled() => {
            // An interrupted check has not removed its pod.
            join_all(environments.iter().map(sweep)).await;
            if let Some(config_map) = &config_map {
                config_map.end(Stage::Interrupted, &[]).await?;
            }
            return Err(CliError::Interrupted);
        }
    };
    // The result is printed after the progress of the checks.
    drop(live);
    let is_failed = is_failed(&checks, are_named);
    let (duration, verdict) =
        (started.elapsed().as_secs_f64(), if is_failed { Verdict::Failed } else { Verdict::Passed });
    let text = report::checks::text(&checks);
    let record = Record { began_at: began_at.clone(), duration, verdict, checks: checks.clone(), ..Record::default() };
    let junit = junit::xml(&record)?;
    let mode = if arguments.read_only { CheckMode::ReadOnly } else { CheckMode::Default };
    let summary = Summary { began_at, duration, verdict, mode };
    let accesses = AccessList::new(&found, &target.kubectl);
    let report = checks::report::report(summary, cluster, &found.choices, &accesses, checks);
    let json = report::check::json::text(&report)?;
    // A failure to write one output must not prevent the others.
    let stored = match &config_map {
        Some(config_map) => {
            let stage = if is_failed { Stage::Failed } else { Stage::Passed };
            config_map.end(stage, &[("report.txt", &text), ("junit.xml", &junit), ("report.json", &json)]).await
        }
        None => Ok(()),
    };
    let written = [
        arguments.junit.as_deref().map_or(Ok(()), |path| write_file(path, &junit)),
        arguments.html.as_deref().map_or(Ok(()), |path| write_file(path, &report::check::html::page(&report))),
    ];
    let appended = history.map_or(Ok(()), |history| history.append(&report).map_err(history_error));
    write(&match arguments.format {
        Format::Table => text,
        Format::Json => json,
        Format::Yaml => report::check::yaml::text(&report)?,
    })?;
    written.into_iter().chain([stored, appended]).collect::<Result<(), CliError>>()?;
    Ok(ExitCode::from(if is_failed { EXIT_FAILED } else { 0 }))
}

fn write_file(path: &Path, text: &str) -> Result<(), CliError> {
    fs::write(path, text).map_err(|error| CliError::environment(format!("{}: {error}", path.display())))
}

fn history_error(error: HistoryError) -> CliError {
    match error {
        HistoryError::OtherHeader { .. } => CliError::InvalidFile(error.to_string()),
        HistoryError::File { .. } => error.into(),
    }
}

/// Checks one environment after the other: checks restart the pods of an environment.
async fn run_all(
    checks: &[&'static Check],
    environments: &[Environment],
    started: Instant,
    show: &EventSink<'_>,
) -> Vec<CheckRecord> {
    let mut all = Vec::new();
    for environment in environments {
        all.extend(run::run(checks, environment, started, show).await);
    }
    all
}

/// A check that the user named and that did not run is a failure.
fn is_failed(checks: &[CheckRecord], are_named: bool) -> bool {
    checks.iter().any(|check| match check.verdict {
        Verdict::Passed => false,
        Verdict::NotRun => are_named,
        Verdict::Failed | Verdict::Interrupted => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_check_that_does_not_run_is_a_failure() {
        let check = |verdict| CheckRecord { verdict, ..CheckRecord::default() };
        let (passed, not_run, failed) = (check(Verdict::Passed), check(Verdict::NotRun), check(Verdict::Failed));
        let is_failed = |checks: &[&CheckRecord], are_named| {
            is_failed(&checks.iter().map(|check| (*check).clone()).collect::<Vec<_>>(), are_named)
        };
        assert!(!is_failed(&[&passed, &not_run], false));
        assert!(!is_failed(&[&passed], true));
        assert!(is_failed(&[&passed, &not_run], true));
        assert!(is_failed(&[&passed, &failed], false));
    }
}
