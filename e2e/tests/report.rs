//! Tests of `e2e report diff`.

#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use std::fs;
use std::process::{Command, Output};

use rstest::rstest;
use serde_json::json;

/// A report with these verdicts of checks.
fn report(verdicts: &[(&str, &str)]) -> String {
    let check = |(id, verdict): &(&str, &str)| json!({"id": id, "verdict": verdict, "not_run": "", "failure": null});
    let report = json!({
        "apiVersion": "gitlab-ci-k8s-demo/v1",
        "kind": "CheckReport",
        "product": {"name": "e2e", "version": "0.1.0"},
        "began_at": "2026-03-07T16:05:00Z",
        "mode": "default",
        "cluster": {"kubernetes": "v1.37.0"},
        "checks": verdicts.iter().map(check).collect::<Vec<_>>(),
    });
    report.to_string()
}

/// Compares two files with these contents, or missing files.
fn diff(before: Option<&str>, after: Option<&str>) -> Output {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in [("before.json", before), ("after.json", after)] {
        if let Some(content) = content {
            fs::write(dir.path().join(name), content).unwrap();
        }
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_e2e"));
    command.current_dir(&dir).args(["report", "diff", "before.json", "after.json"]).output().unwrap()
}

#[rstest]
#[case::nothing_changed("passed", "passed", 0, "Checks: 1 unchanged\n")]
#[case::better("failed", "passed", 0, "Checks: 1 better, 0 unchanged\n")]
#[case::worse("passed", "failed", 1, "Checks: 1 worse, 0 unchanged\n")]
#[case::no_longer_run("passed", "not_run", 1, "Checks: 1 worse, 0 unchanged\n")]
fn the_exit_code_says_whether_a_check_is_worse(
    #[case] before: &str,
    #[case] after: &str,
    #[case] code: i32,
    #[case] end: &str,
) {
    let [before, after] = [before, after].map(|verdict| report(&[("dev-dns", verdict)]));
    let output = diff(Some(&before), Some(&after));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn a_file_that_is_no_report_is_rejected_with_its_place() {
    let output = diff(Some(&report(&[])), Some("{\n  \"apiVersion\": \"v2\"\n}"));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.starts_with("after.json:2:20: unsupported apiVersion `v2`: "), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let output = diff(None, Some(&report(&[])));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.starts_with("e2e: before.json: "), "{error}");
}
