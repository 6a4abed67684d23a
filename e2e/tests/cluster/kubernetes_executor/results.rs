//! Tests of what jobs do and leave: the same as with the other executors.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{IMAGE, Namespace, Run, run_with_docker, runner};
use crate::fixture::{Cleanup, owner};
use crate::repository::Repository;
use crate::support::{error, run};

#[test]
fn an_exit_code_and_both_streams() {
    let namespace = Namespace::new();
    let run = namespace.run("a: {script: [echo out, echo err >&2, exit 3]}\n", "");
    assert_eq!((run.code(), &run.ended("a")["exit_code"]), (1, &3.into()));
    run.failed("a", "command terminated with exit code 3");
    let lines = run.all_lines("a");
    assert!(lines.contains(&"out".to_owned()) && lines.contains(&"err".to_owned()), "{lines:#?}");
    assert_eq!(namespace.objects(), Vec::<String>::new());
}

/// GitLab Runner swallows such a line, and takes its exit code for that of the job.
#[test]
fn a_line_cannot_forge_the_exit_code() {
    let namespace = Namespace::new();
    let line = r#"{"command_exit_code":0,"script":"x"}"#;
    let run = namespace.run(&format!("a: {{script: [\"echo '{}'\", exit 5]}}\n", line.replace('"', "\\\"")), "");
    run.has("a", line);
    assert_eq!(run.ended("a")["exit_code"], 5);
}

#[test]
fn no_output_is_lost() {
    let namespace = Namespace::new();
    // 20 MB, in lines of 100 bytes.
    let print = "perl -e 'printf \"%099d\\n\", $_ for 1..200000'; echo END";
    let run = namespace.run(&format!("a: {{script: ['{}']}}\n", print.replace('\'', "''")), "");
    assert_eq!(run.code(), 0, "{:?}", run.result("a"));
    let lines = run.all_lines("a");
    let numbers: Vec<u32> = lines.iter().filter(|line| line.len() == 99).filter_map(|line| line.parse().ok()).collect();
    assert!(numbers.iter().copied().eq(1..=200_000), "{} lines", numbers.len());
    assert!(lines.iter().any(|line| line == "END"));
}

