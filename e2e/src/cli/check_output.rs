//! The forms in which `e2e check` writes its results.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use e2e::record::check_report::CheckReport;
use e2e::record::{Record, Verdict};
use e2e::report;
use e2e::report::check::history::{History, HistoryError};
use e2e::report::run::junit;
use e2e::scenario::temporary::namespace::NamespaceError;
use kube::Client;

use super::report_config_map::{ReportConfigMap, Stage};
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

/// Where the results go.
#[derive(Debug, clap::Args)]
pub(crate) struct OutputArgs {
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
}

/// The results of the checks.
pub(crate) struct Examined {
    pub(crate) record: Record,
    pub(crate) report: CheckReport,
    /// The removal of what was deployed for the checks.
    pub(crate) removal: Result<(), NamespaceError>,
}

/// The outputs that must be available before the checks run.
pub(crate) struct Output<'arguments> {
    arguments: &'arguments OutputArgs,
    history: Option<History>,
    config_map: Option<ReportConfigMap>,
}

impl OutputArgs {
    /// Opens the history and the `ConfigMap`.
    pub(crate) async fn open(&self, client: &Client) -> Result<Output<'_>, CliError> {
        let history = self.history.as_deref().map(History::open).transpose().map_err(history_error)?;
        let config_map = match &self.report_configmap {
            Some(name) => Some(ReportConfigMap::begin(client, name).await?),
            None => None,
        };
        Ok(Output { arguments: self, history, config_map })
    }
}

impl Output<'_> {
    /// Writes that there are no results. Returns the reason, or why that cannot be written.
    pub(crate) async fn fail(self, error: CliError) -> CliError {
        match &self.config_map {
            Some(config_map) => config_map.fail(error).await,
            None => error,
        }
    }

    /// Writes the results in all forms that the user wants. Each reader gets them, whatever happens to the other ones.
    pub(crate) async fn publish(self, examined: Examined) -> Outcome {
        let Self { arguments, history, config_map } = self;
        let Examined { record, report, removal } = examined;
        let is_failed = record.verdict == Verdict::Failed;
        let (text, json) = (report::checks::text(&record.checks), report::check::json::text(&report)?);
        let junit = junit::xml(&record)?;
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
        let removed = removal.map_err(CliError::from);
        written.into_iter().chain([stored, appended, removed]).collect::<Result<(), CliError>>()?;
        Ok(ExitCode::from(if is_failed { EXIT_FAILED } else { 0 }))
    }
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
