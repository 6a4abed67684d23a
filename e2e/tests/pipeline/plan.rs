//! Tests of `e2e plan`.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use rstest::rstest;

use crate::repository::Repository;
use crate::support::{error, run};

const OF_2019: &str = include_str!("fixtures/of-2019.gitlab-ci.yml");

/// The jobs of a plan, each with its `when`, and the jobs that are not in it.
fn jobs(repository: &Repository, arguments: &[&str]) -> (Vec<String>, Vec<String>) {
    let text = run(&mut repository.e2e(&[&["plan", "--format", "json"], arguments].concat()));
    let plan: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let words = |value: &serde_json::Value| value.as_str().unwrap_or("?").to_owned();
    let list = |name: &str| plan[name].as_array().cloned().unwrap_or_default();
    let jobs = list("jobs").iter().map(|job| format!("{} {}", words(&job["name"]), words(&job["when"]))).collect();
    (jobs, list("skipped").iter().map(|job| words(&job["name"])).collect())
}

const EVERYWHERE: [&str; 4] = ["test on_success", "test2 on_success", "compile on_success", "image_build on_success"];

/// As in the article: a branch is deployed for review and can be stopped, the default branch cannot be stopped, and a user deploys a tag
/// to the live environment. `own.rs` tests the current file.
#[rstest]
#[case::a_branch(&["--branch", "feature/x"], &["deploy_review on_success", "stop_review manual"], &["deploy_live"])]
#[case::the_default_branch(&[], &["deploy_review on_success"], &["stop_review", "deploy_live"])]
#[case::a_tag(&["--tag", "v1.0.0"], &["deploy_live manual"], &["deploy_review", "stop_review"])]
fn the_pipeline_of_2019_has_the_jobs_of_the_article(
    #[case] reference: &[&str],
    #[case] deploys: &[&str],
    #[case] skipped: &[&str],
) {
    let expected = (
        EVERYWHERE.iter().chain(deploys).map(ToString::to_string).collect::<Vec<_>>(),
        skipped.iter().map(ToString::to_string).collect::<Vec<_>>(),
    );
    assert_eq!(jobs(&Repository::new("master", OF_2019), reference), expected);
}

#[test]
fn a_table_shows_the_reason_for_each_job() {
    let repository = Repository::new("master", OF_2019);
    insta::assert_snapshot!(run(&mut repository.e2e(&["plan", "--branch", "feature/x"])));
}

#[test]
fn the_whole_document() {
    let repository = Repository::new("main", OF_2019);
    insta::assert_snapshot!(run(&mut repository.e2e(&["plan", "--tag", "v1.0.0", "--format", "json"])));
}

#[test]
fn a_graph() {
    let pipeline = "a: {script: x, stage: build}\nb: {script: x, needs: [a]}\nc: {script: x, parallel: 2, needs: []}\n";
    let repository = Repository::new("main", pipeline);
    insta::assert_snapshot!(run(&mut repository.e2e(&["plan", "--format", "mermaid"])));
}

