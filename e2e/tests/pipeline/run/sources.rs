//! Tests of the commits, refs and submodules of a job's checkout.

use rstest::rstest;

use super::{has, run};
use crate::outcome::Run;
use crate::repository::Repository;
use crate::support::error;

/// A repository whose branch `feature/x` has one commit more than `main`.
fn ahead(pipeline: &str) -> Repository {
    let repository = Repository::new("main", pipeline);
    repository.git(&["checkout", "--quiet", "feature/x"]);
    std::fs::write(repository.path().join("new.txt"), "x").expect("a file");
    repository.git(&["add", "new.txt"]);
    repository.git(&["commit", "--quiet", "--message", "New"]);
    repository
}

fn branches(run: &Run) -> Vec<String> {
    assert_eq!(run.code(), 0, "{}", error(&run.output));
    let lines = run.lines("a").into_iter().map(|line| line.trim().to_owned());
    lines.filter(|line| line.starts_with("origin/") || line.starts_with("v1")).collect()
}

// GitLab's `app/presenters/ci/build_runner_presenter.rb` (`refspecs`)
#[rstest]
#[case::with_a_depth("2", &[], &["origin/feature/x"])]
#[case::with_all_commits("0", &[], &["origin/feature/x", "origin/main", "v1.0.0"])]
#[case::without_a_number("", &[], &["origin/feature/x", "origin/main", "v1.0.0"])]
#[case::merge_request("2", &["--source", "merge_request_event"], &[])]
#[case::merge_request_with_all_commits("0", &["--source", "merge_request_event"], &["origin/feature/x", "origin/main", "v1.0.0"])]
fn the_depth_decides_which_refs_a_job_has(#[case] depth: &str, #[case] arguments: &[&str], #[case] expected: &[&str]) {
    let repository = ahead(&format!(
        "a:\n  image: rust\n  variables: {{GIT_DEPTH: '{depth}'}}\n  rules: [{{when: on_success}}]\n  script: [git branch -r, git tag]\n"
    ));
    let all = [&["--default-branch", "main"], arguments].concat();
    let found = branches(&run(&repository, &all));
    let found: Vec<_> = found.iter().filter(|name| **name != "v1.0.0" || depth != "2").collect();
    assert_eq!(found, expected);
}

/// With the shell executor, jobs reuse a directory. GitLab Runner's `shells/abstract.go` (`writeRefspecFetchCmd`, `writeCloneCmdIfPossible`)
#[test]
fn the_log_says_whether_the_repository_is_new() {
    let pipeline = "stages: [one, two, three]\none: {image: rust, stage: one, script: 'true'}\ntwo: {image: rust, stage: two, script: 'true'}\nthree: {image: rust, stage: three, variables: {GIT_STRATEGY: clone}, script: 'true'}\n";
    let run = run(&Repository::new("main", pipeline), &[]);
    assert_eq!(run.code(), 0, "{}", error(&run.output));
    let found =
        ["one", "two", "three"].map(|job| run.all_lines(job).iter().any(|line| line == "Created fresh repository."));
    assert_eq!(found, [true, crate::EXECUTOR != "shell", true]);
}

/// A branch that is not checked out here is a branch at GitLab as well.
#[test]
fn all_commits_include_the_branches_of_the_remote() {
    let repository = ahead(
        "a:\n  image: rust\n  variables: {GIT_DEPTH: '0'}\n  script: git diff --name-only origin/release...HEAD\n",
    );
    repository.git(&["update-ref", "refs/remotes/origin/release", "main"]);
    repository.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/release"]);
    has(&run(&repository, &[]).lines("a"), "new.txt");
}

