//! Tests of how jobs end, and of what they leave behind.

use std::time::Instant;

use super::*;

/// In GitLab, a retry is a new job.
#[test]
fn a_retry_gets_no_files_of_the_failed_attempt() {
    let dir = tempfile::tempdir().expect("a directory");
    let once = dir.path().join("once");
    let pipeline = format!(
        "a:\n  stage: build\n  retry: 1\n  script:\n    - |\n      if [ ! -e {0} ]; then\n        touch {0}; echo x > fail.log; echo FROM=first > v.env\n        echo '<testsuite><testcase><failure/></testcase></testsuite>' > r.xml\n        exit 1\n      fi\n  artifacts: {{when: always, paths: [fail.log], reports: {{dotenv: v.env, junit: r.xml}}}}\nb:\n  script: ['ls', 'echo \"from [$FROM]\"']\n",
        once.display()
    );
    let run = run_in(dir.path(), &Repository::new("main", &pipeline), &[]);
    assert_eq!((run.code(), run.started()), (0, vec!["a", "a", "b"]));
    assert!(!run.lines("b").contains(&"fail.log".to_owned()), "{:#?}", run.lines("b"));
    has(&run.lines("b"), "from []");
    assert_eq!(run.ended("a")["tests"], Value::Null);
}

/// GitLab Runner's `executeScript` archives and uploads even if `after_script` fails.
#[test]
fn without_ignored_errors_a_failed_after_script_fails_the_job() {
    let pipeline = "a:\n  stage: build\n  script: 'true'\n  after_script: [touch out, exit 7]\n  allow_failure: {exit_codes: 7}\n  variables: {AFTER_SCRIPT_IGNORE_ERRORS: 'false'}\n  artifacts: {paths: [out], when: on_failure}\nb: {script: ls}\n";
    let run = ran(pipeline);
    assert_eq!((run.code(), run.status("a"), &run.ended("a")["exit_code"]), (0, "failed", &7.into()));
    has(&run.lines("b"), "out");
}

/// GitLab Runner's `executeUserScripts`.
#[test]
fn a_script_is_ended_at_its_own_timeout() {
    let pipeline = "a:\n  script: [sleep 600]\n  after_script: ['echo \"status $CI_JOB_STATUS\"']\n  variables: {RUNNER_SCRIPT_TIMEOUT: 1s}\n";
    let repository = Repository::new("main", pipeline);
    let started = Instant::now();
    let run = run(&repository, &[]);
    assert!(started.elapsed() < TIMEOUT, "{:?}", started.elapsed());
    assert_eq!((run.code(), run.status("a")), (1, "failed"));
    assert!(run.ended("a")["why"].as_str().is_some_and(|reason| reason.contains("the script took longer than 1s")));
    has(&run.lines("a"), "status timedout");
}

/// git starts other programs, which keep its output open. The end of the job must not wait for them.
#[test]
fn a_checkout_is_ended_at_the_job_timeout() {
    let repository =
        Repository::new("main", "a:\n  script: 'true'\n  timeout: 1s\n  variables: {GIT_SUBMODULE_STRATEGY: normal}\n");
    let modules = "[submodule \"sub\"]\n\tpath = sub\n\turl = ext::sleep 600\n";
    std::fs::write(repository.path().join(".gitmodules"), modules).expect("a file");
    let link = "160000,1111111111111111111111111111111111111111,sub";
    repository.git(&["update-index", "--add", "--cacheinfo", link]);
    repository.git(&["add", ".gitmodules"]);
    repository.git(&["commit", "--quiet", "--message", "Submodule"]);
    let settings = settings(repository.path());
    let mut command = repository.e2e(&["pipeline", "--format", "json"]);
    command.arg("--config").arg(settings.path());
    command
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "protocol.ext.allow")
        .env("GIT_CONFIG_VALUE_0", "always");
    let started = Instant::now();
    let output = command.output().expect("e2e");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("\"why\":\"execution took longer than 1s\""), "{text}");
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(started.elapsed() < TIMEOUT, "{:?}", started.elapsed());
}

#[test]
fn a_job_that_waits_for_another_pipeline_frees_its_slot() {
    let dir = tempfile::tempdir().expect("a directory");
    let done = dir.path().join("done");
    let pipeline = format!("a: {{script: 'true', resource_group: r}}\nb: {{script: 'touch {}'}}\n", done.display());
    let repository = Repository::new("main", &pipeline);
    let groups = repository.path().join("target/e2e/resource-groups");
    std::fs::create_dir_all(&groups).expect("a directory");
    // The SHA-1 hash of `r`.
    let lock = std::fs::File::create(groups.join("4dc7c9ec434ed06502767136789763ec11d2c4b7.lock")).expect("a file");
    lock.lock().expect("a lock");
    let settings = settings(dir.path());
    let config = settings.path().to_str().expect("a path");
    let mut command = repository.e2e(&["pipeline", "--concurrency", "1", "--config", config]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("e2e");
    eventually("the other job ends", TIMEOUT, || if done.exists() { Ok(()) } else { Err("it has not".to_owned()) });
    drop(lock);
    let output = child.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));
}

#[test]
fn a_pipeline_replaces_the_log_of_the_previous_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let repository = Repository::new("main", "a: {script: [echo once, 'false'], retry: 1}\n");
    let logs = dir.path().to_str().expect("a path");
    for _ in 0..2 {
        run(&repository, &["--log-dir", logs]);
        let log = std::fs::read_to_string(dir.path().join("a.log")).expect("a log");
        let count = log.lines().filter(|line| line.ends_with("00O once")).count();
        assert_eq!(count, 2, "{log}");
    }
}
