//! `artifacts`. `entry/artifacts.rb`, `entry/reports.rb`

use super::reader::{Reader, Text};
use crate::pipeline::document::node::{Mapping, Node};

/// What a job leaves for others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Artifacts {
    /// Patterns of files.
    pub paths: Vec<Text>,
    /// Patterns of files that are left out.
    pub exclude: Vec<Text>,
    /// Whether every untracked file is among them.
    pub untracked: bool,
    /// After which end of the job.
    pub when: ArtifactsWhen,
    /// The archive's name.
    pub name: Option<Text>,
    /// How long it is kept.
    pub expire_in: Option<Text>,
    /// Files of variables for later jobs.
    pub dotenv: Vec<Text>,
    /// Files of test results.
    pub junit: Vec<Text>,
}

/// After which end of a job its artifacts are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArtifactsWhen {
    /// Success.
    #[default]
    OnSuccess,
    /// Failure.
    OnFailure,
    /// Either.
    Always,
}

/// The words of `artifacts:when` and `cache:when`.
pub const WHEN: &[(&str, ArtifactsWhen)] = &[
    ("on_success", ArtifactsWhen::OnSuccess),
    ("on_failure", ArtifactsWhen::OnFailure),
    ("always", ArtifactsWhen::Always),
];

/// Those of GitLab's reports that are only shown there.
const SHOWN_IN_GITLAB: &[&str] = &[
    "accessibility",
    "annotations",
    "api_fuzzing",
    "browser_performance",
    "cluster_image_scanning",
    "codequality",
    "container_scanning",
    "coverage_fuzzing",
    "coverage_report",
    "cyclonedx",
    "dast",
    "dependency_scanning",
    "load_performance",
    "metrics",
    "repository_xray",
    "requirements",
    "requirements_v2",
    "sast",
    "secret_detection",
    "terraform",
];

/// Reads it.
pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Artifacts> {
    let mapping = reader.hash(node, "artifacts")?;
    let known =
        ["name", "paths", "exclude", "untracked", "when", "expire_in", "expose_as", "access", "public", "reports"];
    reader.known_keys(mapping, "artifacts", known);
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    let mut artifacts = Artifacts {
        paths: value("paths").map(|node| reader.list(node, "artifacts:paths")).unwrap_or_default(),
        exclude: value("exclude").map(|node| reader.list(node, "artifacts:exclude")).unwrap_or_default(),
        untracked: value("untracked").and_then(|node| reader.boolean(node, "artifacts:untracked")) == Some(true),
        when: value("when").and_then(|node| reader.word(node, "artifacts:when", WHEN)).unwrap_or_default(),
        name: value("name").and_then(|node| reader.string(node, "artifacts:name")),
        expire_in: value("expire_in").and_then(|node| reader.string(node, "artifacts:expire_in")),
        ..Artifacts::default()
    };
    if let Some(reports) = value("reports").and_then(|node| reader.hash(node, "artifacts:reports")) {
        read_reports(reports, &mut artifacts, reader);
    }
    Some(artifacts)
}

fn read_reports(reports: &Mapping, artifacts: &mut Artifacts, reader: &mut Reader<'_>) {
    let known = SHOWN_IN_GITLAB.iter().copied().chain(["dotenv", "junit"]);
    reader.known_keys(reports, "artifacts:reports", known);
    for (kind, entry) in reports {
        match &**kind {
            "dotenv" => artifacts.dotenv = reader.strings(&entry.value, "artifacts:reports:dotenv"),
            "junit" => artifacts.junit = reader.strings(&entry.value, "artifacts:reports:junit"),
            shown if SHOWN_IN_GITLAB.contains(&shown) => {
                let message = format!("understood, not replayed: artifacts:reports:{shown}");
                reader.diagnostics.warning(entry.key_span, message);
            }
            _ => {}
        }
    }
}