// GitLab Runner's `shells/abstract.go` (`GetGitFetchFlags`), `shells/bash.go` (`CheckForErrors`)
#[test]
fn settings_of_the_runner_in_variables_have_an_effect() {
    let pipeline = "tags:\n  image: rust\n  variables: {GIT_DEPTH: '1', GIT_FETCH_EXTRA_FLAGS: '--tags --prune --upload-pack=/tmp/x'}\n  script: git tag\ncodes:\n  variables: {FF_ENABLE_BASH_EXIT_CODE_CHECK: 'true'}\n  script:\n    - set +e\n    - sh -c 'exit 3'\n    - echo not reached\n  allow_failure: {exit_codes: 3}\n";
    let run = run(&ahead(pipeline), &[]);
    assert_eq!(run.code(), 0, "{}", error(&run.output));
    let tags = run.lines("tags");
    has(&tags, "v1.0.0");
    let tags = run.all_lines("tags");
    let warning = "GIT_FETCH_EXTRA_FLAGS: not supported and ignored: --upload-pack=/tmp/x";
    assert!(tags.iter().any(|line| line.contains(warning)), "{tags:#?}");
    assert_eq!((run.status("codes"), &run.ended("codes")["exit_code"]), ("failed", &serde_json::json!(3)));
    assert!(!run.lines("codes").iter().any(|line| line == "not reached"));
}

/// <https://docs.gitlab.com/ci/runners/git_submodules/>: relative addresses are relative to the project's.
#[rstest]
#[case::all("", &["sub", "two"])]
#[case::some("GIT_SUBMODULE_PATHS: deep/two, ", &["two"])]
fn submodules_come_from_the_repository_that_has_them(#[case] variables: &str, #[case] expected: &[&str]) {
    let (one, two) = (Repository::new("main", "{}"), Repository::new("main", "{}"));
    for (module, text) in [(&one, "sub"), (&two, "two")] {
        std::fs::write(module.path().join("f"), text).expect("a file");
        module.git(&["add", "f"]);
        module.git(&["commit", "--quiet", "--message", "File"]);
    }
    let repository = Repository::new("main", "{}");
    std::fs::write(
        repository.path().join(".gitlab-ci.yml"),
        format!("a:\n  image: rust\n  variables: {{{variables}GIT_SUBMODULE_STRATEGY: recursive}}\n  script:\n    - for f in sm/f deep/two/f; do if [ -e $f ]; then echo \"$(cat $f)\"; fi; done\n    - git -C deep/two config --get remote.origin.url\n"),
    )
    .expect("a file");
    for (module, path) in [(&one, "sm"), (&two, "deep/two")] {
        let address = module.path().to_str().expect("a path");
        repository.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", address, path]);
        let name = format!("submodule.{path}.url");
        repository.git(&["config", "--file", ".gitmodules", &name, &format!("../{}", path.replace('/', "-"))]);
    }
    repository.git(&["add", "--all"]);
    repository.git(&["commit", "--quiet", "--message", "Submodules"]);
    let found = run(&repository, &[]);
    assert_eq!(found.code(), 0, "{}", error(&found.output));
    let lines = found.lines("a");
    let texts: Vec<_> = lines.iter().filter(|line| matches!(line.as_str(), "sub" | "two")).collect();
    assert_eq!(texts, expected);
    has(&lines, "https://gitlab.test/course/deep-two");
    // Without them, the message names the way out once.
    std::fs::remove_dir_all(repository.path().join(".git/modules")).expect("removed");
    repository.git(&["remote", "set-url", "origin", "https://127.0.0.1:1/course/demo.git"]);
    let failed = run(&repository, &[]);
    let ended = failed.ended("a");
    assert_eq!((&ended["exit_code"], &ended["failure_reason"]), (&1.into(), &"script_failure".into()));
    let reason = failed.ended("a")["why"].as_str().expect("a reason").to_owned();
    assert!(
        reason.contains("`git submodule update --init --recursive`") && reason.matches("127.0.0.1:1").count() <= 2,
        "{reason}"
    );
}

