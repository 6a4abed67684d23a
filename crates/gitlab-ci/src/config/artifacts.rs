//! `artifacts`. `entry/artifacts.rb`, `entry/reports.rb`

use super::reader::{Reader, Text};
use crate::duration;
use crate::gitlab_version::GitlabVersion;
use crate::yaml::node::{Mapping, Node};

/// The files that a job leaves for later jobs and for download.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Artifacts {
    /// Patterns of the files to store.
    pub paths: Vec<Text>,
    /// Patterns of files to leave out.
    pub exclude: Vec<Text>,
    /// Whether all untracked files are stored as well.
    pub untracked: bool,
    /// For which results of the job the artifacts are stored.
    pub when: ArtifactsWhen,
    /// The name of the archive.
    pub name: Option<Text>,
    /// The lifetime, as written.
    pub expire_in: Option<Text>,
    /// Patterns of files with variables for later jobs.
    pub dotenv: Vec<Text>,
    /// Patterns of files with test results.
    pub junit: Vec<Text>,
}

/// For which results of a job its artifacts or its cache are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArtifactsWhen {
    /// The job succeeded.
    #[default]
    OnSuccess,
    /// The job failed.
    OnFailure,
    /// The job succeeded or failed.
    Always,
}

/// The values of `artifacts:when` and `cache:when`.
pub const WHEN: &[(&str, ArtifactsWhen)] = &[
    ("on_success", ArtifactsWhen::OnSuccess),
    ("on_failure", ArtifactsWhen::OnFailure),
    ("always", ArtifactsWhen::Always),
];

/// The values of `artifacts:access`.
const ACCESS: &[(&str, ())] = &[("none", ()), ("developer", ()), ("maintainer", ()), ("all", ())];

/// The maximum length of `expose_as`, in characters: `Ci::JobArtifact::MAX_EXPOSED_AS_LENGTH`.
const MAX_EXPOSED_AS_LENGTH: usize = 100;

/// The reports that only GitLab's own pages display.
const DISPLAYED_IN_GITLAB: &[&str] = &[
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

/// Reads the keyword. Returns `None` if the value is not a hash.
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
    check_access(mapping, reader);
    // `entry/artifacts.rb` checks that it is a hash, before there is an entry for it.
    match value("reports").map(|node| (node, node.mapping())) {
        Some((_, Some(reports))) => read_reports(reports, &mut artifacts, reader),
        Some((node, None)) => drop(reader.complain(node.span, "artifacts reports", "should be a hash")),
        None => {}
    }
    Some(artifacts)
}

fn read_expiry(node: &Node, reader: &mut Reader<'_>) -> Option<Text> {
    reader.duration_by(node, "artifacts expire_in", duration::parse_expiry)?;
    reader.string(node, "artifacts expire_in")
}

/// Checks the keys that control access and display.
fn check_access(mapping: &Mapping, reader: &mut Reader<'_>) {
    let value = |key: &str| mapping.get(key).map(|entry| &entry.value).filter(|node| !node.is_null());
    reader.exclusive_keys(mapping, "artifacts", &["access", "public"]);
    if let Some(node) = value("public") {
        reader.boolean(node, "artifacts public");
    }
    if let Some(node) = value("access") {
        reader.word(node, "artifacts:access", ACCESS);
        if node.string() == Some("maintainer") {
            // <https://docs.gitlab.com/ci/yaml/#artifactsaccess>
            reader.diagnostics.since(GitlabVersion::new(18, 4), node.span, "maintainer");
        }
    }
    if let Some(node) = value("expose_as") {
        check_exposed(node, value("paths"), mapping, reader);
    }
    for key in ["access", "expose_as", "public"] {
        if let Some(entry) = mapping.get(key) {
            reader.diagnostics.unsupported(entry.key_span, &format!("artifacts:{key}"));
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
        if name.value.len() > MAX_EXPOSED_AS_LENGTH {
            let message = format!("is too long (maximum is {MAX_EXPOSED_AS_LENGTH} characters)");
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
    let known = DISPLAYED_IN_GITLAB.iter().copied().chain(["dotenv", "junit"]);
    reader.known_keys(reports, "artifacts:reports", known);
    for (kind, entry) in reports.iter().filter(|(_, entry)| !entry.value.is_null()) {
        let path = format!("artifacts:reports {kind}");
        match &**kind {
            "dotenv" => artifacts.dotenv = reader.strings(&entry.value, &path),
            "junit" => artifacts.junit = reader.strings(&entry.value, &path),
            displayed if DISPLAYED_IN_GITLAB.contains(&displayed) => {
                match displayed {
                    // `entry/reports/coverage_report.rb`. GitLab accepts any value for `codequality`.
                    "coverage_report" => {
                        check_coverage_report(&entry.value, reader);
                    }
                    "codequality" => {}
                    _ => {
                        reader.strings(&entry.value, &path);
                    }
                }
                reader.diagnostics.unsupported(entry.key_span, &format!("artifacts:reports:{displayed}"));
            }
            _ => {}
        }
    }
}

/// `entry/reports/coverage_report.rb`
fn check_coverage_report(node: &Node, reader: &mut Reader<'_>) {
    let path = "artifacts:reports:coverage_report";
    let Some(report) = reader.hash(node, path) else { return };
    reader.known_keys(report, path, ["coverage_format", "path"]);
    let value = |key: &str| report.get(key).map(|entry| &entry.value);
    let format = value("coverage_format").filter(|format| !format.is_blank());
    match format {
        None => {
            reader.complain(node.span, &format!("{path} coverage_format"), "can't be blank");
        }
        Some(format) if !matches!(format.string(), Some("cobertura" | "jacoco")) => {
            let message = "must be one of supported formats: cobertura, jacoco.";
            let error = reader.complain(format.span, &format!("{path} coverage_format"), message);
            error.nearest(format.scalar().unwrap_or_default(), ["cobertura", "jacoco"]);
        }
        Some(_) => {}
    }
    match value("path").filter(|path| !path.is_blank()) {
        Some(file) => drop(reader.string(file, &format!("{path} path"))),
        None => {
            reader.complain(node.span, &format!("{path} path"), "can't be blank");
        }
    }
}
