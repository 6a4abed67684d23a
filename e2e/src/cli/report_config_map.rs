//! A report in a `ConfigMap`, for a Job: its pod and the pod's files and logs do not outlive the Job.

use std::collections::BTreeMap;
use std::time::SystemTime;

use container_engine::error_chain::error_chain;
use e2e::environment::cluster::ApiError;
use e2e::environment::cluster::apply::MANAGER;
use e2e::report::printable::printable;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::{CliError, print};

/// The API server accepts 1 MiB of values. The rest of it is for the values that are not documents.
/// <https://kubernetes.io/docs/concepts/configuration/configmap/#motivation>
const MAX_BYTES: usize = (1 << 20) - 4096;

/// The end of a document that was cut.
const CUT: &str = "\n… the rest does not fit into a ConfigMap; the log of the pod has all of it\n";

/// How a run has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    Passed,
    Failed,
    Interrupted,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A `ConfigMap` that contains only the report.
pub(crate) struct ReportConfigMap {
    api: Api<ConfigMap>,
    /// The namespace and the name.
    path: String,
    name: String,
    started: String,
}

impl ReportConfigMap {
    /// Creates or clears the `ConfigMap` in the client's namespace, which is that of the pod if the client has its account. This
    /// prevents the report of an earlier run from being mistaken for that of this run, and finds a missing permission at the start.
    ///
    /// # Errors
    /// If the API server rejects it, for example because the account lacks the permission.
    pub(crate) async fn begin(client: &Client, name: &str) -> Result<Self, CliError> {
        let (api, path) = (Api::default_namespaced(client.clone()), format!("{}/{name}", client.default_namespace()));
        let config_map = Self { api, path, name: name.to_owned(), started: now() };
        config_map.write("running", None, &[]).await?;
        Ok(config_map)
    }

    /// Writes the result, with as many of the documents as fit.
    ///
    /// # Errors
    /// If the API server rejects it.
    pub(crate) async fn end(&self, stage: Stage, documents: &[(&str, &str)]) -> Result<(), CliError> {
        self.write(stage.name(), Some(now()), documents).await
    }

    /// Writes that there are no results. Returns the reason, or why that cannot be written.
    pub(crate) async fn fail(&self, error: CliError) -> CliError {
        let ended = match &error {
            CliError::Interrupted => self.end(Stage::Interrupted, &[]).await,
            _ => self.end(Stage::Failed, &[("report.txt", &format!("{}\n", error.text()))]).await,
        };
        ended.err().unwrap_or(error)
    }

    /// Server-side apply removes the keys that this manager has written before, and that are not among the new ones.
    async fn write(&self, result: &str, finished: Option<String>, documents: &[(&str, &str)]) -> Result<(), CliError> {
        let (mut data, omitted) = fitted(documents, MAX_BYTES);
        if !omitted.is_empty() {
            let omitted = format!("{}: larger than a ConfigMap, which holds 1 MiB", omitted.join(", "));
            print(&format!("e2e: ConfigMap {} lacks {omitted}", self.path));
            data.insert("omitted".to_owned(), omitted);
        }
        data.insert("result".to_owned(), result.to_owned());
        data.insert("started".to_owned(), self.started.clone());
        data.extend(finished.map(|finished| ("finished".to_owned(), finished)));
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": self.name}, "data": data});
        // Force takes over the fields that a user has changed.
        let written = self.api.patch(&self.name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(object)).await;
        written.map(drop).map_err(|error| {
            let reason = error_chain(&ApiError::from(error));
            let needed = "the account of this program needs permission to create and patch ConfigMaps";
            CliError::environment(format!("cannot write the report to ConfigMap {}: {reason}; {needed}", self.path))
        })
    }
}

fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// As many documents as fit into `max` bytes, in this order, and the names of the others. The first one is cut if it is too large.
fn fitted(documents: &[(&str, &str)], max: usize) -> (BTreeMap<String, String>, Vec<String>) {
    let (mut data, mut omitted, mut rest) = (BTreeMap::new(), Vec::new(), max);
    for (index, (name, text)) in documents.iter().enumerate() {
        let mut text = printable(text).into_owned();
        if index == 0 && text.len() > max {
            text.truncate(text.floor_char_boundary(max.saturating_sub(CUT.len())));
            text.push_str(CUT);
        }
        if let Some(left) = rest.checked_sub(text.len()) {
            rest = left;
            data.insert((*name).to_owned(), text);
        } else {
            omitted.push(format!("{name} ({} bytes)", text.len()));
        }
    }
    (data, omitted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_that_fit_are_kept_without_control_characters() {
        let (data, omitted) = fitted(&[("report.txt", "a\x1b]0;title\x07"), ("report.json", "[]")], 100);
        assert_eq!((&*data["report.txt"], &*data["report.json"]), ("a^[]0;title^G", "[]"));
        assert_eq!(omitted, Vec::<String>::new());
    }

    #[test]
    fn a_document_that_does_not_fit_is_named_and_smaller_ones_are_kept() {
        let large = "x".repeat(90);
        let (data, omitted) = fitted(&[("report.txt", "table"), ("junit.xml", &large), ("report.json", "[]")], 90);
        assert_eq!(data.keys().collect::<Vec<_>>(), ["report.json", "report.txt"]);
        assert_eq!(omitted, ["junit.xml (90 bytes)"]);
    }

    #[test]
    fn a_table_that_is_too_large_is_cut_between_two_characters() {
        let (data, omitted) = fitted(&[("report.txt", &"ä".repeat(100)), ("report.json", "[]")], 100);
        let text = &data["report.txt"];
        assert!(text.starts_with("ää") && text.ends_with(CUT) && text.len() <= 100, "{text}");
        assert!(omitted.len() <= 1, "{omitted:?}");
    }
}