// GitLab Runner's `common/build_settings.go`, `common/build.go`, `shells/bash.go`; each value was given to the real runner.
#[rstest]
#[case::on_or_off("{AFTER_SCRIPT_IGNORE_ERRORS: '0'}", "failed", 3, "ERROR: Job failed: exit status 3")]
#[case::neither_on_nor_off(
    "{GIT_CHECKOUT: 'yes'}",
    "success",
    0,
    "WARNING: GIT_CHECKOUT: expected bool got \"yes\", using default value: true"
)]
#[case::unknown_strategy("{GIT_STRATEGY: bogus}", "success", 0, "got \"bogus\", using default value 'fetch'")]
#[case::number_as_a_timeout(
    "{RUNNER_SCRIPT_TIMEOUT: '2'}",
    "success",
    0,
    "WARNING: Ignoring malformed RUNNER_SCRIPT_TIMEOUT timeout: 2"
)]
#[case::wording("{}", "success", 0, "WARNING: after_script failed, but job will continue unaffected: exit status 3")]
#[case::name_that_no_shell_can_export("{'a b': x}", "failed", 1, "export: `a b': not a valid identifier")]
#[case::name_that_starts_with_a_digit("{1A: x}", "failed", 1, "export: `1A': not a valid identifier")]
fn settings_are_read_as_by_the_runner(
    #[case] variables: &str,
    #[case] status: &str,
    #[case] code: i64,
    #[case] expected: &str,
) {
    let pipeline =
        format!("a: {{image: rust, variables: {variables}, script: test -e .gitlab-ci.yml, after_script: exit 3}}\n");
    let run = run(&Repository::new("main", &pipeline), &[]);
    let found = &run.ended("a")["exit_code"];
    assert_eq!((run.status("a"), found.as_i64().unwrap_or_default()), (status, code));
    let lines = run.all_lines("a");
    // Containers have another wording for exit codes.
    let expected =
        if crate::EXECUTOR == "shell" { expected.to_owned() } else { expected.replace("exit status", "exit code") };
    assert!(lines.iter().any(|line| line.contains(&expected)), "{lines:#?}");
}

/// `trap` is set within the subshell as well, so that a script that is asked to end fails.
#[rstest]
#[case::itself("kill -TERM $$; sleep 0.3")]
#[case::its_subshell("kill -TERM $BASHPID; sleep 0.3")]
fn a_script_that_gets_a_signal_fails(#[case] command: &str) {
    let run = super::ran(&format!("a: {{image: rust, script: ['{command}', echo b]}}\n"));
    assert_eq!((run.status("a"), &run.ended("a")["exit_code"]), ("failed", &serde_json::json!(1)));
}

// GitLab Runner's `shells/abstract.go` (`cacheExtractor`, `writeCommands`), `cache/cachekey`, `common/build.go`
#[rstest]
#[case::unknown_policy(
    "variables: {P: sometimes}, cache: {key: k, paths: [c], policy: $P}, script: x",
    "failed",
    "unknown cache policy sometimes for k-non_protected"
)]
#[case::key(
    "variables: {K: x/../k}, cache: {key: $K, paths: [c]}, script: 'true'",
    "success",
    "cache key \"x/../k-non_protected\" sanitized to \"k-non_protected\""
)]
#[case::key_of_nothing(
    "cache: {key: $NOTHING, paths: [c]}, script: 'true'",
    "success",
    "Checking cache for -non_protected..."
)]
#[case::space_around_a_command(
    "script: [\"\\n\\necho x\\necho y\\n\\n\"]",
    "success",
    "$ echo x # collapsed multi-line command"
)]
#[case::status_of_its_own(
    "variables: {CI_JOB_STATUS: mine}, script: 'true', after_script: echo is $CI_JOB_STATUS",
    "success",
    "is mine"
)]
#[case::status("script: 'true', after_script: echo is $CI_JOB_STATUS", "success", "is success")]
#[case::temporary_directory(
    "variables: {RUNNER_TEMP_PROJECT_DIR: x}, script: 'echo ${RUNNER_TEMP_PROJECT_DIR#$CI_PROJECT_DIR}'",
    "success",
    ".tmp"
)]
fn a_job_runs_as_with_the_runner(#[case] keywords: &str, #[case] status: &str, #[case] expected: &str) {
    let run = super::ran(&format!("a: {{image: rust, {keywords}}}\n"));
    let lines = run.all_lines("a");
    assert_eq!(run.status("a"), status, "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains(expected)), "{lines:#?}");
}

/// GitLab Runner's `executors/shell/shell.go` starts the shell by its name; in containers, `shells/bash.go` (`bashDetectShellScript`) by its
/// path.
#[test]
fn a_shell_on_this_machine_is_called_by_its_name() {
    let run = super::ran("a: {image: rust, script: echo is $0}\n");
    let lines = run.lines("a");
    assert_eq!(lines.iter().any(|line| line == "is bash"), crate::EXECUTOR == "shell", "{lines:#?}");
}
