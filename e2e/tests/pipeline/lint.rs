//! Tests of `e2e lint`.

use crate::repository::Repository;
use crate::support::{error, run};

const WRONG: &str = "stages: [build, test]\n\nbuild:\n  stage: biuld\n  script: make\n\ntest:\n  servces: [redis]\n  script: make test\n  needs: [bild]\n  id_tokens: {}\n";

#[test]
fn mistakes_with_excerpts_of_the_file() {
    let repository = Repository::new("main", WRONG);
    let output = repository.e2e(&["lint"]).output().expect("e2e runs");
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stdout));
}

#[test]
fn mistakes_as_json() {
    let output = Repository::new("main", WRONG).e2e(&["lint", "--format", "json"]).output().expect("e2e runs");
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stdout));
}

/// `lint` reads uncommitted changes; `plan` reads them only with `--worktree`.
#[test]
fn lint_reads_uncommitted_changes() {
    let repository = Repository::new("main", "a: {script: x}\n");
    std::fs::write(repository.path().join(".gitlab-ci.yml"), "a: {scrpt: x}\n").expect("written");
    assert_eq!(repository.e2e(&["lint"]).output().expect("e2e runs").status.code(), Some(1));
    run(&mut repository.e2e(&["plan"]));
    let planned = repository.e2e(&["plan", "--worktree"]).output().expect("e2e runs");
    assert_eq!(planned.status.code(), Some(2));
    assert!(error(&planned).contains("jobs:a config contains unknown keys: scrpt"), "{}", error(&planned));
}

#[test]
fn a_directory_outside_a_repository() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join(".gitlab-ci.yml"), "include: b.yml\n").expect("written");
    std::fs::write(dir.path().join("b.yml"), "b: {script: x}\n").expect("written");
    let text = run(crate::support::e2e(&["lint", "-C"]).arg(dir.path()));
    assert_eq!(text, "The pipeline is valid for GitLab 18.11: 1 job.");
}

#[test]
fn the_version_of_gitlab_can_be_chosen() {
    let repository = Repository::new("main", "a: {script: x, retry: {max: 1, when: runner_interrupted}}\n");
    let text = run(&mut repository.e2e(&["lint"]));
    assert!(text.contains("`runner_interrupted` is new in GitLab 19.1: GitLab 18.11 refuses it"), "{text}");
    assert!(text.ends_with("The pipeline is valid for GitLab 18.11: 1 job, 1 warning."), "{text}");
    assert_eq!(
        run(&mut repository.e2e(&["lint", "--gitlab", "19.x"])),
        "The pipeline is valid for GitLab 19.x: 1 job."
    );
    for command in ["lint", "plan", "pipeline"] {
        let output = repository.e2e(&[command, "--gitlab", "18.11"]).output().expect("e2e runs");
        assert!(!output.status.success(), "{command}");
        let output = repository.e2e(&[command, "--gitlab", "16.0"]).output().expect("e2e runs");
        assert!(error(&output).contains("expected a version from 17.11 to 19.x"), "{}", error(&output));
    }
    let variables = run(&mut repository.e2e(&["plan", "--gitlab", "19.1", "--show-variables", "a"]));
    assert!(
        variables.lines().any(|line| line.contains("CI_SERVER_VERSION ") && line.contains("19.1.0")),
        "{variables}"
    );
}

#[test]
fn a_directory_that_does_not_exist_is_bad_usage() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = dir.path().join("missing");
    for command in ["lint", "plan", "pipeline"] {
        let output = crate::support::e2e(&[command, "-C"]).arg(&missing).output().expect("e2e runs");
        let expected = format!("e2e: there is no directory `{}`\n", missing.display());
        assert_eq!((output.status.code(), error(&output)), (Some(2), expected), "{command}");
    }
    let output = crate::support::e2e(&["plan", "-C"]).arg(dir.path()).output().expect("e2e runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(error(&output).contains("is not in a git repository; run `git init`"), "{}", error(&output));
    let output = crate::support::e2e(&["lint", "-C"]).arg(dir.path()).output().expect("e2e runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with(".gitlab-ci.yml:1:1\n  × Local file `.gitlab-ci.yml` does not exist!\n\n"), "{text}");
}

#[test]
fn a_directory_replaces_another_project() {
    let repository = Repository::new("main", "include: {project: other/ci, file: /build.yml}\n");
    let missing = repository.e2e(&["lint"]).output().expect("e2e runs");
    assert_eq!(missing.status.code(), Some(1));
    let other = tempfile::tempdir().expect("a directory");
    std::fs::write(other.path().join("build.yml"), "build: {script: make}\n").expect("written");
    let include = format!("other/ci={}", other.path().display());
    assert_eq!(
        run(&mut repository.e2e(&["lint", "--include", &include])),
        "The pipeline is valid for GitLab 18.11: 1 job."
    );
}

/// In a repository without commits, and in a subdirectory of it.
#[test]
fn a_repository_without_commits_and_its_subdirectory() {
    let dir = tempfile::tempdir().expect("a directory");
    run(std::process::Command::new("git").arg("-C").arg(dir.path()).args(["init", "--quiet"]));
    std::fs::write(dir.path().join(".gitlab-ci.yml"), "a: {script: x}\n").expect("written");
    std::fs::create_dir(dir.path().join("sub")).expect("a directory");
    for path in [dir.path().to_owned(), dir.path().join("sub")] {
        assert_eq!(
            run(crate::support::e2e(&["lint", "-C"]).arg(path)),
            "The pipeline is valid for GitLab 18.11: 1 job."
        );
    }
}

#[test]
fn includes_of_a_tag() {
    let pipeline = "include: [{local: b.yml, rules: [{if: $CI_COMMIT_TAG}]}]\na: {script: x}\n";
    let repository = Repository::new("main", pipeline);
    std::fs::write(repository.path().join("b.yml"), "b: {script: x}\n").expect("written");
    assert_eq!(run(&mut repository.e2e(&["lint"])), "The pipeline is valid for GitLab 18.11: 1 job.");
    assert_eq!(
        run(&mut repository.e2e(&["lint", "--tag", "v1.0.0"])),
        "The pipeline is valid for GitLab 18.11: 2 jobs."
    );
    let output = repository.e2e(&["lint", "--tag", "v9"]).output().expect("e2e runs");
    assert_eq!((output.status.code(), error(&output).contains("no such tag: `v9`")), (Some(2), true));
}

#[test]
fn inputs_of_the_pipeline() {
    let pipeline = "spec: {inputs: {name: , count: {type: number, default: 1}}}\n---\n$[[ inputs.name ]]:\n  script: x\n  parallel: $[[ inputs.count ]]\n";
    let repository = Repository::new("main", pipeline);
    let output = repository.e2e(&["lint"]).output().expect("e2e runs");
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stdout));
    assert_eq!(
        run(&mut repository.e2e(&["lint", "--input", "name=1.10"])),
        "The pipeline is valid for GitLab 18.11: 1 job."
    );
    let plan = run(&mut repository.e2e(&["plan", "--input", "name=1.10", "--input", "count=2"]));
    assert!(plan.contains("1.10 2/2"), "{plan}");
}