/// A merge request's pipeline has only jobs that select merge requests, unless `workflow:rules` admit the pipeline.
#[test]
fn a_merge_request() {
    let pipeline = "a: {script: x}\nb: {script: x, only: [merge_requests]}\nc: {script: x, rules: [{if: $CI_MERGE_REQUEST_IID}]}\n";
    let arguments = ["--branch", "feature/x", "--source", "merge_request_event"];
    let (found, skipped) = jobs(&Repository::new("main", pipeline), &arguments);
    assert_eq!((found, skipped), (vec!["b on_success".into(), "c on_success".into()], vec!["a".to_owned()]));

    let with_workflow = format!("workflow: {{rules: [{{when: always}}]}}\n{pipeline}");
    let (found, _) = jobs(&Repository::new("main", &with_workflow), &arguments);
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn a_variable_of_the_pipeline_is_stronger_than_the_files() {
    let pipeline =
        "variables: {A: top}\na: {script: x, variables: {A: job}, rules: [{if: $A == \"mine\"}]}\nb: {script: x}\n";
    let repository = Repository::new("main", pipeline);
    assert_eq!(jobs(&repository, &[]).1, ["a"]);
    assert_eq!(jobs(&repository, &["--var", "A=mine"]).0.len(), 2);
    let text = run(&mut repository.e2e(&["plan", "--var", "A=mine", "--show-variables", "a"]));
    let line = text.lines().find(|line| line.trim_start().starts_with("A ")).expect("the variable");
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(line, "A mine pipeline job (job), top (top level)");
}

#[test]
fn a_detached_head_is_said() {
    let repository = Repository::new("main", "a: {script: 'echo $A'}\n");
    repository.git(&["checkout", "--quiet", "--detach"]);
    let output = repository.e2e(&["plan", "--variable", "A=b"]).output().expect("e2e runs");
    let said =
        "e2e: HEAD is detached: its commit is treated as the last one of branch `main` (set `--branch` or `--tag`)\n";
    assert_eq!((output.status.code(), &*error(&output)), (Some(0), said));
    let output = repository.e2e(&["plan", "--variables", "A=b"]).output().expect("e2e runs");
    let said = "e2e: A=b: No such file or directory (os error 2); `--var KEY=VALUE` sets a single variable\n";
    assert_eq!((output.status.code(), &*error(&output)), (Some(2), said));
}

#[rstest]
#[case::of_the_registry(
    "a: {script: ['docker push $CI_REGISTRY_IMAGE:x', 'echo ${CI_REGISTRY}'], image: $CI_REGISTRY_IMAGE/x}\n",
    &[],
    "e2e: variables of GitLab's server that jobs use have no value (set them with `--var` or `--variables`): CI_REGISTRY, \
     CI_REGISTRY_IMAGE\n"
)]
#[case::with_a_value("a: {script: 'echo $CI_REGISTRY $HOME'}\n", &["--var", "CI_REGISTRY=r.test"], "")]
#[case::a_guess(
    "a: {script: x, rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}]}\n",
    &[],
    "e2e: the default branch is assumed to be `main`, because the repository does not know that of `origin` (set \
     `--default-branch`)\n"
)]
#[case::no_guess(
    "a: {script: x, rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}]}\n",
    &["--default-branch", "main"],
    ""
)]
fn what_only_a_server_knows_is_said(#[case] pipeline: &str, #[case] arguments: &[&str], #[case] expected: &str) {
    let repository = Repository::new("main", pipeline);
    let output = repository.e2e(&[&["plan"], arguments].concat()).output().expect("e2e runs");
    assert_eq!((output.status.code(), &*error(&output)), (Some(0), expected));
}

// https://docs.gitlab.com/ci/variables/predefined_variables/: since GitLab 19.1
#[rstest]
#[case::another_branch("feature/x", "19.1", true)]
#[case::an_earlier_version("feature/x", "19.0", false)]
#[case::the_default_branch("main", "19.1", false)]
fn the_base_of_a_branch_is_known(#[case] branch: &str, #[case] version: &str, #[case] expected: bool) {
    let repository = Repository::new("main", "a: {script: x}\n");
    let arguments = ["plan", "--branch", branch, "--gitlab", version, "--show-variables", "a"];
    let text = run(&mut repository.e2e(&arguments));
    let value = |name: &str| {
        let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.find(|words| words.first() == Some(&name)).map(|words| words[1].to_owned())
    };
    // All branches are at the same commit.
    let commit = value("CI_COMMIT_SHA").filter(|_| expected);
    assert_eq!(value("CI_COMMIT_DEFAULT_BRANCH_BASE_SHA"), commit, "{text}");
}

#[rstest]
#[case::no_tag(&["--tag", "v1.1.0"], 2, "e2e: no such tag: `v1.1.0`; did you mean `v1.0.0`?")]
#[case::no_branch(&["--branch", "feature/y"], 2, "e2e: no such branch: `feature/y`; did you mean `feature/x`?")]
#[case::no_job(&["--show-variables", "b"], 2, "e2e: there is no job `b` in this pipeline; the jobs are a")]
fn a_missing_tag_branch_or_job_is_reported(#[case] arguments: &[&str], #[case] code: i32, #[case] message: &str) {
    let repository = Repository::new("main", "a: {script: x}\n");
    let output = repository.e2e(&[&["plan"], arguments].concat()).output().expect("e2e runs");
    assert_eq!((output.status.code(), error(&output).trim()), (Some(code), message));
}

