//! `e2e lint`, `e2e plan` and `e2e pipeline` agree on every pipeline file of this repository's tests.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::repository::Repository;
use crate::support::error;

/// The directories with pipeline files, relative to this crate.
const DIRS: [&str; 2] = ["tests/pipeline/fixtures", "../crates/gitlab-ci/fuzz/seeds/reader"];

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = DIRS.iter().flat_map(|dir| std::fs::read_dir(root.join(dir)).expect("a directory"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    paths.sort();
    paths
}

/// The messages of errors and warnings, each once.
fn messages(lint: &serde_json::Value, severity: &str) -> Vec<String> {
    let all = lint.as_array().expect("a list").iter();
    let found = all.filter(|it| it["severity"] == severity);
    found.map(|it| it["message"].as_str().expect("a message").to_owned()).collect()
}

fn output(command: &mut Command) -> (bool, String) {
    let output = command.output().expect("e2e runs");
    (output.status.success(), format!("{}{}", String::from_utf8_lossy(&output.stdout), error(&output)))
}

/// The text without the line breaks and frames of excerpts.
fn words(text: &str) -> String {
    let is_frame = |character: char| matches!(character, '│' | '×' | '⚠' | '╭' | '╰' | '─' | '·' | '╎');
    text.replace(is_frame, " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The beginning of a message, which an excerpt does not break within a word.
fn beginning(message: &str) -> String {
    words(message).chars().take(40).collect()
}

#[test]
fn lint_plan_and_pipeline_agree_on_every_fixture() {
    let fixtures = fixtures();
    assert!(fixtures.len() > 20, "{fixtures:?}");
    for path in fixtures {
        let text = std::fs::read_to_string(&path).expect("a file");
        let repository = Repository::new("main", &text);
        let lint = repository.e2e(&["lint", "--format", "json"]).output().expect("e2e runs");
        let report: serde_json::Value = serde_json::from_slice(&lint.stdout).expect("JSON");
        let errors = messages(&report, "error");
        assert_eq!(lint.status.success(), errors.is_empty(), "{}", path.display());
        // A valid file may have no pipeline for a push to this branch, so its plan may fail for another reason.
        let (is_planned, shown) = output(&mut repository.e2e(&["plan"]));
        assert!(errors.is_empty() || !is_planned, "{}", path.display());
        // The scripts of valid files must not run here.
        let pipeline = (!errors.is_empty()).then(|| output(&mut repository.e2e(&["pipeline"])));
        assert!(pipeline.as_ref().is_none_or(|(is_run, _)| !is_run), "{}", path.display());
        for shown in [Some(shown), pipeline.map(|(_, shown)| shown)].into_iter().flatten() {
            let shown = words(&shown);
            let missing: Vec<&String> = errors.iter().filter(|message| !shown.contains(&beginning(message))).collect();
            assert!(missing.is_empty(), "{}: {missing:?} not in {shown}", path.display());
        }
    }
}
