//! `artifacts`. `entry/artifacts.rb`, `entry/reports.rb`

use super::reader::{Reader, Text};
use crate::duration;
use crate::yaml::node::Mapping;
use crate::yaml::node::Node;

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

/// Who may see artifacts.
const ACCESS: &[(&str, ())] = &[("none", ()), ("developer", ()), ("maintainer", ()), ("all", ())];

/// How long the name may be that a merge request shows: `Ci::JobArtifact::MAX_EXPOSED_AS_LENGTH`.
const LONGEST_NAME: usize = 100;

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
    "license_scanning",
    "load_performance",
    "lsif",
    "metrics",
    "performance",
    "repository_xray",
    "requirements",
    "requirements_v2",
    "sarif",
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
        paths: value("paths").map(|node| reader.list(node, "artifacts paths")).unwrap_or_default(),
        exclude: value("exclude").map(|node| reader.list(node, "artifacts exclude")).unwrap_or_default(),
        untracked: value("untracked").and_then(|node| reader.boolean(node, "artifacts untracked")) == Some(true),
        when: value("when").and_then(|node| reader.word(node, "artifacts:when", WHEN)).unwrap_or_default(),
        name: value("name").and_then(|node| reader.string(node, "artifacts name")),
        expire_in: value("expire_in").and_then(|node| read_expiry(node, reader)),
        ..Artifacts::default()
    };
    check_what_is_shown(mapping, reader);
    if let Some(reports) = value("reports").and_then(|node| reader.hash(node, "artifacts:reports")) {
        read_reports(reports, &mut artifacts, reader);
    }
    Some(artifacts)
}

fn read_expiry(node: &Node, reader: &mut Reader<'_>) -> Option<Text> {
    reader.duration_by(node, "artifacts expire_in", duration::parse_expiry)?;
    reader.string(node, "artifacts expire_in")
}

/// What says who may see them, and where.
fn check_what_is_shown(mapping: &Mapping, reader: &mut Reader<'_>) {
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    reader.exclusive_keys(mapping, "artifacts", &["access", "public"]);
    if let Some(node) = value("public") {
        reader.boolean(node, "artifacts public");
    }
    if let Some(node) = value("access") {
        reader.word(node, "artifacts:access", ACCESS);
    }
    if let Some(node) = value("expose_as") {
        check_exposed(node, value("paths"), mapping, reader);
    }
    for key in ["access", "expose_as", "public"] {
        if let Some(entry) = mapping.get(key) {
            reader.diagnostics.warning(entry.key_span, format!("understood, not replayed: artifacts:{key}"));
        }
    }
}

fn check_exposed(node: &Node, paths: Option<&Node>, mapping: &Mapping, reader: &mut Reader<'_>) {
    if let Some(name) = reader.string(node, "artifacts expose_as") {
        let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let is_name = name.value.starts_with(is_word)
            && name.value.chars().all(|character| is_word(character) || matches!(character, '-' | ' '));
        if !is_name {
            let message = "can contain only letters, digits, '-', '_' and spaces";
            reader.complain(node.span, "artifacts expose_as", message);
        }
        if name.value.len() > LONGEST_NAME {
            let message = format!("is too long (maximum is {LONGEST_NAME} characters)");
            reader.complain(node.span, "artifacts expose_as", &message);
        }
    }
    let items = paths.and_then(Node::sequence).unwrap_or_default();
    if items.is_empty() {
        let span = mapping.get("expose_as").map_or(node.span, |entry| entry.key_span);
        reader.complain(span, "artifacts paths", "can't be blank");
    }
    for item in items.iter().filter(|item| item.string().is_some_and(|path| path.contains('*'))) {
        reader.complain(item.span, "artifacts paths", "can't contain '*' when used with 'expose_as'");
    }
}

fn read_reports(reports: &Mapping, artifacts: &mut Artifacts, reader: &mut Reader<'_>) {
    let known = SHOWN_IN_GITLAB.iter().copied().chain(["dotenv", "junit"]);
    reader.known_keys(reports, "artifacts:reports", known);
    for (kind, entry) in reports.iter().filter(|(_, entry)| !entry.value.is_null()) {
        let path = format!("artifacts:reports {kind}");
        match &**kind {
            "dotenv" => artifacts.dotenv = reader.strings(&entry.value, &path),
            "junit" => artifacts.junit = reader.strings(&entry.value, &path),
            shown if SHOWN_IN_GITLAB.contains(&shown) => {
                match shown {
                    // `entry/reports/coverage_report.rb`; the other one is whatever it is.
                    "coverage_report" => {
                        reader.hash(&entry.value, "artifacts:reports:coverage_report");
                    }
                    "codequality" => {}
                    _ => {
                        reader.strings(&entry.value, &path);
                    }
                }
                let message = format!("understood, not replayed: artifacts:reports:{shown}");
                reader.diagnostics.warning(entry.key_span, message);
            }
            _ => {}
        }
    }
}
