//! Tests that run pipelines with the real program, git and shells. The test program `pipeline` runs them on this machine, and `engine` in
//! containers of a real engine.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

// With paths, because the test program `engine` includes this file by its path, too.
#[path = "run/as_runner.rs"]
mod as_runner;
#[path = "run/ends.rs"]
mod ends;
#[path = "run/hostile.rs"]
mod hostile;
#[path = "run/sources.rs"]
mod sources;
#[path = "run/surroundings.rs"]
mod surroundings;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rstest::rstest;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::EXECUTOR;
use crate::outcome::Run;
use crate::repository::Repository;
use crate::support::{error, eventually};

/// Maximum time for steps that take a second on an idle machine.
const TIMEOUT: Duration = Duration::from_mins(2);

/// The settings of a runner whose jobs reach `dir` at its own path. Only containers need the volume for that.
fn settings(dir: &Path) -> NamedTempFile {
    let dir = dir.display();
    let text = format!(
        "[[runners]]\nexecutor = \"{EXECUTOR}\"\ngraceful_kill_timeout = 5\n[runners.docker]\nimage = \"debian-forky\"\nvolumes = [\"{dir}:{dir}\"]\n"
    );
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("settings");
    file
}

fn run_in(dir: &Path, repository: &Repository, arguments: &[&str]) -> Run {
    let settings = settings(dir);
    let fixed = ["pipeline", "--format", "json", "--config", settings.path().to_str().expect("a path")];
    Run::new(repository.e2e(&[&fixed, arguments].concat()).output().expect("e2e"))
}

fn run(repository: &Repository, arguments: &[&str]) -> Run {
    run_in(repository.path(), repository, arguments)
}

impl Run {
    fn status(&self, job: &str) -> &str {
        self.ended(job)["status"].as_str().expect("a status")
    }

    fn started(&self) -> Vec<&str> {
        let started = self.events.iter().filter(|event| event["event"] == "job_started");
        started.map(|event| event["job"].as_str().expect("a name")).collect()
    }
}

fn ran(pipeline: &str) -> Run {
    run(&Repository::new("main", pipeline), &[])
}

#[track_caller]
fn has(lines: &[String], line: &str) {
    assert!(lines.iter().any(|it| it == line), "`{line}` is not among {lines:#?}");
}

#[test]
fn a_checkout_is_clean_and_the_jobs_own() {
    let pipeline = "default: {image: rust}\na:\n  stage: build\n  script:\n    - git status --porcelain\n    - git describe --always --dirty --exclude '*'\n    - git diff-index --quiet HEAD && echo clean\n    - echo $CI_COMMIT_SHA; git rev-parse HEAD\n    - echo changed >> .gitlab-ci.yml; touch new\nb:\n  script:\n    - ls -A | sort | tr '\\n' ' '; echo\n    - git diff-index --quiet HEAD && echo clean\n    - test \"$PWD\" = \"$CI_PROJECT_DIR\" && echo there\n";
    let repository = Repository::new("main", pipeline);
    std::fs::write(repository.path().join("untracked"), "x").expect("a file");
    let run = run(&repository, &[]);
    assert_eq!(run.code(), 0, "{}", error(&run.output));
    let (a, b) = (run.lines("a"), run.lines("b"));
    has(&a, "clean");
    let commits: Vec<_> = a.iter().filter(|line| line.len() == 40).collect();
    assert!(commits.len() == 2 && commits[0] == commits[1], "{a:#?}");
    assert!(!a.iter().any(|line| line.contains("dirty")), "{a:#?}");
    has(&b, "clean");
    has(&b, "there");
    assert!(b.iter().any(|line| line.trim() == ".git .gitlab-ci.yml"), "{b:#?}");
}

