//! Tests of the result that a pipeline prints, of wrong arguments, and of supervisors.

#![expect(clippy::expect_used, reason = "test helpers fail by panicking")]

use std::process::Command;

use rstest::rstest;

use crate::repository::Repository;
use crate::support::{error, project};

#[test]
fn a_table_at_the_end() {
    let pipeline = "good: {script: 'true', stage: build}\nbad:\n  script:\n    - seq 30\n    - exit 7\nlater: {script: 'true', stage: deploy}\nby-hand: {script: 'true', stage: build, when: manual}\n";
    let repository = Repository::new("main", pipeline);
    let output = repository.e2e(&["pipeline", "--executor", "shell", "--quiet"]).output().expect("e2e");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r" *\d+\.\d s", " [TIME]");
    settings.add_filter(r"full log: [^)]*/", "full log: [DIR]/");
    settings.add_filter(r"commit [0-9a-f]{8}", "commit [COMMIT]");
    settings.bind(|| insta::assert_snapshot!(text));
}

#[rstest]
#[case::no_such_job(&["--job", "biuld"], 2, "there is no job `biuld` in this pipeline; the jobs are build")]
#[case::not_in_it(&["--manual", "release"], 2, "the job `release` is not in this pipeline")]
#[case::no_cluster(&["--context", "x"], 2, "--context and --namespace select the cluster of --executor kubernetes")]
#[case::no_report(&["--report-configmap", "x"], 2, "--report-configmap needs the cluster of --executor kubernetes")]
#[case::no_such_branch(&["--branch", "nothing"], 2, "no such branch: `nothing`")]
fn bad_input(#[case] arguments: &[&str], #[case] code: i32, #[case] message: &str) {
    let pipeline = "build: {script: x}\nrelease: {script: x, rules: [{if: $CI_COMMIT_TAG}]}\n";
    let repository = Repository::new("main", pipeline);
    let output = repository.e2e(&[&["pipeline", "--executor", "shell"], arguments].concat()).output().expect("e2e");
    assert_eq!(output.status.code(), Some(code));
    assert!(error(&output).contains(message), "{}", error(&output));
}

/// Processes whose command line has these words.
fn running(words: &str) -> usize {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).replace('\0', " ").starts_with(words)).count()
}

/// A job has the permissions to kill its supervisor, which ends everything that the job has started. Then the pipeline does so, and the
/// other jobs continue.
#[rstest]
#[case::before_its_end("kill -9 $PPID; sleep 600")]
#[case::after_its_end(
    "(supervisor=$PPID; setsid sh -c \"trap '' TERM; sleep 0.3; kill -9 $supervisor; sleep 600\" > /dev/null 2>&1 &)"
)]
fn a_job_that_kills_its_supervisor_leaves_nothing(#[case] command: &str, #[values(false, true)] is_in_container: bool) {
    let seconds = fastrand::u32(100_000..).to_string();
    let command = command.replace("600", &seconds).replace('"', "\\\"");
    let daemon = format!("setsid sleep {seconds} > /dev/null 2>&1 &");
    let pipeline = format!(
        "a: {{stage: build, script: [\"{daemon}\", \"{command}\"], allow_failure: true}}\nb: {{script: sleep 2}}\n"
    );
    let repository = Repository::new("main", &pipeline);
    let mut command = repository.e2e(&["pipeline", "--executor", "shell"]);
    if is_in_container {
        command = in_container(&command);
    }
    let output = command.output().expect("e2e");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", error(&output));
    assert!(text.contains(" b    test   passed"), "{text}");
    assert_eq!(running(&format!("sleep {seconds}")), 0, "{text}");
}

/// As in a container that was entered: the leaders of the program's session and process group are outside, and so have no process IDs.
fn in_container(command: &Command) -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(["--pid", "--fork", "--mount-proc", "sh", "-c", "\"$@\"; exit $?", "sh"]);
    unshare.arg(command.get_program()).args(command.get_args()).current_dir(project());
    unshare
}

/// The machine fails here, not the job: `retry: {when: script_failure}` must not apply.
#[test]
fn a_shell_that_is_missing_is_a_failure_of_the_system() {
    let repository = Repository::new("main", "a: {script: 'true', retry: {max: 1, when: script_failure}}\n");
    let settings = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(settings.path(), "[[runners]]\nexecutor = \"shell\"\nshell = \"/nowhere/sh\"\n").expect("settings");
    let config = settings.path().to_str().expect("a path");
    let output = repository.e2e(&["pipeline", "--config", config]).output().expect("e2e");
    let text = error(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("cannot run the job's shell: No such file or directory"), "{text}");
    assert!(text.contains("a: failed (cannot run /nowhere/sh: see the job's log)"), "{text}");
    assert!(!text.contains("retried"), "{text}");
}

/// The process IDs that jobs have written, one for each job.
fn supervisors(pipeline: &str) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("supervisors");
    let pipeline = pipeline.replace("NOTE", &format!("echo $PPID >> {}", file.display()));
    let repository = Repository::new("main", &pipeline.replace("FILE", &file.display().to_string()));
    let output = repository.e2e(&["pipeline", "--executor", "shell"]).output().expect("e2e");
    assert_eq!(output.status.code(), Some(0), "{} {}", String::from_utf8_lossy(&output.stdout), error(&output));
    std::fs::read_to_string(file).expect("the file").lines().map(str::to_owned).collect()
}

#[rstest]
#[case::nothing_left("'true'", true)]
#[case::a_failure("exit 3", true)]
#[case::a_daemon("setsid sleep 600 > /dev/null 2>&1 &", false)]
#[case::a_timeout("sleep 600", false)]
fn a_supervisor_runs_the_next_script_if_nothing_of_the_last_is_left(#[case] command: &str, #[case] is_same: bool) {
    let pipeline = format!(
        "a: {{stage: build, script: [NOTE, {command}], timeout: 2 seconds, allow_failure: true}}\nb: {{script: NOTE}}\n"
    );
    let supervisors = supervisors(&pipeline);
    assert_eq!(supervisors.len(), 2, "{supervisors:?}");
    assert_eq!(supervisors[0] == supervisors[1], is_same, "{supervisors:?}");
}

/// A job also has the permissions to kill the supervisor that waits for the next job.
#[test]
fn an_idle_supervisor_that_was_killed_is_replaced() {
    let pipeline = "stages: [one, two, three]\na: {stage: one, script: [NOTE, sleep 1], parallel: 2}\nb: {stage: two, script: ['for it in $(cat FILE); do [ $it = $PPID ] || kill -9 $it; done']}\nc: {stage: three, script: [NOTE, sleep 1], parallel: 2}\n";
    let supervisors = supervisors(pipeline);
    assert_eq!(supervisors.len(), 4, "{supervisors:?}");
    let (before, after) = supervisors.split_at(2);
    assert_eq!(after.iter().filter(|it| before.contains(it)).count(), 1, "{supervisors:?}");
}