#[rstest]
#[case::workflow(
    "workflow: {rules: [{if: $CI_COMMIT_TAG}]}\na: {script: x}\n",
    "e2e: The pipeline did not run. Review the workflow:rules configuration for the pipeline.\n  \
     workflow: no rule matches (.gitlab-ci.yml:1:20)"
)]
#[case::empty(
    "a: {script: x, only: [tags]}\n",
    "e2e: The resulting pipeline would have been empty. Review the rules configuration for the relevant jobs.\n  \
     a: only: refs does not match (.gitlab-ci.yml:1:22)"
)]
#[case::need(
    "a: {script: x, only: [tags]}\nb: {script: x, needs: [a]}\n",
    "e2e: 'b' job needs 'a' job, but 'a' does not exist in the pipeline. This might be because of the only, except, or rules \
     keywords. To need a job that sometimes does not exist in the pipeline, use needs:optional.\n  \
     b: needs a (.gitlab-ci.yml:2:24); a: only: refs does not match (.gitlab-ci.yml:1:22)"
)]
#[case::no_ref(
    "a: {script: x, rules: [{changes: {paths: [x], compare_to: nope}}]}\n",
    "e2e: Failed to parse rule for a: rules:changes:compare_to is not a valid ref\n  a: compare_to (.gitlab-ci.yml:1:59)"
)]
#[case::cycle(
    "a: {script: x, variables: {A: $B, B: $A}}\n",
    "e2e: a: circular variable reference detected: [\"A\", \"B\"]"
)]
fn no_pipeline(#[case] pipeline: &str, #[case] message: &str) {
    let output = Repository::new("main", pipeline).e2e(&["plan"]).output().expect("e2e runs");
    assert_eq!((output.status.code(), error(&output).trim()), (Some(1), message));
}

const SETTINGS: &str = r#"[
  {"key": "PASSWORD", "value": "top-\"secret\"", "masked": true, "variable_type": "env_var", "environment_scope": "*"},
  {"key": "URL", "value": "review.test", "environment_scope": "review/*"},
  {"key": "URL", "value": "gitlab.test", "environment_scope": "live", "protected": true},
  {"key": "HIDDEN", "value": null, "hidden": true, "masked": true}
]"#;

/// The list is in the format of GitLab's API. No output contains a secret.
#[test]
fn the_projects_variables() {
    let pipeline = "a: {script: x, image: 'i:$PASSWORD', environment: {name: $NAME, url: 'https://$URL/$PASSWORD'}}\n";
    let repository = Repository::new("main", pipeline);
    let file = repository.path().join("variables.json");
    std::fs::write(&file, SETTINGS).expect("a file");
    let file = file.to_string_lossy().into_owned();
    let plan = |arguments: &[&str]| {
        let output = repository.e2e(&[&["plan", "--variables", &file], arguments].concat()).output().expect("e2e runs");
        let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
        assert!(!(text.clone() + &error(&output)).contains("secret"), "{text}{}", error(&output));
        (text, error(&output))
    };
    let (text, notes) = plan(&["--var", "NAME=review/x"]);
    assert!(text.contains("review/x https://review.test/[MASKED]"), "{text}");
    assert_eq!(
        notes.trim(),
        "e2e: protected variables are unavailable because the ref is not protected (set `--protected` if it is): URL\n\
         e2e: hidden variables are unavailable because GitLab does not export their values: HIDDEN"
    );
    let (text, _) = plan(&["--var", "NAME=live", "--protected"]);
    assert!(text.contains("live https://gitlab.test/[MASKED]"), "{text}");
    for format in ["table", "json", "mermaid"] {
        plan(&["--var", "NAME=review/x", "--format", format]);
        let (text, _) = plan(&["--var", "NAME=review/x", "--format", format, "--show-variables", "a"]);
        assert!(text.contains("[MASKED]"), "{text}");
    }
}

#[test]
fn an_invalid_list_of_variables_is_reported_with_its_position() {
    let repository = Repository::new("main", "a: {script: x}\n");
    std::fs::write(repository.path().join("variables.json"), "[\n  {\"key\": 1}]").expect("a file");
    for command in ["plan", "lint"] {
        let mut command = repository.e2e(&[command, "--variables", "variables.json"]);
        let output = command.current_dir(repository.path()).output().expect("e2e runs");
        let message = (output.status.code(), error(&output).trim().to_owned());
        assert_eq!(message, (Some(2), "e2e: variables.json:2:11: expected a string".to_owned()));
    }
}

#[test]
fn all_missing_needs_are_reported() {
    let pipeline = "a: {script: x, only: [tags]}\nb:\n  script: x\n  needs: [a]\nc:\n  script: x\n  needs: [b, a]\n";
    let output = Repository::new("main", pipeline).e2e(&["plan"]).output().expect("e2e runs");
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(error(&output));
}

#[test]
fn unsupported_keywords_are_reported_on_standard_error() {
    let repository = Repository::new("main", "a:\n  script: x\n  id_tokens: {}\nb:\n  trigger: g/p\n");
    let output = repository.e2e(&["plan"]).output().expect("e2e runs");
    assert_eq!(
        (output.status.code(), error(&output).trim()),
        (
            Some(0),
            "e2e: .gitlab-ci.yml:3:3: valid, but not supported here: id_tokens\n\
             e2e: .gitlab-ci.yml:5:3: valid, but not supported here: trigger"
        )
    );
}