#[test]
fn with_worktree_jobs_get_uncommitted_files() {
    let repository = Repository::new("main", "a: {script: cat new .gitlab-ci.yml}\n");
    std::fs::write(repository.path().join("new"), "fresh\n").expect("a file");
    std::fs::write(repository.path().join(".gitlab-ci.yml"), "a: {script: cat new, variables: {B: c}}\n")
        .expect("a file");
    let run = run(&repository, &["--worktree"]);
    has(&run.lines("a"), "fresh");
}

#[test]
fn jobs_of_a_stage_run_at_the_same_time() {
    // Each job waits for a file of the other one, so both fail if they run one after the other.
    let dir = tempfile::tempdir().expect("a directory");
    let wait = |own: &str, other: &str| {
        let dir = dir.path().display();
        format!("touch {dir}/{own}; timeout 120 sh -c 'until [ -e {dir}/{other} ]; do sleep 0.05; done'")
    };
    let pipeline = format!("a: {{script: \"{}\"}}\nb: {{script: \"{}\"}}\n", wait("a", "b"), wait("b", "a"));
    let run = run_in(dir.path(), &Repository::new("main", &pipeline), &[]);
    assert_eq!((run.code(), run.status("a"), run.status("b")), (0, "success", "success"));
}

#[test]
fn artifacts_between_jobs() {
    let pipeline = "a:\n  stage: build\n  script:\n    - mkdir -p out/sub; echo 1 > out/sub/x.txt; echo 2 > out/y.log; echo 3 > other; chmod 750 out/y.log\n  after_script: [echo late > out/late]\n  artifacts: {paths: [out/], exclude: [out/sub/*.tmp]}\nnone:\n  stage: build\n  script: 'true'\n  artifacts: {paths: [missing/]}\nb:\n  script:\n    - find . -path ./.git -prune -o -type f -print | sort | tr '\\n' ' '; echo\n    - stat -c %a out/y.log\nc: {script: ls, dependencies: []}\nd: {script: ls, needs: [{job: a, artifacts: false}]}\n";
    let run = ran(pipeline);
    assert_eq!(run.code(), 0, "{}", error(&run.output));
    let b = run.lines("b");
    assert!(b.iter().any(|line| line.trim() == "./.gitlab-ci.yml ./out/late ./out/sub/x.txt ./out/y.log"), "{b:#?}");
    has(&b, "750");
    assert!(!run.lines("c").contains(&"out".to_owned()) && !run.lines("d").contains(&"out".to_owned()));
    let all: Vec<_> = run.events.iter().filter_map(|event| event["line"].as_str()).collect();
    assert!(all.iter().any(|line| line.contains("WARNING: missing/: no matching files.")), "{all:#?}");
}

#[test]
fn missing_artifacts_of_an_unselected_job_are_reported() {
    let pipeline = "a: {script: 'true', stage: build, artifacts: {paths: [x]}}\nb: {script: 'true'}\n";
    let run = run(&Repository::new("main", pipeline), &["--job", "b"]);
    let notes: Vec<_> = run.events.iter().filter(|event| event["event"] == "note").map(|note| &note["text"]).collect();
    assert_eq!(notes, ["runs without the artifacts of `a`, which is not among the selected jobs"]);
}

#[rstest]
#[case::on_success("on_success", false)]
#[case::on_failure("on_failure", true)]
#[case::always("always", true)]
fn artifacts_of_a_failed_job(#[case] when: &str, #[case] is_there: bool) {
    let pipeline = format!(
        "a:\n  stage: build\n  allow_failure: true\n  script: [touch out, exit 1]\n  artifacts: {{paths: [out], when: {when}}}\nb: {{script: ls}}\n"
    );
    assert_eq!(ran(&pipeline).lines("b").contains(&"out".to_owned()), is_there);
}

#[test]
fn variables_from_a_report() {
    let pipeline = "a:\n  stage: build\n  script:\n    - echo BUILD=42 > build.env\n    - echo HOST=review.test >> build.env\n  artifacts: {reports: {dotenv: build.env}}\nb:\n  script: ['echo \"build $BUILD\"', 'ls | grep -c build.env || true']\n  environment: {name: review, url: 'http://$HOST/'}\nc: {script: 'echo \"none [$BUILD]\"', needs: []}\n";
    let run = ran(pipeline);
    has(&run.lines("b"), "build 42");
    has(&run.lines("b"), "0");
    has(&run.lines("c"), "none []");
}