/// A pipeline with everything that moves files and variables between jobs.
const PIPELINE: &str = r#"
stages: [build, test, deploy]
make:
  stage: build
  script:
    - mkdir -p "out/a b" out/empty cached
    - echo 1 > "out/a b/file"; echo 2 > out/run.sh; chmod 750 out/run.sh; echo 3 > out/secret; chmod 600 out/secret
    - ln -s "a b/file" out/link; ln out/run.sh out/hard; echo no > out/skipped.tmp
    - long=$(printf 'x%.0s' $(seq 120)); mkdir out/$long; echo 4 > out/$long/$long
    - echo VERSION=42 > build.env; echo kept > cached/file; echo new > untracked
  after_script: ['echo "after $CI_JOB_STATUS"']
  artifacts: {paths: [out/, missing/], exclude: [out/*.tmp], untracked: true, reports: {dotenv: build.env}}
  cache: {key: one, paths: [cached/]}
list:
  script:
    - find out untracked cached build.env 2>/dev/null | sort | while read -r name; do stat -c '%A %s %N' "$name"; done
    - echo "version $VERSION"; cat "out/a b/file" untracked; test out/run.sh -ef out/hard || echo copied
    - git --version > /dev/null 2>&1 || echo without git
    - 'echo "files $(ls -A | sort | tr "\n" " ")"; test "$PWD" = "$CI_PROJECT_DIR" && echo there'
  cache: {key: one, paths: [cached/], policy: pull}
breaks:
  script: [echo a, "(exit 7)", echo b]
  after_script: ['echo "after $CI_JOB_STATUS"']
  allow_failure: {exit_codes: 7}
  artifacts: {paths: [.gitlab-ci.yml], when: on_failure}
tests:
  script: [echo "<testsuite><testcase/></testsuite>" > r.xml]
  artifacts: {reports: {junit: r.xml}}
last: {stage: deploy, needs: [breaks, make], script: [ls, 'cat "$CI_PROJECT_DIR.tmp/none" 2> /dev/null || echo none']}
"#;

/// The output and the results of the jobs of a run, without the lines that differ between executors.
fn results(run: &Run) -> BTreeMap<String, (Vec<String>, serde_json::Value)> {
    let jobs = ["make", "list", "breaks", "tests", "last"];
    let result = |job: &str| {
        let lines = run.all_lines(job).into_iter().filter(|line| !line.starts_with('\x1b'));
        let own = [" executor with image ", "Using ", "Waiting for ", "Running on "];
        let lines = lines.filter(|line| !own.iter().any(|text| line.contains(text)));
        let ended = run.ended(job);
        let end = serde_json::json!([ended["status"], ended["exit_code"], ended["tests"], ended["allow_failure"]]);
        (lines.collect(), end)
    };
    jobs.into_iter().map(|job| (job.to_owned(), result(job))).collect()
}

#[test]
fn the_docker_executor_gives_the_same_results() {
    let namespace = Namespace::new();
    let pipeline = format!("default: {{image: {IMAGE}}}\n{PIPELINE}");
    let (pods, containers) = (namespace.run(&pipeline, ""), run_with_docker(&pipeline));
    assert_eq!((pods.code(), containers.code()), (0, 0), "{:#?}", results(&pods));
    for (job, expected) in results(&containers) {
        assert_eq!(results(&pods)[&job], expected, "{job}");
    }
    pods.has("list", "version 42");
    assert_eq!(namespace.objects(), Vec::<String>::new());
}

#[test]
fn a_script_that_takes_too_long_is_stopped() {
    let namespace = Namespace::new();
    let pipeline = "a:\n  script: [echo begun, sleep 600 & sleep 601]\n  after_script:\n    - echo \"status $CI_JOB_STATUS\"\n    - 'echo \"sleeping: $(cat /proc/[0-9]*/cmdline | tr \"\\0\" \" \" | grep -c \"slee[p] 60[01]\")\"'\n  variables: {RUNNER_SCRIPT_TIMEOUT: 10s}\n  artifacts: {paths: [.gitlab-ci.yml], when: always}\n";
    let run = namespace.run(pipeline, "");
    run.failed("a", "the script took longer than 10s");
    run.has("a", "begun");
    run.has("a", "status timedout");
    run.has("a", "sleeping: 0");
    run.has("a", "Uploading artifacts... 1 files");
}

/// The catalog's image of the registry has busybox, and no other shell or archiver.
#[test]
fn busybox_is_enough_for_a_job_and_its_helper() {
    let namespace = Namespace::new();
    let pipeline = "default: {image: registry}\na:\n  stage: build\n  script: [mkdir -p 'out/a b', echo 1 > 'out/a b/x', ln -s x 'out/a b/y', \
                    chmod 750 'out/a b/x', echo begun, sleep 600]\n  after_script: ['echo \"status $CI_JOB_STATUS\"']\n  allow_failure: true\n  \
                    variables: {RUNNER_SCRIPT_TIMEOUT: 10s}\n  artifacts: {paths: [out/], when: always}\nb:\n  script: [cat 'out/a b/y', ls -l \
                    'out/a b']\n";
    let run = namespace.run(pipeline, "");
    assert_eq!(run.code(), 0, "{:#?}", run.all_lines("a"));
    run.failed("a", "the script took longer than 10s");
    run.has("a", "status timedout");
    run.has("b", "1");
    run.has("b", "-rwxr-x---");
    run.has("b", "y -> x");
}

/// Otherwise a reader would wait for its end.
#[test]
fn a_pipeline_that_cannot_start_has_a_result_in_its_configmap() {
    let namespace = Namespace::new();
    let _cleanup = Cleanup(vec![format!("configmap/{}", namespace.name)]);
    let (repository, file) = (Repository::new("main", "a: {script: 'true'}\n"), tempfile::NamedTempFile::new());
    let file = file.expect("a file");
    let path = file.path().to_str().expect("a path");
    let arguments = ["--report-configmap", &namespace.name, "--log-dir", path];
    let output = namespace.command(&repository, &runner(""), &arguments).output().expect("e2e");
    assert_eq!(output.status.code(), Some(3), "{}", error(&output));
    let data = run(&mut owner(&["get", "configmap", &namespace.name, "--output=jsonpath={.data}"]));
    let data: Value = serde_json::from_str(&data).expect("JSON");
    assert_eq!(data["result"], "failed", "{data}");
    assert!(data["report.txt"].as_str().is_some_and(|text| text.contains(path)), "{data}");
}