/// `lib/gitlab/ci/pipeline/chain/skip.rb`
#[test]
fn a_commit_that_skips_its_pipeline() {
    let repository = Repository::new("main", "a: {script: x}\n");
    let mut commit = std::process::Command::new("git");
    commit.arg("-C").arg(repository.path()).args(["-c", "user.name=A B", "-c", "user.email=a@b.test"]);
    commit.args(["commit", "--quiet", "--allow-empty", "--message", "Fix [skip ci]"]);
    let date = "2026-01-31T10:20:30Z";
    run(commit.env("GIT_AUTHOR_DATE", date).env("GIT_COMMITTER_DATE", date));
    assert_eq!(jobs(&repository, &[]), (Vec::new(), vec!["a".to_owned()]));
    assert_eq!(jobs(&repository, &["--source", "web"]).0, ["a on_success"]);
    insta::assert_snapshot!(run(&mut repository.e2e(&["plan"])));
}

#[test]
fn variables_as_the_job_gets_them() {
    let pipeline =
        "variables: {A: top}\na:\n  script: x\n  variables: {A: job, B: $A-$CI_PROJECT_DIR, C: \"one\\ntwo\"}\n";
    let repository = Repository::new("main", pipeline);
    let text = run(&mut repository.e2e(&["plan", "--show-variables", "a"]));
    let found: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in
        ["B job-$CI_PROJECT_DIR job", "C one job", "two", "CI_JOB_ID (known when the job runs) pipeline and job"]
    {
        assert!(found.iter().any(|found| found == line), "{line}: {text}");
    }
    let text = run(&mut repository.e2e(&["plan", "--show-variables", "a", "--format", "json"]));
    let list: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
    let variable = |key: &str| list.iter().find(|variable| variable["key"] == key).cloned().unwrap_or_default();
    assert_eq!(variable("A")["hides"], serde_json::json!([{"value": "top", "from": "top level"}]));
    assert_eq!(variable("CI_JOB_ID")["value"], serde_json::Value::Null);
}

/// A column is as wide as its visible texts. A wider one would reveal the length of a secret.
#[test]
fn secrets_and_files_do_not_show_in_the_widths_of_columns() {
    let pipeline = "a: {script: x, environment: {name: 'e-$TOKEN'}}\n";
    let repository = Repository::new("main", pipeline);
    let variables = repository.path().join("vars.json");
    let token = "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFy";
    let list = serde_json::json!([
        {"key": "TOKEN", "value": token, "masked": true},
        {"key": "KUBECONFIG", "value": "apiVersion: v1\nkind: Config\n", "variable_type": "file"},
    ]);
    std::fs::write(&variables, list.to_string()).expect("a file");
    let variables = variables.to_str().expect("a path");
    let text = run(&mut repository.e2e(&["plan", "--variables", variables, "--show-variables", "a"]));
    let column = text.lines().next().and_then(|head| head.find("from")).expect("a column");
    for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
        // The header lacks the space before each row.
        assert_eq!(line.as_bytes().get(column - 1..column + 1), Some(&b"  "[..]), "{line}\n{text}");
    }
    assert!(!text.contains("apiVersion") && !text.contains(token), "{text}");
    assert!(text.contains("(a file of 28 bytes)"), "{text}");
    let longest = text.lines().filter(|line| line.contains("[MASKED]")).map(str::len).max();
    assert!(longest.is_some_and(|longest| longest < 200), "{text}");
}

/// A branch of the project at GitLab may exist only as a branch of the remote here.
#[test]
fn branches_of_the_remote_have_full_names() {
    let rule = |name: &str| format!("{{script: x, rules: [{{changes: {{paths: [new], compare_to: {name}}}}}]}}\n");
    let pipeline = format!("a: {}b: {}c: {}", rule("main"), rule("refs/heads/main"), rule("heads/main"));
    let source = Repository::new("main", &pipeline);
    source.git(&["checkout", "--quiet", "feature/x"]);
    std::fs::write(source.path().join("new"), "x").expect("a file");
    source.git(&["add", "new"]);
    source.git(&["commit", "--quiet", "--message", "New"]);
    let dir = tempfile::tempdir().expect("a directory");
    let clone = dir.path().join("clone");
    run(std::process::Command::new("git")
        .args(["clone", "--quiet", "--branch", "feature/x"])
        .arg(source.path())
        .arg(&clone));
    let branch = ["plan", "--branch", "refs/heads/feature/x", "--default-branch", "refs/heads/main"];
    let text = run(crate::support::e2e(&branch).arg("-C").arg(&clone));
    assert_eq!(text.matches("changes: new").count(), 3, "{text}");
    assert!(text.starts_with("branch feature/x, "), "{text}");
}