#[test]
fn reports_of_tests_are_counted() {
    let pipeline = "a:\n  script:\n    - echo '<testsuite><testcase/><testcase><failure/></testcase></testsuite>' > r.xml\n    - exit 1\n  artifacts: {reports: {junit: '*.xml'}}\n";
    let run = ran(pipeline);
    assert_eq!(run.ended("a")["tests"], serde_json::json!({"total": 2, "failed": 1, "skipped": 0}));
}

#[test]
fn tried_again_until_it_works() {
    let dir = tempfile::tempdir().expect("a directory");
    let count = dir.path().join("count");
    let script = format!("echo x >> {0}; test $(wc -l < {0}) -ge 3", count.display());
    let pipeline = format!("a: {{script: '{script}', retry: 2}}\nb: {{script: 'true', stage: deploy}}\n");
    let run = run_in(dir.path(), &Repository::new("main", &pipeline), &[]);
    assert_eq!((run.code(), run.started()), (0, vec!["a", "a", "a", "b"]));
    assert_eq!(run.ended("a")["attempt"], 3);
}

#[test]
fn a_job_that_takes_too_long() {
    let pipeline = "a:\n  script: [echo begun, sleep 600]\n  after_script: [echo after]\n  timeout: 10 seconds\n  artifacts: {paths: [.gitlab-ci.yml], when: always}\n";
    let run = ran(pipeline);
    assert_eq!((run.code(), run.status("a")), (1, "failed"));
    assert_eq!(run.ended("a")["why"], "execution took longer than 10s");
    assert!(run.lines("a").contains(&"begun".to_owned()) && !run.lines("a").contains(&"after".to_owned()));
}

#[test]
fn a_failure_that_is_allowed() {
    let run = ran("a: {script: exit 3, stage: build, allow_failure: {exit_codes: [3]}}\nb: {script: 'true'}\n");
    assert_eq!((run.code(), run.status("a"), run.status("b")), (0, "failed", "success"));
    assert_eq!((&run.ended("a")["exit_code"], &run.ended("a")["allow_failure"]), (&3.into(), &true.into()));
}

#[test]
fn a_manual_job_is_started_by_name() {
    let pipeline = "a: {script: echo ran, when: manual}\nb: {script: 'true', stage: deploy}\n";
    let repository = Repository::new("main", pipeline);
    assert_eq!(run(&repository, &[]).started(), ["b"]);
    assert_eq!(run(&repository, &["--manual", "a"]).started(), ["a", "b"]);
    assert_eq!(run(&repository, &["--job", "a"]).started(), ["a"]);
    let blocking =
        Repository::new("main", "a: {script: x, rules: [{when: manual}]}\nb: {script: 'true', stage: deploy}\n");
    let blocked = run(&blocking, &[]);
    assert_eq!((blocked.code(), blocked.started().len()), (1, 0));
}

#[test]
fn after_script_is_another_shell_and_may_fail() {
    let pipeline = "a:\n  script: ['A=1; cd /', 'exit 1']\n  after_script:\n    - 'echo \"status $CI_JOB_STATUS, $A, $(basename $PWD)\"'\n    - exit 5\nb:\n  script: 'echo KEY=value >> $GITLAB_ENV'\n  after_script: ['echo \"status $CI_JOB_STATUS $KEY\"', exit 5]\n";
    let run = ran(pipeline);
    assert_eq!((run.status("a"), run.status("b")), ("failed", "success"));
    assert_eq!(run.ended("a")["exit_code"], 1);
    assert!(run.lines("a").iter().any(|line| line.starts_with("status failed, , ")), "{:#?}", run.lines("a"));
    has(&run.lines("b"), "status success value");
}

#[test]
fn masked_variables_are_masked_and_file_variables_are_files() {
    let pipeline = "a:\n  script:\n    - echo \"password $PASSWORD\"\n    - printf 'pass-'; sleep 0.2; echo w0rd-$((12344 + 1))\n    - cat \"$KUBECONFIG\"; echo; case \"$KUBECONFIG\" in \"$CI_PROJECT_DIR.tmp/KUBECONFIG\") echo outside;; esac\n    - echo \"$CI_JOB_TOKEN\"\n";
    let repository = Repository::new("main", pipeline);
    let variables = tempfile::NamedTempFile::new().expect("a file");
    let list = serde_json::json!([
        {"key": "PASSWORD", "value": "pass-w0rd-12345", "masked": true},
        {"key": "KUBECONFIG", "value": "apiVersion: v1", "variable_type": "file"},
    ]);
    std::fs::write(variables.path(), list.to_string()).expect("a file");
    let run = run(&repository, &["--variables", variables.path().to_str().expect("a path")]);
    let lines = run.lines("a");
    has(&lines, "password [MASKED]");
    has(&lines, "[MASKED]");
    has(&lines, "apiVersion: v1");
    has(&lines, "outside");
    let log = std::fs::read_to_string(run.ended("a")["log"].as_str().expect("a path")).expect("a log");
    assert!(
        !log.contains("w0rd-12345") && !String::from_utf8_lossy(&run.output.stdout).contains("w0rd-12345"),
        "{log}"
    );
}

#[test]
fn a_cache_comes_back_in_the_next_pipeline() {
    let pipeline = "a:\n  script:\n    - cat cached/file || echo nothing\n    - mkdir -p cached; echo \"kept by $CI_PIPELINE_ID\" > cached/file\n  cache: {key: {files: [.gitlab-ci.yml]}, paths: [cached/]}\nb:\n  stage: deploy\n  script: cat cached/file\n  cache: {key: none, fallback_keys: [other], paths: [cached/], policy: pull}\n  allow_failure: true\n";
    let repository = Repository::new("main", pipeline);
    has(&run(&repository, &[]).lines("a"), "nothing");
    let second = run(&repository, &[]);
    has(&second.lines("a"), "kept by 1");
    assert_eq!(second.status("b"), "failed");
}

#[test]
fn a_job_without_a_script_is_not_run() {
    let run = ran("a: {trigger: other/project, stage: build}\nb: {run: [{name: x, script: y}]}\n");
    assert_eq!((run.code(), run.status("a"), run.status("b")), (1, "success", "failed"));
    assert!(run.ended("a")["why"].as_str().is_some_and(|reason| reason.contains("is not run")));
}

#[test]
fn two_hundred_jobs() {
    let run = ran("a: {script: 'test $CI_NODE_TOTAL = 200', parallel: 200}\n");
    assert_eq!((run.code(), run.started().len()), (0, 200));
}

/// The kernel releases a lock when the last process that inherited it has ended. A pipeline that waited for such a process would not end.
#[test]
fn processes_that_a_job_leaves_running_end_with_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let lock = dir.path().join("lock");
    let pipeline =
        format!("a: {{script: 'exec 9>{}; flock 9; sleep infinity > /dev/null 2>&1 & echo left'}}\n", lock.display());
    let run = run_in(dir.path(), &Repository::new("main", &pipeline), &[]);
    assert_eq!(run.code(), 0);
    assert!(std::fs::File::open(&lock).expect("the lock").try_lock().is_ok());
}

/// The supervisor kills what does not end, itself included only in the end.
#[test]
fn a_job_that_ignores_the_signals_of_its_timeout_is_killed() {
    let pipeline = "a: {timeout: 1 second, script: [\"trap '' TERM\", 'while true; do sleep 1; done']}\n";
    let run = ran(pipeline);
    assert_eq!((run.code(), run.status("a")), (1, "failed"));
    assert_eq!(run.ended("a")["why"], "execution took longer than 1s");
}

/// A daemon leaves the session, the process group and the output of its job, and its parent. In a container, it ends with the container.
#[rstest]
#[case::a_session_of_its_own("setsid sleep SECONDS > /dev/null 2>&1 &")]
#[case::no_environment("env -i setsid sleep SECONDS > /dev/null 2>&1 &")]
#[case::no_parent("(setsid sh -c 'sleep SECONDS & sleep SECONDS' > /dev/null 2>&1 &)")]
#[case::no_signals("(trap '' TERM; setsid sleep SECONDS > /dev/null 2>&1 &)")]
#[case::a_name_that_is_not_utf8(
    "(setsid sh -c 'printf \\\\\\\\377 > /proc/self/comm; sleep SECONDS & wait' > /dev/null 2>&1 &)"
)]
fn a_daemon_ends_with_its_job(#[case] command: &str) {
    // The other cases run at the same time.
    let seconds = fastrand::u32(100_000..).to_string();
    let command = command.replace("SECONDS", &seconds);
    let seen = format!("cat /proc/[0-9]*/cmdline 2>/dev/null | tr -c '[:alnum:]' ' ' | grep -c '[s]leep {seconds} '");
    let pipeline = format!(
        "a:\n  stage: build\n  script:\n    - \"{command}\"\n    - sleep 0.2\n    - echo \"seen [$({seen})]\"\nb:\n  script:\n    - echo \"seen [$({seen})]\"\n"
    );
    let run = ran(&pipeline);
    has(&run.lines("a"), "seen [1]");
    has(&run.lines("b"), "seen [0]");
}

#[test]
fn an_interrupted_pipeline_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name);
    let pipeline = format!(
        "a: {{script: 'touch {}; sleep 600; touch {}'}}\nb: {{script: 'true', stage: deploy, when: always}}\n",
        path("begun").display(),
        path("end").display()
    );
    let repository = Repository::new("main", &pipeline);
    let mut command = repository.e2e(&["pipeline", "--executor", "shell"]);
    let child = command.env("TMPDIR", dir.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("e2e");
    eventually(
        "the job begins",
        TIMEOUT,
        || {
            if path("begun").exists() { Ok(()) } else { Err("it has not".to_owned()) }
        },
    );
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    let output = child.wait_with_output().expect("an end");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("canceled"), "{text}");
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).expect("the directory").flatten().map(|it| it.file_name()).collect();
    assert_eq!(left, ["begun"]);
}

#[test]
fn the_next_pipeline_removes_leftovers_of_a_killed_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let begun = dir.path().join("begun");
    let pipeline = format!("a: {{script: 'touch {}; sleep 600'}}\nb: {{script: 'true'}}\n", begun.display());
    let (repository, settings) = (Repository::new("main", &pipeline), settings(dir.path()));
    let arguments = ["pipeline", "--config", settings.path().to_str().expect("a path")];
    let mut child = repository.e2e(&arguments).env("TMPDIR", dir.path()).spawn().expect("e2e");
    eventually("the job begins", TIMEOUT, || if begun.exists() { Ok(()) } else { Err("it has not".to_owned()) });
    let mark = format!("{}.", child.id());
    child.kill().expect("kill -9");
    child.wait().expect("its end");
    if EXECUTOR == "shell" {
        // The supervisor of the job notices the end of its parent.
        eventually("the job's end", TIMEOUT, || match crate::left_behind(&mark) {
            left if left.is_empty() => Ok(()),
            left => Err(left.join(", ")),
        });
    }
    let next = repository.e2e(&[&arguments[..], &["--job", "b"]].concat()).env("TMPDIR", dir.path()).output();
    assert_eq!(next.expect("e2e").status.code(), Some(0));
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).expect("the directory").flatten().map(|it| it.file_name()).collect();
    assert_eq!(left, ["begun"]);
    assert_eq!(crate::left_behind(&mark), Vec::<String>::new());
}
